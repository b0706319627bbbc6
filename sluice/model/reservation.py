"""A reservation: nodes, cores or licenses kept for some users over an interval, maybe repeating.

Which jobs may use it is scheduler/reservation_access.py's, when it comes again scheduler/recurrence.py's, and what it
means to everybody else scheduler/reservations.py's.
"""

from .base import Record


class CoreShare(Record, frozen=True, kw_only=True):
    """The cores that a reservation keeps of one node: a kernel list of core numbers, and the CPUs they come to."""

    node: str
    cores: str
    core_count: int
    cpu_count: int


class Reservation(Record, frozen=True, kw_only=True):
    """One reservation; of a repeating one the interval is that of the present or the next time.

    A denied list ("-ann") lets everybody in but those who are named.
    """

    id: int
    name: str
    start_at: float
    end_at: float
    #: In the order of scheduler/reservation_flags; PURGE_COMP without its time.
    flags: tuple[str, ...] = ()
    #: The first start: a repeating reservation comes at this clock time whatever daylight saving does.
    anchor_at: float = 0.0
    #: The zone of that clock time: "Europe/Berlin", or "UTC+01:00".
    zone: str = "UTC"
    #: Between its start and its end, as far as the controller has acted on it.
    has_begun: bool = False
    #: TIME_FLOAT: it always starts this much later than now.
    float_s: float | None = None
    #: PURGE_COMP: gone after it was idle so long.
    purge_after_s: int | None = None
    #: PURGE_COMP: since when no job has used it while it was active.
    idle_since_at: float | None = None
    nodes: tuple[str, ...] = ()
    #: How many nodes were asked for by number, which replacing keeps up; 0: they were named.
    node_count_asked: int = 0
    #: Empty: the nodes are kept whole.
    core_shares: tuple[CoreShare, ...] = ()
    #: All cores of the nodes, or those of the shares.
    core_count: int = 0
    #: The same as CPUs.
    cpu_count: int = 0
    partition: str = ""
    features: str = ""
    users: tuple[str, ...] = ()
    is_users_denied: bool = False
    groups: tuple[str, ...] = ()
    #: The users that are known to be in one of the groups.
    members: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    is_accounts_denied: bool = False
    qos: tuple[str, ...] = ()
    is_qos_denied: bool = False
    #: Jobs in other partitions are not let in; empty: all partitions.
    allowed_partitions: tuple[str, ...] = ()
    licenses: tuple[tuple[str, int], ...] = ()
    #: Jobs that may use it but do not ask for it may have its nodes for so long.
    max_start_delay_s: int | None = None
    burst_buffer: str = ""
    comment: str = ""
    created_at: float = 0.0
    created_by: int = 0

    def has(self, flag: str) -> bool:
        return flag in self.flags

    @property
    def duration_s(self) -> float:
        return self.end_at - self.start_at
