"""What one transaction writes.

The engine's loop fills a Batch while it handles commands; the writer merges the waiting ones and saves them at once.
Of records only the latest version counts; events are kept all, in order.

Invariant: the events of a batch are consecutive, and batches are merged in the order of their events.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import JobSpec
from sluice.model.reservation import Reservation
from sluice.model.step import Step
from sluice.wire.messages import StreamTail

Thing = TypeVar("Thing")
StepKey = tuple[int, int, int]  # job id, attempt, step id


class StoredEvent(NamedTuple):
    """One row of the journal.  job_id: None when it is about no single job; payload: the event as JSON."""

    sequence: int
    at: float
    actor: str
    kind: str
    job_id: int | None
    payload: bytes


class StoredConfig(NamedTuple):
    """One numbered version of the configuration."""

    version: int
    digest: str
    at: float
    text: str


@dataclass(slots=True)
class Batch:
    """A transaction in the making; whoever submits it hands it over."""

    events: list[StoredEvent] = field(default_factory=list)
    jobs: dict[int, Job] = field(default_factory=dict)
    #: Specs that are not yet stored, by spec id.
    specs: dict[int, JobSpec] = field(default_factory=dict)
    #: Finished runs of jobs that were requeued.
    attempts: list[Job] = field(default_factory=list)
    steps: dict[StepKey, Step] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    removed_nodes: set[str] = field(default_factory=set)
    partitions: dict[str, Partition] = field(default_factory=dict)
    removed_partitions: set[str] = field(default_factory=set)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    removed_reservations: set[str] = field(default_factory=set)
    #: token -> job id; stored with the job's time of submission.
    tokens: dict[str, int] = field(default_factory=dict)
    scripts: dict[str, bytes] = field(default_factory=dict)
    environments: dict[str, bytes] = field(default_factory=dict)
    #: (job id, attempt, tail).
    tails: list[tuple[int, int, StreamTail]] = field(default_factory=list)
    configs: list[StoredConfig] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not any(getattr(self, name) for name in self.__slots__)

    def merge(self, later: "Batch") -> None:
        """Add what *later* writes; of one record its version counts."""
        # A name that comes back must not stay among the removed ones, nor the other way round.
        _merge_named(self.nodes, self.removed_nodes, later.nodes, later.removed_nodes)
        _merge_named(self.partitions, self.removed_partitions, later.partitions, later.removed_partitions)
        _merge_named(self.reservations, self.removed_reservations, later.reservations, later.removed_reservations)
        self.events += later.events
        self.jobs.update(later.jobs)
        self.specs.update(later.specs)
        self.attempts += later.attempts
        self.steps.update(later.steps)
        self.tokens.update(later.tokens)
        self.scripts.update(later.scripts)
        self.environments.update(later.environments)
        self.tails += later.tails
        self.configs += later.configs
        self.meta.update(later.meta)


def _merge_named(things: dict[str, Thing], removed: set[str], later: dict[str, Thing], later_removed: set[str]) -> None:
    for name in later_removed:
        things.pop(name, None)
    removed.update(later_removed)
    removed.difference_update(later)
    things.update(later)
