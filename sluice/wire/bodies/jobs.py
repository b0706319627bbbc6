"""From commands to the controller: jobs submitted, waited for, ended and changed; nodes and partitions changed."""

from sluice.model.explanation import Explanation
from sluice.model.job import Job
from sluice.model.request import JobSpec

from .base import Message
from .managers import StepsAt


class SubmitJob(Message, frozen=True, kw_only=True):
    """Submit a job.  A repeated token returns the first submission's id.

    environment: NAME=value strings; script: the batch script, empty for an interactive job.
    """

    token: str
    spec: JobSpec
    script: bytes = b""
    environment: tuple[bytes, ...] = ()


class SubmitHetJob(Message, frozen=True, kw_only=True):
    """Submit a heterogeneous job: all components are accepted or none.  Answered by the first one's id.

    specs: a component each, in order.  script, environment: of the first, which leads.
    """

    token: str
    specs: tuple[JobSpec, ...]
    script: bytes = b""
    environment: tuple[bytes, ...] = ()


class Submitted(Message, frozen=True, kw_only=True):
    """job_id is committed.  warnings go to the user's stderr; placement is told when it started at once."""

    job_id: int
    warnings: tuple[str, ...] = ()


class SubmitJobs(Message, frozen=True, kw_only=True):
    """Several submissions in one frame, each accepted or refused by itself."""

    submissions: tuple[SubmitJob, ...]


class SubmitOutcome(Message, frozen=True, kw_only=True):
    """job_id 0: refused with code and message."""

    job_id: int = 0
    code: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()


class SubmittedJobs(Message, frozen=True, kw_only=True):
    outcomes: tuple[SubmitOutcome, ...]


class TestJob(Message, frozen=True, kw_only=True):
    """--test-only, --explain: validate and estimate; nothing is queued.

    is_explained: tell in full what stands before the start, and what would let it be now.
    """

    __test__ = False

    spec: JobSpec
    is_explained: bool = False


class TestedJob(Message, frozen=True, kw_only=True):
    """When and where the job would start; job_id is what it would be called if it were submitted now.

    start_at: 0 for a job that would be accepted and has no start in sight; only told with an explanation.
    is_awaited: start_at is now, but the nodes are not free yet and expected to be at any moment (not clean after a job,
    or under one that is past its limit).  is_presumed: it counts on jobs without a time limit to end within a year.
    explanation: where it was asked for.  gates: what of it has to be over first and is not about resources (a hold, a
    dependency, a partition that is down); start_at is as if it were.  warnings: what a submission would be told.
    """

    __test__ = False

    job_id: int = 0
    start_at: float = 0.0
    cpu_count: int = 0
    nodes: str = ""
    partition: str = ""
    is_awaited: bool = False
    is_presumed: bool = False
    explanation: Explanation | None = None
    gates: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    now_at: float = 0.0


class WaitJobStart(Message, frozen=True, kw_only=True):
    """Answered when the job has its allocation; refused (code "revoked", "immediate") when it ended before.

    hears_messages: the caller is the job's salloc or srun; NOTICEs UserMessage may come before the answer.
    holds_allocation: the allocation is the caller's own; it is gone when this connection is, whenever that ends.
    """

    job_id: int
    hears_messages: bool = False
    holds_allocation: bool = False


class StartedJob(Message, frozen=True, kw_only=True):
    job: Job
    #: Of the allocation's nodes: (node, address, port).
    addresses: tuple[tuple[str, str, int], ...] = ()
    is_ended: bool = False
    #: What salloc runs without a command: options of an srun, "" for the user's shell here.
    interactive_step: str = ""
    #: Where its steps are managed, if not by the controller.
    steps_at: StepsAt | None = None


class WaitJobEnd(Message, frozen=True, kw_only=True):
    """Answered when the job (all tasks of an array) has ended.  The rest as in WaitJobStart."""

    job_id: int
    hears_messages: bool = False
    holds_allocation: bool = False


class EndedJob(Message, frozen=True, kw_only=True):
    """exit_code is the highest of an array's tasks."""

    state: str
    exit_code: int
    exit_signal: int = 0


class FinishAllocation(Message, frozen=True, kw_only=True):
    """The interactive job's command is done: release the allocation."""

    job_id: int
    exit_code: int = 0
    exit_signal: int = 0


class KillJobs(Message, frozen=True, kw_only=True):
    """scancel: end jobs or send them a signal.

    ids: job id expressions; the other filters combine with AND.  signal 0: end the job.
    """

    ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    reservations: tuple[str, ...] = ()
    wckeys: tuple[str, ...] = ()
    signal: int = 0
    batch_only: bool = False
    full: bool = False
    #: An srun ends its step because a part of it has failed: nobody has cancelled it.
    is_failure: bool = False


class KillOutcome(Message, frozen=True, kw_only=True):
    """id: as the user wrote it.  code "" is done; "unknown", "ended", "not_permitted" otherwise."""

    id: str
    code: str = ""
    message: str = ""


class KilledJobs(Message, frozen=True, kw_only=True):
    outcomes: tuple[KillOutcome, ...]


class ChangeJobs(Message, frozen=True, kw_only=True):
    """hold, uhold, release, requeue, requeuehold, suspend, resume, top on job id expressions."""

    action: str
    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    is_incomplete: bool = False
    is_special_exit: bool = False


class NotifyJob(Message, frozen=True, kw_only=True):
    """scontrol notify: a line for whoever looks at the job; id: a job id expression."""

    id: str
    text: str


class UserMessage(Message, frozen=True, kw_only=True):
    """A NOTICE to a waiting salloc or srun: what somebody has to say about its job."""

    job_id: int
    text: str


class UpdateJobs(Message, frozen=True, kw_only=True):
    """scontrol update JobId=...: changes are (key, value) as typed, keys in any case."""

    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    changes: tuple[tuple[str, str], ...] = ()


class UpdateNodes(Message, frozen=True, kw_only=True):
    nodes: str
    changes: tuple[tuple[str, str], ...] = ()


class UpdatePartition(Message, frozen=True, kw_only=True):
    """action: update, create or delete."""

    name: str
    action: str = "update"
    changes: tuple[tuple[str, str], ...] = ()


class UpdateReservation(Message, frozen=True, kw_only=True):
    """action: update, create or delete.  changes: (key, value) as typed; a key may end in + or -.

    A new reservation without a name gets one, which the reply's line tells.
    """

    name: str = ""
    action: str = "update"
    changes: tuple[tuple[str, str], ...] = ()
