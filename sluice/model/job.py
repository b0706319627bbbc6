"""A job: its request and its life."""

from .allocation import Allocation
from .base import Record
from .preemption import Preemption
from .reason import Reason
from .request import Dependency, JobSpec
from .states import ENDED_STATES, Ending, Hold, JobState


class PendingArray(Record, frozen=True, kw_only=True):
    """The tasks of an array that have not started: one record however many there are.

    ranges: (first, last, step), ascending, disjoint.
    """

    ranges: tuple[tuple[int, int, int], ...]
    throttle: int = 0


class Job(Record, frozen=True, kw_only=True):
    """One job, or the still pending rest of a job array.

    An array's base record keeps `pending_array` until its last task is split off; that task takes the base id.
    Times are None until they happened.
    """

    id: int
    spec: JobSpec
    #: Names the stored spec; array tasks share their array's.
    spec_id: int = 0
    state: JobState = JobState.PENDING
    array_job_id: int = 0
    array_task_id: int | None = None
    pending_array: PendingArray | None = None
    priority: int = 0
    #: The limit in force; None is unlimited.
    limit_s: int | None = None
    #: The partition that it runs in; for a pending job the first one asked.
    partition: str = ""
    submitted_at: float = 0.0
    eligible_at: float | None = None
    #: Not before this time: --begin, after+minutes or a requeue's pause.
    begin_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    suspended_at: float | None = None
    suspended_s: float = 0.0
    #: When it was sent the signal that it asked for before its end (--signal).
    warned_at: float | None = None
    #: Those whose agents were away then, and still are.
    unwarned_nodes: tuple[str, ...] = ()
    allocation: Allocation | None = None
    #: Counts the runs of this job: 0 for the first.  Agents refuse a message of an older attempt.
    attempt: int = 0
    hold: Hold = Hold.NONE
    #: What of the dependency is not yet fulfilled.
    dependency: Dependency = Dependency()
    exit_code: int = 0
    exit_signal: int = 0
    #: Highest exit among the steps.
    derived_exit_code: int = 0
    derived_exit_signal: int = 0
    #: Why it ended, or why an admin or the system holds it; a pending job's live reasons are the scheduler's.
    reason: Reason = Reason.NONE
    reason_text: str = ""
    #: It is pending, and its salloc or srun has not come back since the controller started: nothing starts for nobody.
    awaits_command: bool = False
    cancelled_by: int | None = None
    #: Set while its processes are being ended.
    ending: Ending | None = None
    #: The controller's prolog runs, and nothing of the job starts before it has ended.
    is_in_prolog: bool = False
    #: Nodes whose prolog was ordered at the start and has not ended (PrologFlags=Alloc).
    preparing_nodes: tuple[str, ...] = ()
    #: Nodes that have not yet reported that nothing of this job is left.
    completing_nodes: tuple[str, ...] = ()
    #: Nodes that failed while it ran, and that it goes on without (--no-kill): still its own, and of no use to it.
    lost_nodes: tuple[str, ...] = ()
    #: The controller's epilog of this run runs; its nodes do not wait for it, going back to the queue does.
    is_in_epilog: bool = False
    is_requeued: bool = False
    is_special_exit: bool = False
    next_step_id: int = 0
    #: The node whose agent manages the job's steps; empty: the controller does.
    steps_on: str = ""
    failed_node: str = ""
    #: The reservation that it runs or ran in; of a pending job spec.reservation tells which it asks for.
    reservation: str = ""
    #: Of a job that is being preempted, or was and is suspended.
    preemption: Preemption | None = None
    #: Its CPUs were given away when it was suspended.
    is_without_cpus: bool = False
    #: Of a component of a heterogeneous job: its leader's id, its place among the components, and how many there are.
    #: Components have consecutive ids, the leader's first.
    het_job_id: int = 0
    het_offset: int = 0
    het_size: int = 0
    #: All components, this one included, on their way to whoever describes them to the job; never stored.
    components: tuple["Job", ...] = ()

    @property
    def is_component(self) -> bool:
        """Is it a part of a heterogeneous job?"""
        return self.het_job_id != 0

    @property
    def is_leader(self) -> bool:
        """Is it the first component of a heterogeneous job, whose end is everybody's?"""
        return self.het_job_id == self.id

    @property
    def is_held_back(self) -> bool:
        """Does somebody have to act, be it to come back, before it is free to start?"""
        return self.hold is not Hold.NONE or self.awaits_command

    @property
    def is_ended(self) -> bool:
        return self.state in ENDED_STATES

    @property
    def is_over(self) -> bool:
        """Has it ended, and is nothing of it left to wait for?"""
        return self.is_ended and not self.completing_nodes and not self.is_in_epilog

    @property
    def is_completing(self) -> bool:
        return self.is_ended and not self.is_over

    @property
    def is_configuring(self) -> bool:
        """Has it got its nodes, and waits until they are made ready?"""
        return self.is_in_prolog or bool(self.preparing_nodes)

    @property
    def limit_at(self) -> float | None:
        """Return when the job reaches its limit, as far as it is known; while it is suspended, that moves on."""
        if self.limit_s is None or self.started_at is None:
            return None
        return self.started_at + self.suspended_s + self.limit_s

    @property
    def nodes(self) -> tuple[str, ...]:
        return self.allocation.nodes if self.allocation else ()
