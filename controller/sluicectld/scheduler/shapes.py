"""Shapes: jobs that ask for the same in the same partition share everything that a pass finds out about them.

What does not fit for one does not fit for its twin, because nothing is freed during a pass; so a shape is searched
until it once does not fit.  The order of the search is place.py's, the arithmetic offer.py's.

Invariant: a node that a cursor or a filter has passed by is of no use to the shape for the rest of the pass.
"""

from sluice import feature_expr
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker

from .constraints import Tree, compute_alternatives, compute_groups, parse_constraint
from .levels import Kind, Level, Take
from .needs import Needs
from .offer import Share, can_hold_kind, compute_share, compute_take, count_tasks
from .recurrence import Window
from .reservations import OPEN, Book, View
from .working import WorkingCopy


class Shape:
    """One request in one partition during one pass."""

    def __init__(
        self, needs: Needs, partition: Partition, limit_s: int | None, working: WorkingCopy, uid: int | None = None
    ) -> None:
        self.needs = needs
        self.partition = partition
        self.limit_s = limit_s
        #: None: it does not matter in this pass whose jobs share a node.
        self.uid = uid
        self.features = parse_constraint(needs.features)
        self.groups = compute_groups(self.features)
        self.alternatives = compute_alternatives(self.features)
        self.required = working.positions_of(needs.required_nodes)
        self.working = working
        self._candidates: list[int] | None = None
        self._offers: dict[Level, int] = {}
        self._takes: dict[tuple[Level, int, Share], Take] = {}
        self._suits: dict[Kind, bool] = {}
        #: Candidates before this one hold no whole job of this shape any more.
        self.cursor = 0
        #: It was made sure that some node has something for it.
        self.is_screened = False
        #: Nodes that hold a part of a job now; None until that was asked.
        self.useful_now: list[int] | None = None
        #: Why no job of this shape can start in this pass, for all but the first; None while it may.
        self.blockers: tuple[Blocker, ...] | None = None
        #: Only free resources are missing: its jobs can be planned.
        self.is_waiting = False
        #: May further jobs of this shape get a planned start?
        self.may_plan = False
        self.planned_count = 0
        #: No job of this shape can start before this: the last planned start.
        self.planned_at = 0.0
        #: (changes seen, offers over time) per node.
        self.offers_by_node: dict[int, tuple[int, list[tuple[float, int]]]] = {}
        #: How the cluster looks to its jobs with respect to reservations.
        self.view: View = OPEN
        #: Asked what they leave; None: nothing restricts the shape.
        self.book: Book | None = None
        #: When it may run, if that is bounded.
        self.window: Window | None = None
        #: (start, place in the order, position, changes seen) per node, a heap; None until it was asked.
        self.starts_by_node: list[tuple[float, int, int, int]] | None = None

    @property
    def duration_s(self) -> float:
        return float("inf") if self.limit_s is None else self.limit_s

    @property
    def candidates(self) -> list[int]:
        """Positions of the usable nodes that could hold a part of it, in placement order."""
        if self._candidates is None:
            is_usable = self.working.is_usable
            self._candidates = [each for each in self.configured_candidates() if is_usable[each]]
        return self._candidates

    def configured_candidates(self) -> list[int]:
        """Return the candidates as if every node were usable."""
        working = self.working
        excluded = working.positions_of(self.needs.excluded_nodes)
        levels = working.levels
        suiting = {level for level in set(levels) if self.suits(level.kind)}
        found = [each for each in working.placement_order if levels[each] in suiting]
        if self.view.positions is not None:
            found = [each for each in found if each in self.view.positions]
        return [each for each in found if each not in excluded] if excluded else found

    def restrict(self, position: int, level: Level, from_at: float, until_at: float) -> Level:
        """Return the part of the level that reservations leave to a job of this shape during the interval."""
        if self.book is None:
            return level
        cpus = self.book.room(self.view, position, level.cpus, from_at, until_at)
        if cpus == level.cpus:
            return level
        return self.working.table.level(level.kind, cpus, level.memory_mib, level.gres, level.job_count)

    def sort_by_load(self) -> None:
        """Put the least loaded nodes first."""
        levels = self.working.levels
        self.candidates.sort(key=lambda position: (-levels[position].cpus, position))
        self.cursor = 0

    def has_features(self, tree: Tree, position: int) -> bool:
        """Does the node suit a part of the feature expression?"""
        return feature_expr.evaluate(tree, self.working.nodes[position].node.features)

    def known_kinds(self) -> list[Kind]:
        """Return the kinds of nodes that there are."""
        return self.working.table.kinds

    def suits(self, kind: Kind) -> bool:
        """May the job run on nodes of this kind at all, if they are idle and up?"""
        known = self._suits.get(kind)
        if known is None:
            known = self._suits[kind] = (
                self.partition.name in kind.partitions
                and can_hold_kind(kind, self.needs)
                and (not self.features or feature_expr.evaluate(self.features, kind.node.features))
                and count_tasks(self.working.table.idle(kind), self.needs) > 0
            )
        return known

    def offer(self, level: Level) -> int:
        """Return how many tasks fit at the level."""
        known = self._offers.get(level)
        if known is None:
            known = self._offers[level] = count_tasks(level, self.needs)
        return known

    def take(self, level: Level, tasks: int, share: Share = ()) -> Take:
        """Return what a job of this shape takes at the level."""
        key = (level, tasks, share)
        known = self._takes.get(key)
        if known is None:
            known = self._takes[key] = compute_take(level, self.needs, tasks, share)
        return known

    def share(self, level: Level) -> Share:
        """Return what the node could give of the resources asked for the whole job."""
        return compute_share(level, self.needs)


def is_user_sensitive(working: WorkingCopy, jobs: tuple[Job, ...], partitions: dict[str, Partition]) -> bool:
    """Does it matter in this pass whose jobs share a node?"""
    if working.owner_by_position or any(partition.exclusive_user for partition in partitions.values()):
        return True
    return any(job.spec.exclusive == "user" for job in jobs)
