"""The facts of the journal: past tense, complete, enough to rebuild every table.

An event carries what was decided, never what can be computed by applying it.  `decode` and `encode` are the journal's
format (JSON, tagged by kind), version 1; fields may be added with defaults, never renamed.
"""

import msgspec

from sluice.model.allocation import Allocation
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.preemption import Preemption
from sluice.model.reason import Reason
from sluice.model.reservation import Reservation
from sluice.model.states import Ending, JobState
from sluice.model.step import Step


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="kind"):
    """Base of all events.  at: when, by the controller's clock."""

    at: float


class EpochBegan(Event, frozen=True, kw_only=True, tag=True):
    """A controller took over; agents refuse orders of an older epoch.

    cluster_id: of this journal; an agent that knows another forgets its jobs, for their ids are given out again.
    """

    epoch: int
    cluster_id: str = ""


class ConfigurationApplied(Event, frozen=True, kw_only=True, tag=True):
    """The cluster's nodes and partitions as configured from now on."""

    version: int
    digest: str
    nodes: tuple[Node, ...]
    partitions: tuple[Partition, ...]


class JobSubmitted(Event, frozen=True, kw_only=True, tag=True):
    """A job was accepted.  token: the client's, which makes a repetition harmless."""

    job: Job
    token: str = ""


class JobRevised(Event, frozen=True, kw_only=True, tag=True):
    """A job's record was changed: what says how ("hold", "release", "update", "dependency", ...)."""

    job: Job
    what: str


class JobStarted(Event, frozen=True, kw_only=True, tag=True):
    """A job got its allocation.  task_id: it is this task of the array job_id and lives on as new_id.

    has_prolog: the controller's prolog runs first.  preparing_nodes: whose prologs are waited for.
    priority: of the pass that chose it; None: the one that it had.
    decided_after: the last event that the pass saw, by its sequence; 0 when the journal does not say.  decided_at: the
    time that the pass took for now, None when it is that of the event.
    """

    job_id: int
    new_id: int
    allocation: Allocation
    partition: str
    limit_s: int | None
    task_id: int | None = None
    priority: int | None = None
    reservation: str = ""
    decided_after: int = 0
    decided_at: float | None = None
    has_prolog: bool = False
    preparing_nodes: tuple[str, ...] = ()


class JobPrepared(Event, frozen=True, kw_only=True, tag=True):
    """A prolog of the job has ended: the node's, or the controller's when it names none."""

    job_id: int
    node: str = ""


class PassMade(Event, frozen=True, kw_only=True, tag=True):
    """A scheduling pass found something that later ones go by: promised starts, priorities that never fall.

    What it was follows from what the pass saw; only who makes all such passes again decides as they did.
    decided_after, decided_at: as of JobStarted.  is_freed: something had come back since the pass before it.
    """

    decided_after: int
    decided_at: float | None = None
    is_freed: bool = False


class JobEnded(Event, frozen=True, kw_only=True, tag=True):
    """A job reached its final state.  completing_nodes still have to report that nothing of it is left.

    ending: why its processes are being ended.  is_requeued: it becomes pending again once it is clean.
    has_epilog: the controller's epilog runs.
    """

    job_id: int
    state: JobState
    ending: Ending = Ending.FINISHED
    exit_code: int = 0
    exit_signal: int = 0
    reason: Reason = Reason.NONE
    reason_text: str = ""
    by_uid: int | None = None
    completing_nodes: tuple[str, ...] = ()
    is_requeued: bool = False
    failed_node: str = ""
    has_epilog: bool = False


class JobEpilogEnded(Event, frozen=True, kw_only=True, tag=True):
    """The controller's epilog of a run has ended."""

    job_id: int


class TasksCancelled(Event, frozen=True, kw_only=True, tag=True):
    """Some pending tasks of an array were cancelled: they end as the record new_id, which never ran."""

    job_id: int
    ranges: tuple[tuple[int, int, int], ...]
    new_id: int
    by_uid: int | None = None


class TaskSplit(Event, frozen=True, kw_only=True, tag=True):
    """A pending task of an array became a job of its own: somebody changed it alone."""

    job_id: int
    task_id: int
    new_id: int


class JobWarned(Event, frozen=True, kw_only=True, tag=True):
    """The job's processes were sent the signal that it asked for before its end, but for those of the missed nodes."""

    job_id: int
    missed_nodes: tuple[str, ...] = ()


class JobRequeued(Event, frozen=True, kw_only=True, tag=True):
    """A clean job went back to the queue with the same id, as another attempt."""

    job_id: int
    begin_at: float | None = None


class NodeCleaned(Event, frozen=True, kw_only=True, tag=True):
    """Nothing of the job is left on the node; the node's part of the allocation is free."""

    job_id: int
    node: str


class JobPreempted(Event, frozen=True, kw_only=True, tag=True):
    """A running job was told to make room: it ends at preemption.ends_at, or is suspended now."""

    job_id: int
    preemption: Preemption


class JobSuspended(Event, frozen=True, kw_only=True, tag=True):
    """The job's processes were frozen and its CPUs are free; memory and units stay its own."""

    job_id: int


class JobResumed(Event, frozen=True, kw_only=True, tag=True):
    job_id: int


class StepBegan(Event, frozen=True, kw_only=True, tag=True):
    """A step was granted its part of the job's resources."""

    step: Step


class StepRevised(Event, frozen=True, kw_only=True, tag=True):
    """A node of the step reported, or the step ended."""

    step: Step


class NodeChanged(Event, frozen=True, kw_only=True, tag=True):
    """A node registered, was lost, drained, resumed: what says which."""

    node: Node
    what: str


class PartitionChanged(Event, frozen=True, kw_only=True, tag=True):
    partition: Partition


class PartitionDeleted(Event, frozen=True, kw_only=True, tag=True):
    name: str


class ReservationChanged(Event, frozen=True, kw_only=True, tag=True):
    """A reservation was made or changed: what says how ("create", "update", "begin", "repeat", "nodes", ...)."""

    reservation: Reservation
    what: str


class ReservationDeleted(Event, frozen=True, kw_only=True, tag=True):
    """A reservation is no more: what says why ("delete", "end", "purge")."""

    reservation_id: int
    name: str
    what: str


AnyEvent = (
    EpochBegan
    | ConfigurationApplied
    | JobSubmitted
    | JobRevised
    | JobStarted
    | JobPrepared
    | PassMade
    | JobEnded
    | JobEpilogEnded
    | TasksCancelled
    | TaskSplit
    | JobWarned
    | JobRequeued
    | NodeCleaned
    | JobPreempted
    | JobSuspended
    | JobResumed
    | StepBegan
    | StepRevised
    | NodeChanged
    | PartitionChanged
    | PartitionDeleted
    | ReservationChanged
    | ReservationDeleted
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def encode(event: AnyEvent) -> bytes:
    """Return the journal's text of an event."""
    return _encoder.encode(event)


def decode(text: bytes | str) -> AnyEvent:
    """Return the event of a journal text; raises msgspec.ValidationError if it is none."""
    return _decoder.decode(text)


def kind_of(event: AnyEvent) -> str:
    return type(event).__name__


def job_id_of(event: AnyEvent) -> int | None:
    """Return the job that an event is about, None when it is about none."""
    if isinstance(event, JobSubmitted | JobRevised):
        return event.job.id
    if isinstance(event, JobStarted | TasksCancelled | TaskSplit):
        return event.new_id
    if isinstance(event, StepBegan | StepRevised):
        return event.step.job_id
    return getattr(event, "job_id", None)
