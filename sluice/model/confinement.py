"""How jobs are confined on nodes: what cgroup.conf says, for controller and agents alike."""

from .base import Record


class CgroupSettings(Record, frozen=True, kw_only=True):
    """cgroup.conf.  Percentages are of the allocated memory, max_* of the node's."""

    allowed_ram_space_percent: float = 100.0
    allowed_swap_space_percent: float = 0.0
    mountpoint: str = "/sys/fs/cgroup"
    plugin: str = "autodetect"
    constrain_cores: bool = False
    constrain_devices: bool = False
    constrain_ram_space: bool = False
    constrain_swap_space: bool = False
    enable_controllers: bool = False
    ignore_systemd: bool = False
    ignore_systemd_on_failure: bool = False
    max_ram_percent: float = 100.0
    max_swap_percent: float = 100.0
    #: None: the kernel's.
    memory_swappiness: int | None = None
    min_ram_space_mib: int = 30
    signal_children_processes: bool = False
    #: Paths and patterns of devices that every job may use, all others being closed; empty: only others' GRES are.
    allowed_devices: tuple[str, ...] = ()
    #: Processes and threads that a job may have on a node; 0: as many as the kernel lets it.
    processes_max: int = 0
