"""Shapes: jobs that ask for the same in the same partition share everything that a pass finds out about them.

What does not fit for one does not fit for its twin, because nothing is freed during a pass; so a shape is searched
until it once does not fit.  What a shape knows of levels outlives the pass, what it found out about this one does not:
begin().  The order of the search is place.py's, the arithmetic offer.py's.

Invariant: a node that a cursor or a filter has passed by is of no use to the shape for the rest of the pass.
"""

from collections.abc import Set
from typing import Any, Protocol, TypeVar

from sluice import feature_expr
from sluice.model.explanation import FunnelStep
from sluice.model.partition import Partition
from sluice.model.reason import Blocker

from .constraints import Group, Tree, compute_alternatives, compute_groups, parse_constraint
from .demand import Share
from .guests import Guests
from .levels import Kind, Level, Take
from .limits.partition import find_partition_blocker
from .needs import Needs
from .offer import can_hold_kind, compute_share, compute_take, count_tasks
from .orderings import order_by, order_candidates
from .place import is_ranged
from .recurrence import Window
from .reservations import OPEN, Book, View
from .task_rows import TaskRows, compute_task_rows
from .timeline import Timeline
from .working import WorkingCopy


class Access:
    """What reservations leave to the jobs of one shape in one pass."""

    def __init__(self, view: View, book: Book, window: Window | None = None) -> None:
        self.view = view
        self.book = book
        #: When the jobs may run, if that is bounded.
        self.window = window
        self._whole = [closure for closure in view.closures if not closure.cpus]
        #: A part of a node may be left.
        self.is_cutting = bool(view.caps) or len(self._whole) < len(view.closures)
        self._open: dict[tuple[int, ...], tuple[list[int], list[int]]] = {}

    def only_open(self, candidates: list[int], from_at: float, until_at: float) -> list[int]:
        """Return those that are not closed as a whole in the interval; the same list for the same closures."""
        met = tuple(place for place, closure in enumerate(self._whole) if closure.meets(from_at, until_at))
        if not met:
            return candidates
        known = self._open.get(met)
        if known is None or known[0] is not candidates:
            closed = frozenset[int]().union(*(self._whole[place].positions for place in met))
            known = self._open[met] = (candidates, [each for each in candidates if each not in closed])
        return known[1]


class Placed(Protocol):
    """What stands on a node."""

    @property
    def position(self) -> int: ...


_Placed = TypeVar("_Placed", bound=Placed)


