"""One command at work: the cluster, the time, who asks, and what comes of it."""

from collections import deque

from sluice.config.settings import Settings
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.states import Hold
from sluice.wire.messages import Message
from sluicectld.permissions import Caller, Verb
from sluicectld.scheduler import priority
from sluicectld.scheduler.snapshot import Policy
from sluicectld.state import events
from sluicectld.state.apply import apply
from sluicectld.state.cluster import Cluster
from sluicectld.state.effects import Effect
from sluicectld.state.timers import Timers
from sluicectld.store.batch import StoredEvent


class Turn:
    """Collects events and effects.  emit() applies at once, so that a rule sees what came before it."""

    __slots__ = (
        "caller",
        "cluster",
        "effects",
        "events",
        "is_pass_due",
        "now_at",
        "policy",
        "settings",
        "timers",
        "to_judge",
    )

    def __init__(
        self, cluster: Cluster, settings: Settings, policy: Policy, timers: Timers, caller: Caller, now_at: float
    ) -> None:
        self.cluster = cluster
        self.settings = settings
        self.policy = policy
        self.timers = timers
        self.caller = caller
        self.now_at = now_at
        self.events: list[events.AnyEvent] = []
        self.effects: list[Effect] = []
        #: Something changed that may let a waiting job start.
        self.is_pass_due = False
        #: Jobs whose dependency is looked at again before the command is done.
        self.to_judge: deque[int] = deque()

    def emit(self, event: events.AnyEvent) -> None:
        """Apply a fact and put it on the journal."""
        cluster = self.cluster
        apply(cluster, event)
        cluster.batch.events.append(
            StoredEvent(
                cluster.next_sequence,
                event.at,
                self.caller.user,
                events.kind_of(event),
                events.job_id_of(event),
                events.encode(event),
            )
        )
        cluster.next_sequence += 1
        self.events.append(event)

    def require(self, verb: Verb, job: Job) -> None:
        """Raise NotPermitted unless the caller may do this to the job."""
        self.caller.require(verb, job.spec.uid)

    def job(self, job_id: int) -> Job:
        """Return the job as it is now."""
        return self.cluster.jobs[job_id]


def current_priority(turn: Turn, job: Job) -> int:
    """Return the priority that the job has now: 0 while it is held; that of its partition while it has one."""
    if job.hold is not Hold.NONE:
        return 0
    partition = turn.cluster.partitions.get(job.partition) or Partition(name=job.partition)
    cluster = turn.cluster
    context = priority.compute_context(turn.policy, cluster.priority_tables, cluster.partitions.values(), turn.now_at)
    return priority.compute_priority(job, partition, turn.policy, context)


Reply = Message | None
