"""From the configuration files to the records that the engine, the scheduler and the agents work with.  Pure."""

import time

from sluice.config.records import NO_LIMIT_S, ClusterConfig, GresLine, NodeConfig, PartitionConfig
from sluice.config.settings import Settings
from sluice.errors import PluginError
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.preemption import PreemptSetup
from sluice.model.priority import PrioritySetup
from sluice.model.request import GresRequest
from sluice.model.states import NodeState
from sluice.wire.messages import AgentConfig
from sluice_plugins.registry import build_networks, find_preemption, prepare_priority
from sluicectld.scheduler.snapshot import Policy
from sluicectld.scheduler.totals import compute_totals
from sluicectld.zone import find_local_zone

from .gres_places import compute_places

_STATES = {"UNKNOWN": NodeState.UNKNOWN, "DOWN": NodeState.DOWN, "FUTURE": NodeState.FUTURE}


def nodes_of(config: ClusterConfig) -> tuple[Node, ...]:
    """Return the configured nodes, in order."""
    everywhere = [line for line in config.gres if not line.node_names]
    by_name: dict[str, list[GresLine]] = {}
    for line in config.gres:
        for name in line.node_names:
            by_name.setdefault(name, []).append(line)
    return tuple(
        _node(index, node, [*everywhere, *by_name.get(node.name, ())]) for index, node in enumerate(config.nodes)
    )


def _node(index: int, node: NodeConfig, lines: list[GresLine]) -> Node:
    return Node(
        name=node.name,
        hostname=node.hostname,
        address=node.address,
        port=node.port,
        cpus=node.cpus,
        boards=node.boards,
        sockets=node.sockets,
        cores_per_socket=node.cores_per_socket,
        threads_per_core=node.threads_per_core,
        memory_mib=node.memory_mib,
        tmp_disk_mib=node.tmp_disk_mib,
        features=node.features,
        gres=tuple(GresRequest(name=name, type=kind, count=count) for name, kind, count in node.gres),
        weight=node.weight,
        index=index,
        state=_STATES.get(node.state, NodeState.UNKNOWN),
        is_drained=node.state == "DRAIN",
        is_failing=node.state == "FAIL",
        is_responding=False,
        reason=node.reason,
        core_spec_count=node.core_spec_count,
        cpu_spec_list=node.cpu_spec_list,
        mem_spec_limit_mib=node.mem_spec_limit_mib,
        gres_places=compute_places(node.gres, lines),
    )


def partitions_of(config: ClusterConfig) -> tuple[Partition, ...]:
    """Return the configured partitions, in order."""
    return tuple(_partition(index, partition) for index, partition in enumerate(config.partitions))


def _partition(index: int, partition: PartitionConfig) -> Partition:
    disable_root = partition.disable_root_jobs
    return Partition(
        name=partition.name,
        nodes=partition.nodes,
        is_default=partition.is_default,
        state=partition.state,
        max_limit_s=partition.max_limit_s,
        default_limit_s=partition.default_limit_s,
        max_nodes=partition.max_nodes,
        min_nodes=partition.min_nodes,
        max_cpus_per_node=partition.max_cpus_per_node,
        max_cpus_per_socket=partition.max_cpus_per_socket,
        priority_tier=partition.priority_tier,
        priority_job_factor=partition.priority_job_factor,
        oversubscribe=partition.oversubscribe,
        default_memory_per_cpu_mib=partition.default_memory_per_cpu_mib,
        default_memory_per_node_mib=partition.default_memory_per_node_mib,
        max_memory_per_cpu_mib=partition.max_memory_per_cpu_mib,
        max_memory_per_node_mib=partition.max_memory_per_node_mib,
        allow_groups=partition.allow_groups,
        allow_accounts=partition.allow_accounts,
        deny_accounts=partition.deny_accounts,
        allow_qos=partition.allow_qos,
        deny_qos=partition.deny_qos,
        allow_submit_nodes=partition.allow_submit_nodes,
        qos=partition.qos,
        grace_s=partition.grace_s,
        preempt_mode=",".join(partition.preempt_mode),
        is_hidden=partition.is_hidden,
        root_only=partition.root_only,
        disable_root_jobs=bool(disable_root),
        requires_reservation=partition.requires_reservation,
        exclusive_user=partition.exclusive_user,
        least_loaded=partition.least_loaded,
        over_limit_s=None if partition.over_limit_s in (None, NO_LIMIT_S) else partition.over_limit_s,
        billing_weights=partition.billing_weights_text,
        index=index,
        topology=partition.topology,
        default_memory_per_gpu_mib=partition.default_memory_per_gpu_mib,
        default_cpus_per_gpu=partition.cpus_per_gpu,
    )