class Shape:
    """One request in one partition."""

    def __init__(
        self,
        needs: Needs,
        partition: Partition,
        limit_s: int | None,
        working: WorkingCopy,
        timeline: Timeline | None = None,
        uid: int | None = None,
        is_least_loaded: bool = False,
        access: "Access | None" = None,
    ) -> None:
        self.needs = needs
        self.partition = partition
        self.limit_s = limit_s
        self.duration_s = float("inf") if limit_s is None else float(limit_s)
        #: None: it does not matter in this pass whose jobs share a node.
        self.uid = uid
        self.features = parse_constraint(needs.features)
        self.batch_groups = tuple(Group(tree, 1) for tree in (parse_constraint(needs.batch_features),) if tree)
        self.groups = self.batch_groups + compute_groups(self.features)
        self.alternatives = compute_alternatives(self.features)
        self.required = working.positions_of(needs.required_nodes)
        #: How many tasks each of the required nodes gets, where the request says so.
        self.named_tasks = {each: tasks for name, tasks in needs.named_tasks for each in working.positions_of((name,))}
        #: What reservations leave to its jobs; None: all.
        self.access = access
        reservation = access.view.reservation if access is not None else ""
        #: What tells whether it is of the same request as one in another pass; set by who makes it.
        self.request: object = None
        #: What names the queue that its jobs stand in: those of a reservation have one of their own.
        self.queue = f"{partition.name}@{reservation}" if reservation else partition.name
        #: Orders that change as jobs start: of nodes that start jobs, and of those that jobs are planned on.
        self.orderings = ("least_loaded",) if is_least_loaded else ()
        self.planning_orderings = ("in_use_first",) if working.policy.prefers_busy_nodes else ()
        #: The first node that holds all tasks settles it.
        self.is_first_fit = _is_first_fit(needs) and not (self.required or self.groups or self.alternatives)
        self.arranger = working.arrangers.get(partition.topology)
        self._working = working
        self._timeline = timeline
        self._candidates: list[int] | None = None
        self._usable_seen = -1
        #: Whose jobs are on which node when; only looked at where the shape is of one user.
        self.guests: Guests | None = None
        #: Whether idle nodes would hold it, and of which usable nodes that is known.
        self.fits_idle = False
        self.idle_seen = -1
        #: What kinds of nodes mean to it (funnel.py), and of which usable nodes that is.
        self.told: tuple[int, tuple[FunnelStep, ...], str] | None = None
        #: The pass that it was begun for.
        self.pass_number = 0
        self._offers: dict[Level, int] = {}
        self._task_rows: TaskRows | None = None
        self._takes: dict[tuple[Level, int, Share], Take] = {}
        self._suits: dict[Kind, bool] = {}
        #: All jobs of the partition together may have some CPUs of a node only.
        self.is_capped = working.partition_cpus.is_capped(partition.name) and not needs.is_exclusive
        #: What it takes from a node depends on what is free there: units of any type, or a share of the job's units;
        #: or a node offers less than is free.
        self.is_level_dependent = (
            self.is_capped
            or (access is not None and access.is_cutting)
            or bool(needs.gres_per_job)
            or any(kind.is_exact or self._has_choice(kind) for kind in working.table.kinds if self.suits(kind))
        )
        #: Whether it starts now depends on what is free on one node, and on nothing else.
        is_single = uid is None and (needs.is_single_node or len(working.nodes) == 1)
        self.is_plain = self.is_first_fit and is_single and not self.is_level_dependent and not self.orderings
        self._ask: Any = None
        self._asked_of: list[int] | None = None
        #: What in the partition itself stands against it.
        self.partition_blocker = find_partition_blocker(needs, limit_s, partition)
        self.begin()

    def begin(self) -> None:
        """Forget what was found out in an earlier pass."""
        #: Candidates before this one hold no whole job of this shape any more.
        self.cursor = 0
        #: Why no job of this shape can start in this pass, for all but the first; None while it may.
        self.blockers: tuple[Blocker, ...] | None = None
        #: Only free resources are missing: its jobs can be planned.
        self.is_waiting = False
        #: May further jobs of this shape get a planned start?
        self.may_plan = False
        self.planned_count = 0
        #: No job of this shape can start before this: the last planned start.
        self.planned_at = 0.0
        if self.arranger is not None:
            self._candidates = None
            self.idle_seen = -1
        if self.partition_blocker is not None:
            self.blockers = (self.partition_blocker,)

    @property
    def candidates(self) -> list[int]:
        """Positions of the usable nodes that could hold a part of it, in placement order."""
        working = self._working
        if self._candidates is None or self._usable_seen != working.usable_version:
            self._usable_seen = working.usable_version
            self._candidates = working.only_usable(self.configured_candidates())
        return self._candidates

    def candidates_during(self, from_at: float, until_at: float) -> tuple[list[int], Any]:
        """Return the candidates that no reservation closes in the interval, also in the form that tracks take."""
        assert self._timeline is not None, "a shape without a timeline"
        candidates = self.candidates
        if self.access is not None:
            candidates = self.access.only_open(candidates, from_at, until_at)
        return candidates, self._timeline.make_positions(candidates)

    def only_own(self, positions: list[int], from_at: float | None, until_at: float) -> list[int]:
        """Return the nodes that are not kept to other users, nor used by any that the jobs can't have beside them.

        from_at: None for now, in fact.
        """
        if self.uid is None or self.guests is None:
            return positions
        uid, is_alone, guests = self.uid, self.needs.is_user_exclusive, self.guests
        if from_at is None:
            return [each for each in positions if not guests.is_foreign_now(each, uid, is_alone, until_at)]
        return [each for each in positions if not guests.is_foreign(each, uid, is_alone, from_at, until_at)]

    def only_own_without(self, positions: list[int], until_at: float, gone_ids: Set[int]) -> list[int]:
        """Return the same from now on, in fact, as if these jobs were gone."""
        if self.uid is None or self.guests is None:
            return positions
        uid, is_alone, guests = self.uid, self.needs.is_user_exclusive, self.guests
        return [each for each in positions if not guests.is_foreign_without(each, uid, is_alone, until_at, gone_ids)]

    @property
    def ask(self) -> Any:
        """The question whether a job of it starts now, as the tracks take it."""
        candidates = self.candidates
        if self._asked_of is not candidates:
            assert self._timeline is not None, "a shape without a timeline"
            positions = self._timeline.make_positions(candidates)
            self._ask = self._timeline.tracks.make_ask(self.task_rows, positions, self.needs.tasks, self.duration_s)
            self._asked_of = candidates
        return self._ask

    @property
    def view(self) -> View:
        """How the cluster looks to its jobs with respect to reservations."""
        return OPEN if self.access is None else self.access.view

    def configured_candidates(self) -> list[int]:
        """Return the candidates as if every node were usable; not to be changed."""
        working = self._working
        kinds = frozenset(filter(self.suits, working.table.kinds))
        if self.arranger is None or self.needs.nodes_min > 1:
            found = working.positions_of_kinds(kinds)
        else:
            # Jobs on one node keep together where near nodes matter.
            found = [each for each in working.packed(self.arranger) if working.kinds[each] in kinds]
        excluded = working.positions_of(self.needs.excluded_nodes)
        found = [each for each in found if each not in excluded] if excluded else found
        inside = self.view.positions
        found = found if inside is None else [each for each in found if each in inside]
        return order_candidates(found, self.needs, working)

    def groups_of(self, alternative: Tree) -> tuple[Group, ...]:
        """Return the counts of nodes to fill when all nodes suit the alternative; () for no choice of them."""
        return self.batch_groups + compute_groups(alternative) if alternative else self.groups

    def rank(self, positions: list[int], orderings: tuple[str, ...]) -> list[int]:
        """Return the positions, which are in the order of the candidates, in the order in which they are tried."""
        for name in orderings:
            positions = order_by(name, positions, self.needs, self._working)
        return positions

    def batch_host_first(self, parts: list[_Placed]) -> list[_Placed]:
        """Return the parts with the first node in front that suits --batch; its script runs on the first of all."""
        if not self.batch_groups:
            return parts
        tree = self.batch_groups[0].tree
        first = next(part for part in parts if self.has_features(tree, part.position))
        return [first, *(part for part in parts if part is not first)]

    def has_features(self, tree: Tree, position: int) -> bool:
        """Does the node suit a part of the feature expression?"""
        return feature_expr.evaluate(tree, self._working.nodes[position].node.features)

    def known_kinds(self) -> list[Kind]:
        """Return the kinds of nodes that there are."""
        return self._working.table.kinds

    def suits(self, kind: Kind) -> bool:
        """May the job run on nodes of this kind at all, if they are idle and up?"""
        known = self._suits.get(kind)
        if known is None:
            known = self._suits[kind] = (
                self.partition.name in kind.partitions
                and can_hold_kind(kind, self.needs)
                and (not self.features or feature_expr.evaluate(self.features, kind.node.features))
                and count_tasks(self._working.table.idle(kind), self.needs) > 0
            )
        return known

    def offer(self, level: Level) -> int:
        """Return how many tasks fit at the level."""
        known = self._offers.get(level)
        if known is None:
            known = self._offers[level] = count_tasks(level, self.needs)
        return known

    def offers_now(self) -> list[int]:
        """Return how many tasks each candidate holds that holds any, planned starts left out of account."""
        if self._timeline is None or self.is_level_dependent:
            levels = self._working.levels
            return [offer for position in self.candidates if (offer := self.offer(levels[position]))]
        tracks, now_at = self._timeline.tracks, self._timeline.now_at
        return tracks.collect_now(self.task_rows, self.candidates_during(now_at, now_at)[1], now_at, 0, 0)[1]

    def cut(self, level: Level, position: int, from_at: float, until_at: float) -> Level:
        """Return the level with no more CPUs than the partition and reservations leave of the node all the time."""
        if self.is_capped:
            level = self._working.partition_cpus.cut(level, self.partition.name, position, from_at, until_at)
        if self.access is None or not self.access.is_cutting:
            return level
        cpus = self.access.book.room(self.access.view, position, level.cpus, from_at, until_at)
        return self._working.table.with_cpus(level, cpus)

    def cut_idle(self, level: Level) -> Level:
        """Return the same if nobody used the node."""
        return self._working.partition_cpus.cut_idle(level, self.partition.name) if self.is_capped else level

    @property
    def task_rows(self) -> TaskRows:
        """What its tasks take, by kind of node."""
        if self._task_rows is None:
            self._task_rows = compute_task_rows(self.needs, self._working.table, self.suits, self._has_choice)
        return self._task_rows

    def _has_choice(self, kind: Kind) -> bool:
        """Are there units of several types that would do?"""
        untyped = {item.name for item in (*self.needs.gres_per_node, *self.needs.gres_per_task) if not item.type}
        return any(sum(name == each for name, _, _ in kind.gres) > 1 for each in untyped)

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


def is_user_sensitive(working: WorkingCopy, partitions: dict[str, Partition]) -> bool:
    """Does it matter in this pass whose jobs share a node?"""
    if working.owner_by_position or any(partition.exclusive_user for partition in partitions.values()):
        return True
    return working.roll.traits.is_user_exclusive


def _is_first_fit(needs: Needs) -> bool:
    is_odd = needs.is_contiguous or needs.is_spread or needs.gres_per_job or is_ranged(needs)
    return needs.nodes_min == 1 and not is_odd
