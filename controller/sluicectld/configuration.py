"""From the configuration files to the records that the engine, the scheduler and the agents work with.  Pure."""

from sluice.config.node_setup import GresLines
from sluice.config.records import NO_LIMIT_S, ClusterConfig, GresLine, NodeConfig, PartitionConfig
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import GresRequest
from sluice.model.states import NodeState
from sluice.wire.messages import AgentConfig

from .gres_places import compute_places

_STATES = {"UNKNOWN": NodeState.UNKNOWN, "DOWN": NodeState.DOWN, "FUTURE": NodeState.FUTURE}


def nodes_of(config: ClusterConfig) -> tuple[Node, ...]:
    """Return the configured nodes, in order."""
    lines = GresLines(config)
    return tuple(_node(index, node, lines.of(node.name)) for index, node in enumerate(config.nodes))


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
        prolog=programs_of(settings.prolog),
        epilog=programs_of(settings.epilog),
        task_prolog=settings.task_prolog,
        task_epilog=settings.task_epilog,
        prolog_timeout_s=float(settings.prolog_epilog_timeout_s or 0),
        prolog_flags=settings.prolog_flags,
        is_xauthority_at_home="home_xauthority" in settings.x11_parameters,
        propagate_limits=",".join(settings.propagate_resource_limits),
        propagate_limits_except=",".join(settings.propagate_resource_limits_except),
        propagate_nice=settings.propagate_prio_process,
        reboot_program=settings.reboot_program,
        health_check_program=settings.health_check_program,
        unkillable_program=settings.unkillable_step_program,
        unkillable_timeout_s=float(settings.unkillable_step_timeout_s),
        cgroup=config.cgroup,
        is_usage_of_cgroup=settings.job_acct_gather_type.endswith("cgroup"),
        task_plugins=settings.task_plugins,
        task_parameters=settings.task_plugin_parameters,
        partition_cpu_bind={part.name: part.cpu_bind for part in config.partitions if part.cpu_bind != "none"},
        private_dirs=settings.private_dirs,
    )


def programs_of(text: str) -> tuple[str, ...]:
    """Return the patterns of a list of programs."""
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)