def policy_of(config: ClusterConfig) -> Policy:
    """Return what the scheduler decides by.  Raises PluginError when there is no such priority plugin or factor."""
    settings = config.settings
    parameters = settings.scheduler_parameters
    words = {word.upper() for word in settings.select_type_parameters}
    unit = "node" if settings.select_type == "select/linear" else _select_unit(words)
    priority = priority_setup_of(settings)
    return Policy(
        is_backfilling=settings.scheduler_type == "sched/backfill",
        backfill_jobs_max=_count(parameters, "bf_max_job_test", 500),
        backfill_window_s=_count(parameters, "bf_window", 1440) * 60.0,
        backfill_resolution_s=float(_count(parameters, "bf_resolution", 60)),
        select_unit=unit,
        has_memory=any(word.endswith("MEMORY") for word in words),
        is_least_loaded="CR_LLN" in words,
        default_memory_per_node_mib=settings.default_memory_per_node_mib,
        default_memory_per_cpu_mib=settings.default_memory_per_cpu_mib,
        default_cpus_per_gpu=settings.cpus_per_gpu or 0,
        enforce_partition_limits=settings.enforce_partition_limits,
        utc_offset_s=time.localtime().tm_gmtoff,
        priority=priority,
        priority_rule=prepare_priority(priority),
        totals=compute_totals(nodes_of(config), partitions_of(config), settings.licenses),
        networks=build_networks(config.topologies, [node.name for node in config.nodes]),
        switch_wait_max_s=_seconds(parameters, "max_switch_wait", 300.0),
        default_memory_per_gpu_mib=settings.default_memory_per_gpu_mib,
        is_one_task_per_core="CR_ONE_TASK_PER_CORE" in words,
        is_block_by_default="CR_CORE_DEFAULT_DIST_BLOCK" in words,
        packs_tasks="CR_PACK_NODES" in words,
        puts_serial_last="pack_serial_at_end" in parameters,
        prefers_busy_nodes="bf_busy_nodes" in parameters,
        allows_core_spec=settings.allow_spec_resources_usage,
        accounting_enforced=frozenset(settings.accounting_storage_enforce),
        is_billing_max="MAX_TRES" in settings.priority_flags,
        stops_at_limits="assoc_limit_stop" in parameters,
        max_memory_per_cpu_mib=settings.max_memory_per_cpu_mib,
        max_memory_per_node_mib=settings.max_memory_per_node_mib,
        time_zone=find_local_zone(),
        reservation_overrun_s=settings.reservation_overrun_s,
        preempt=preempt_setup_of(settings),
        preempt_plugin=find_preemption(settings.preempt_type.removeprefix("preempt/")),
    )


def _select_unit(words: set[str]) -> str:
    for unit in ("core", "socket", "cpu"):
        if any(word.startswith(f"CR_{unit.upper()}") for word in words):
            return unit
    return "cpu"


