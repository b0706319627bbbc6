"""The records that a configuration is parsed into: frozen, resolved, and free of notation.

Node names are expanded, DEFAULT lines and DownNodes applied, CPUs and topology derived, node sets and ALL
resolved.  "No limit" is None, except where None means "the cluster's value": there it is NO_LIMIT_S.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sluice.config.problems import ConfigWarning
from sluice.config.settings import Settings
from sluice.model.confinement import CgroupSettings
from sluice.model.topology import Topology

#: A time without end where None already means something else: a hundred years.
NO_LIMIT_S: Final = 100 * 365 * 86400


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One node as configured; cpus = boards x sockets x cores x threads, or one per core or socket.

    sockets: of the whole node.  gres: (name, type, count), type "" when untyped.
    state: UNKNOWN, CLOUD, FUTURE, DOWN, DRAIN or FAIL.
    """

    name: str
    hostname: str
    address: str
    port: int
    cpus: int = 1
    boards: int = 1
    sockets: int = 1
    cores_per_socket: int = 1
    threads_per_core: int = 1
    memory_mib: int = 1
    tmp_disk_mib: int = 0
    features: tuple[str, ...] = ()
    gres: tuple[tuple[str, str, int], ...] = ()
    weight: int = 1
    state: str = "UNKNOWN"
    reason: str = ""
    core_spec_count: int = 0
    cpu_spec_list: str = ""
    mem_spec_limit_mib: int = 0
    cpu_bind: str = "none"


class NodeSet(msgspec.Struct, frozen=True):
    """A name for some nodes: those listed and those with the feature."""

    name: str
    nodes: tuple[str, ...]
    feature: str


class PartitionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One partition as configured.  Empty allow lists mean ALL; None is unlimited but where said otherwise."""

    name: str
    nodes: tuple[str, ...] = ()
    is_default: bool = False
    #: UP, DOWN, DRAIN or INACTIVE.
    state: str = "UP"
    max_limit_s: int | None = None
    #: None: the maximum is the default.
    default_limit_s: int | None = None
    max_nodes: int | None = None
    min_nodes: int = 0
    priority_tier: int = 1
    priority_job_factor: int = 1
    #: NO, EXCLUSIVE, YES:n or FORCE:n.
    oversubscribe: str = "NO"
    #: NO, NODE, USER or TOPO; NODE goes with oversubscribe EXCLUSIVE, USER with exclusive_user.
    exclusive: str = "NO"
    exclusive_user: bool = False
    allow_groups: tuple[str, ...] = ()
    allow_accounts: tuple[str, ...] = ()
    deny_accounts: tuple[str, ...] = ()
    allow_qos: tuple[str, ...] = ()
    deny_qos: tuple[str, ...] = ()
    qos: str = ""
    allow_submit_nodes: tuple[str, ...] = ()
    alternate: str = ""
    #: Empty: the cluster's.
    preempt_mode: tuple[str, ...] = ()
    grace_s: int = 0
    #: Memory, cpus_per_gpu, disable_root_jobs and over_limit_s: None is the cluster's value; memory 0 is no limit.
    default_memory_per_cpu_mib: int | None = None
    default_memory_per_node_mib: int | None = None
    default_memory_per_gpu_mib: int | None = None
    max_memory_per_cpu_mib: int | None = None
    max_memory_per_node_mib: int | None = None
    cpus_per_gpu: int | None = None
    job_defaults: dict[str, str] = {}
    is_hidden: bool = False
    root_only: bool = False
    disable_root_jobs: bool | None = None
    requires_reservation: bool = False
    least_loaded: bool = False
    max_cpus_per_node: int | None = None
    max_cpus_per_socket: int | None = None
    over_limit_s: int | None = None
    select_type_parameters: tuple[str, ...] = ()
    #: TRES in lower case -> weight of one unit (memory: one MiB).
    billing_weights: dict[str, float] = {}
    #: The same as written, for display.
    billing_weights_text: str = ""
    cpu_bind: str = "none"
    #: A topology's name; "": the default one.
    topology: str = ""


class GresLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of gres.conf.  node_names empty: every node; count None: one per file, else one."""

    name: str = ""
    node_names: tuple[str, ...] = ()
    type: str = ""
    count: int | None = None
    files: tuple[str, ...] = ()
    multiple_files: tuple[str, ...] = ()
    #: Core numbers as written: "0-7,16".
    cores: str = ""
    #: "": not said on this line.
    auto_detect: str = ""
    flags: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the configuration files say.

    digest: over names and contents of all files read; equal digests, equal configurations.
    raw_settings, raw_cgroup: key as the schema spells it -> text as written, only what was written.
    """

    path: str
    files: tuple[str, ...]
    digest: str
    settings: Settings
    raw_settings: dict[str, str]
    nodes: tuple[NodeConfig, ...]
    partitions: tuple[PartitionConfig, ...]
    node_sets: tuple[NodeSet, ...] = ()
    gres: tuple[GresLine, ...] = ()
    cgroup: CgroupSettings = CgroupSettings()
    raw_cgroup: dict[str, str] = {}
    warnings: tuple[ConfigWarning, ...] = ()
    #: Empty: the network is flat.
    topologies: tuple[Topology, ...] = ()

    def node(self, name: str) -> NodeConfig | None:
        """Return the node called *name*; for one look-up, not for a loop."""
        return next((node for node in self.nodes if node.name == name), None)

    def gres_of(self, node_name: str) -> tuple[GresLine, ...]:
        """Return the gres.conf lines that speak of *node_name*, in the file's order."""
        return tuple(line for line in self.gres if not line.node_names or node_name in line.node_names)
