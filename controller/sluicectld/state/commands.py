"""Commands that come from the controller itself; those of users and agents are the wire's messages."""

import msgspec

from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.wire.messages import NotifyJob, SubmitHetJob, SubmitJob, UpdateJobs, UpdateReservation
from sluicectld.scheduler.plan import Plan
from sluicectld.state.dependencies import Outcome

#: (job id, task id or None of a dependency's term) -> what the accounting tables know of jobs that have left memory.
EndedOutcomes = dict[tuple[int, int | None], Outcome]


class BeginEpoch(msgspec.Struct, frozen=True):
    """A controller takes over."""

    epoch: int
    cluster_id: str = ""


class ApplyConfiguration(msgspec.Struct, frozen=True):
    """A configuration was read and validated."""

    version: int
    digest: str
    nodes: tuple[Node, ...]
    partitions: tuple[Partition, ...]


class AcceptJob(msgspec.Struct, frozen=True):
    """A submission with what only the shell knows: digests of the texts, groups, jobs that left memory long ago."""

    request: SubmitJob
    script_digest: str = ""
    environment_digest: str = ""
    groups: tuple[str, ...] = ()
    ended: EndedOutcomes = {}


class AcceptHetJob(msgspec.Struct, frozen=True):
    """The same for a heterogeneous job; the texts are its leader's."""

    request: SubmitHetJob
    script_digest: str = ""
    environment_digest: str = ""
    groups: tuple[str, ...] = ()
    ended: EndedOutcomes = {}


class ReviseJobs(msgspec.Struct, frozen=True):
    """An update of jobs with what only the shell knows: the caller's groups, jobs that left memory long ago."""

    request: UpdateJobs
    groups: tuple[str, ...] = ()
    ended: EndedOutcomes = {}


class TellJobs(msgspec.Struct, frozen=True):
    """A message with what only the shell knows: the jobs whose salloc or srun waits here and would hear it."""

    request: NotifyJob
    hearers: frozenset[int] = frozenset()


class ReviseReservation(msgspec.Struct, frozen=True):
    """A change of a reservation with what only the shell knows: the users of the groups named, the caller's groups."""

    request: UpdateReservation
    members: dict[str, tuple[str, ...]] = {}
    groups: tuple[str, ...] = ()


class EndAbandoned(msgspec.Struct, frozen=True):
    """Jobs whose salloc or srun holds no connection here, as only the shell knows: job id -> since when."""

    gone_at_by_job: dict[int, float]


class ExpectCommands(msgspec.Struct, frozen=True):
    """Of these pending jobs the salloc or srun is away since the controller started, or has come back."""

    job_ids: tuple[int, ...]
    is_away: bool


class PrologEnded(msgspec.Struct, frozen=True):
    """The controller's prolog of a job has ended; problem: why it failed, empty if it did not."""

    job_id: int
    attempt: int
    problem: str = ""


class EpilogEnded(msgspec.Struct, frozen=True):
    """The controller's epilog of a job's run has ended, whatever came of it."""

    job_id: int
    attempt: int


class ApplyPlan(msgspec.Struct, frozen=True):
    """A pass is done.  decided_at: its snapshot's time, None when that is now.

    is_freed: of its snapshot, if later passes go by what this one found; None if they don't.
    """

    plan: Plan
    decided_at: float | None = None
    is_freed: bool | None = None


class AgentLost(msgspec.Struct, frozen=True):
    """The connection of these nodes' agent broke, or its heartbeats stopped."""

    nodes: tuple[str, ...]
    #: For longer than SlurmdTimeout: the nodes are down.
    is_final: bool = False


class Tick(msgspec.Struct, frozen=True):
    """The time that next_wakeup_at() named has come."""