def _count(parameters: dict[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "")
    return int(text) if text.isdecimal() and int(text) > 0 else default


def _seconds(parameters: dict[str, str], name: str, default: float) -> float:
    text = parameters.get(name, "")
    return float(text) if text.isdecimal() else default


def priority_setup_of(settings: Settings) -> PrioritySetup:
    """Return how priorities and fair-share are computed.  Raises PluginError for a weight that is no number."""
    weights = {
        "age": settings.priority_weight_age,
        "assoc": settings.priority_weight_assoc,
        "fairshare": settings.priority_weight_fair_share,
        "jobsize": settings.priority_weight_job_size,
        "partition": settings.priority_weight_partition,
        "qos": settings.priority_weight_qos,
    }
    weights |= {name: _factor_weight(name, text) for name, text in settings.priority_parameters.items()}
    return PrioritySetup(
        type=settings.priority_type.removeprefix("priority/"),
        weights={name: weight for name, weight in weights.items() if weight},
        tres_weights={name: weight for name, weight in settings.priority_weight_tres.items() if weight},
        flags=frozenset(settings.priority_flags),
        is_small_favored=settings.priority_favor_small,
        max_age_s=float(settings.priority_max_age_s),
        site_factor=settings.priority_site_factor_plugin.removeprefix("site_factor/"),
        site_parameters=settings.priority_site_factor_parameters,
        half_life_s=float(settings.priority_decay_half_life_s),
        usage_reset_period=settings.priority_usage_reset_period,
        calculation_period_s=float(settings.priority_calc_period_s),
        dampening=float(settings.fair_share_dampening_factor),
    )


def preempt_setup_of(settings: Settings) -> PreemptSetup:
    """Return how jobs are preempted.  The words of PreemptParameters are heard in SchedulerParameters too, as once."""
    once = {
        name.removeprefix("preempt_"): value
        for name, value in settings.scheduler_parameters.items()
        if name.startswith("preempt_")
    }
    parameters = once | settings.preempt_parameters
    least = parameters.get("min_exempt_priority", "")
    return PreemptSetup(
        type=settings.preempt_type.removeprefix("preempt/"),
        modes=frozenset(settings.preempt_mode),
        exempt_s=float(settings.preempt_exempt_s or 0),
        min_exempt_priority=int(least) if least.isdecimal() else None,
        reclaims_licenses="reclaim_licenses" in parameters,
        reorder_count=_count(parameters, "reorder_count", 1),
        sends_user_signal="send_user_signal" in parameters,
        is_strict_order="strict_order" in parameters,
        is_youngest_first="youngest_first" in parameters,
        requeues=settings.job_requeue,
    )


def _factor_weight(name: str, text: str) -> int:
    if not text.isdecimal():
        raise PluginError(f"PriorityParameters: {name}={text}: a factor's weight is a whole number")
    return int(text)


def agent_config_of(config: ClusterConfig, version: int) -> AgentConfig:
    """Return what the agents run with."""
    settings = config.settings
    return AgentConfig(
        version=version,
        digest=config.digest,
        cluster=settings.cluster_name,
        kill_wait_s=float(settings.kill_wait_s),
        heartbeat_interval_s=max(1.0, min(60.0, settings.slurmd_timeout_s / 3)),
        output_tail_bytes=settings.output_tail_bytes,
        job_file_append=settings.job_file_append,
        tmp_fs=settings.tmp_fs,
        mpi_default=settings.mpi_default,
        kill_on_bad_exit=settings.kill_on_bad_exit,
        prolog=_programs(settings.prolog),
        epilog=_programs(settings.epilog),
        task_prolog=settings.task_prolog,
        task_epilog=settings.task_epilog,
        prolog_timeout_s=float(settings.prolog_epilog_timeout_s or 0),
        prolog_flags=settings.prolog_flags,
        propagate_limits=",".join(settings.propagate_resource_limits),
        unkillable_timeout_s=float(settings.unkillable_step_timeout_s),
        constrain_cores=config.cgroup.constrain_cores,
        constrain_memory=config.cgroup.constrain_ram_space,
        constrain_swap=config.cgroup.constrain_swap_space,
        constrain_devices=config.cgroup.constrain_devices,
    )


def _programs(text: str) -> tuple[str, ...]:
    return (text,) if text else ()
