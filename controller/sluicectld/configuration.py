"""From the configuration files to the records that the engine, the scheduler and the agents work with.  Pure."""

import time

from sluice.config.records import NO_LIMIT_S, ClusterConfig, NodeConfig, PartitionConfig
from sluice.config.settings import Settings
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import GresRequest
from sluice.model.states import NodeState
from sluice.wire.messages import AgentConfig
from sluicectld.scheduler.snapshot import Policy
from sluicectld.zone import find_local_zone

_STATES = {"UNKNOWN": NodeState.UNKNOWN, "DOWN": NodeState.DOWN, "FUTURE": NodeState.FUTURE}


def nodes_of(config: ClusterConfig) -> tuple[Node, ...]:
    """Return the configured nodes, in order."""
    return tuple(_node(index, node) for index, node in enumerate(config.nodes))


def _node(index: int, node: NodeConfig) -> Node:
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
    )


def policy_of(config: ClusterConfig) -> Policy:
    """Return what the scheduler decides by."""
    settings = config.settings
    parameters = settings.scheduler_parameters
    words = {word.upper() for word in settings.select_type_parameters}
    unit = "node" if settings.select_type == "select/linear" else _select_unit(words)
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
        priority_weights=_priority_weights(settings),
        max_age_s=float(settings.priority_max_age_s),
        utc_offset_s=time.localtime().tm_gmtoff,
        time_zone=find_local_zone(),
        reservation_overrun_s=settings.reservation_overrun_s,
        partition_factor_max=max((partition.priority_job_factor for partition in config.partitions), default=1),
    )


def _select_unit(words: set[str]) -> str:
    for unit in ("core", "socket", "cpu"):
        if any(word.startswith(f"CR_{unit.upper()}") for word in words):
            return unit
    return "cpu"


def _count(parameters: dict[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "")
    return int(text) if text.isdecimal() and int(text) > 0 else default


def _priority_weights(settings: Settings) -> dict[str, int]:
    if settings.priority_type == "priority/basic":
        return {}
    weights = {
        "age": settings.priority_weight_age,
        "fairshare": settings.priority_weight_fair_share,
        "jobsize": settings.priority_weight_job_size,
        "partition": settings.priority_weight_partition,
        "qos": settings.priority_weight_qos,
    }
    return {name: weight for name, weight in weights.items() if weight}


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
