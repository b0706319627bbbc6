"""A node: a machine that can be allocated.  Name, host name and address are three things."""

from .base import Record
from .request import GresRequest
from .states import NodeState


class GresPlace(Record, frozen=True, kw_only=True):
    """Units of one resource that stand together, as gres.conf tells of them.

    cores: the core numbers near them as a kernel list, "" for all of the node.  is_counted: units are a number only.
    """

    name: str
    type: str = ""
    count: int = 1
    cores: str = ""
    is_counted: bool = False


class Inventory(Record, frozen=True, kw_only=True):
    """What an agent measured on its machine when it registered."""

    cpus: int
    memory_mib: int
    sockets: int = 1
    cores_per_socket: int = 1
    threads_per_core: int = 1
    tmp_disk_mib: int = 0
    gres: tuple[GresRequest, ...] = ()
    hostname: str = ""
    arch: str = ""
    os: str = ""
    version: str = ""
    boot_id: str = ""
    booted_at: float = 0.0
    agent_started_at: float = 0.0
    #: Changes when the spool was made anew: what the agent knew of its jobs before is gone.
    spool_id: str = ""
    #: What cannot be enforced here and why ("cgroups: not permitted"), empty when everything is.
    unenforced: str = ""
    #: Why gres is less than configured, or should be looked at.
    gres_problems: tuple[str, ...] = ()
    #: Where the units stand, if that was found out rather than configured.
    gres_places: tuple[GresPlace, ...] = ()


class Drain(Record, frozen=True, kw_only=True):
    """Why the system keeps work off a node until the cause is gone.  cause: names it, whatever the reason says."""

    cause: str
    reason: str
    at: float


class Failure(Record, frozen=True, kw_only=True):
    """A job that failed on a node; text: how."""

    job_id: int
    user: str
    text: str


class Reboot(Record, frozen=True, kw_only=True):
    """A restart that was asked for.  issued_at: when the node was told; None: it waits until nothing runs there.

    next_state: "RESUME" or "DOWN" afterwards; "" is as before.
    """

    reason: str = ""
    next_state: str = ""
    is_asap: bool = False
    issued_at: float | None = None


class Node(Record, frozen=True, kw_only=True):
    """A node as configured, as registered, and its state."""

    name: str
    hostname: str = ""
    address: str = ""
    port: int = 6818
    cpus: int = 1
    boards: int = 1
    sockets: int = 1
    cores_per_socket: int = 1
    threads_per_core: int = 1
    memory_mib: int = 1
    tmp_disk_mib: int = 0
    features: tuple[str, ...] = ()
    gres: tuple[GresRequest, ...] = ()
    weight: int = 1
    #: Place in the configuration: listings and placement follow it.
    index: int = 0
    state: NodeState = NodeState.UNKNOWN
    is_drained: bool = False
    is_failing: bool = False
    is_responding: bool = True
    reason: str = ""
    reason_uid: int = 0
    reason_at: float = 0.0
    inventory: Inventory | None = None
    registered_at: float = 0.0
    idle_since_at: float = 0.0
    comment: str = ""
    extra: str = ""
    #: Cores, CPU numbers or MiB that are kept for the system and given to no job.
    core_spec_count: int = 0
    cpu_spec_list: str = ""
    mem_spec_limit_mib: int = 0
    #: The system's own drains that it takes back by itself; empty: a drain is an administrator's, or waits for one.
    drains: tuple[Drain, ...] = ()
    reboot: Reboot | None = None
    #: The last job of each user since one ended well here, where that is counted.
    failures: tuple[Failure, ...] = ()
    #: (job_id, attempt) of jobs that were given up while the agent was silent, and of which processes may be left.
    leftovers: tuple[tuple[int, int], ...] = ()
    #: Where the units of gres stand, in the order of their numbers; empty: nothing is known of it.
    gres_places: tuple[GresPlace, ...] = ()

    @property
    def is_usable(self) -> bool:
        """May new work start here?"""
        is_held = self.is_drained or self.is_failing or bool(self.leftovers)
        return self.state is NodeState.UP and self.is_responding and not is_held
