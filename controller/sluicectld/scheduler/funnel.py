"""The funnel: how many nodes of a partition are left after each demand of a request, one demand after the other.

"40 nodes in partition batch -> 12 with 1 gpu -> 3 with 1 gpu free; needs 4 nodes".  There is one table of demands
(demands.py).  A question about a job goes through all of it, on the nodes as they stand; a refused request through what
concerns the configuration; a pass, which tells every waiting job, through what concerns whole kinds of nodes, once for
each shape, and sums up what is free in one step.

Invariant: the steps never rise.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec.structs import replace

from sluice import hostlist
from sluice.model.explanation import FunnelStep

from .census import Census
from .demands import Demand, Group, Part, Request, demands_of, describe_needs, describe_share, spell
from .explain import count_of
from .levels import Level
from .marks import Mark, find_fixed_marks, find_marks, is_short_unmarked, threshold_of
from .shapes import Shape
from .switches import describe_topology
from .working import WorkingCopy

Steps = tuple[FunnelStep, ...]


def compute_steps(shape: Shape, census: Census, now_at: float, utc_offset_s: int, fits: bool = False) -> Steps:
    """Return the funnel of a request on the nodes as they are now.  fits: there is a place for it, plans left out."""
    working = census.working
    marks = find_marks(shape, working, now_at)
    reserved = {position: mark for position, mark in marks.items() if mark & Mark.RESERVED}
    needs_reserved = bool(reserved) and not fits and is_short_unmarked(shape, working, reserved)
    groups = _members(shape, census.counts, marks, working.levels.__getitem__, working)
    request = Request(shape, working, now_at, utc_offset_s, needs_reserved)
    steps, left = _pour(shape, groups, demands_of(request, *Part))
    ended = _with_end(shape, steps, _offers_of(left, shape.offer), fits)
    return (*ended, _without_named(shape)) if not fits and find_short(shape, working, marks) else ended


def find_short(shape: Shape, working: WorkingCopy, marks: Mapping[int, int] = MappingProxyType({})) -> list[int]:
    """Return which of the nodes that are asked for by name are not among those that are left, ascending."""
    threshold = threshold_of(shape.needs)
    return [
        each
        for each in sorted(shape.required)
        if not working.is_usable[each]
        or each in marks
        or shape.offer(working.levels[each]) < shape.named_tasks.get(each, threshold)
    ]


def _without_named(shape: Shape) -> FunnelStep:
    return FunnelStep(nodes=0, demand=f"with {hostlist.fold(shape.needs.required_nodes)} among them")


def compute_configured_steps(shape: Shape, census: Census) -> Steps:
    """Return the funnel of a request that does not fit on the nodes as they are configured, whatever runs there."""
    working = census.working
    marks = find_fixed_marks(shape, working)
    groups = _members(shape, census.counts, marks, working.levels.__getitem__, working)
    steps, left = _pour(shape, groups, demands_of(Request(shape, working), Part.CONFIGURED))
    return _with_end(shape, steps, _offers_idle(shape, left), fits=False)


def write_now(shape: Shape, working: WorkingCopy, has_plans: bool = False, is_short: bool = False) -> str:
    """Return the funnel of a pass on one line.

    has_plans: planned starts above it may keep nodes from it that are free.  is_short: of those that are asked for by
    name some are not free.
    """
    needs, threshold = shape.needs, threshold_of(shape.needs)
    steps, share = _on_kinds(shape, working)
    offers = shape.offers_now()
    if threshold > 1:
        offers = [offer for offer in offers if offer >= threshold]
    last = FunnelStep(nodes=len(offers), demand=f"with {share} free")
    end = ""
    if is_short:
        return write_steps((*steps, last, _without_named(shape)), describe_needs(needs))
    if len(offers) >= needs.nodes_min:
        room = _with_room(last, shape, offers)
        if room is last:
            end = "; free ones are kept for planned starts above it" if has_plans else "; no set of these holds it"
        last = room
    return write_steps((*steps, last), describe_needs(needs)) + end


def write_idle(shape: Shape, working: WorkingCopy) -> str:
    """Return the funnel on one line on the nodes that are up, whatever runs there: what no end of a job changes."""
    steps, left = _pour_kinds(shape, working)
    return write_steps(_with_end(shape, steps, _offers_idle(shape, left), fits=False), describe_needs(shape.needs))


def _on_kinds(shape: Shape, working: WorkingCopy) -> tuple[Steps, str]:
    """Return the steps as far as kinds of nodes tell, and what is asked of a node in all; kept with the shape."""
    told = shape.told
    if told is None or told[0] != working.usable_version:
        steps, _ = _pour_kinds(shape, working)
        told = shape.told = working.usable_version, tuple(steps), describe_share(shape)
    return told[1:]


def _pour_kinds(shape: Shape, working: WorkingCopy) -> tuple[list[FunnelStep], Counter[Group]]:
    idle = {(working.table.idle(kind), up): count for (kind, up), count in working.count_kinds().items()}
    groups = _members(shape, idle, find_fixed_marks(shape, working), working.idle_level, working)
    demands = demands_of(Request(shape, working), Part.STATE, Part.CONFIGURED)
    return _pour(shape, groups, demands, with_lost=False)


def write_steps(steps: Iterable[FunnelStep], needs: str) -> str:
    """Return the funnel on one line."""
    lost = [
        f"{count_of(step.nodes, 'node') if not place else step.nodes} {step.demand}{_in_brackets(step.lost)}"
        for place, step in enumerate(steps)
    ]
    return f"{' -> '.join(lost)}; needs {needs}"


def _with_end(shape: Shape, steps: list[FunnelStep], offers: list[int], fits: bool) -> Steps:
    """Return the steps with what is to say when there are nodes enough and still no place."""
    if shape.needs.nodes_min > steps[-1].nodes:
        return tuple(steps)
    last = _with_room(steps[-1], shape, offers)
    if last is steps[-1] and not fits and _is_arranged(shape):
        return *steps, FunnelStep(nodes=0, demand=_describe_arrangement(shape))
    return *steps[:-1], last


def _with_room(step: FunnelStep, shape: Shape, offers: Sequence[int]) -> FunnelStep:
    """Return the step with how many tasks its nodes hold where that is too few.  offers: of each node."""
    needs = shape.needs
    most = needs.nodes_max or len(offers)
    room = sum(heapq.nlargest(most, offers) if most < len(offers) else offers)
    if room >= needs.tasks:
        return step
    where = f" on {count_of(most, 'node')}" if most < len(offers) else ""
    return replace(step, demand=f"{step.demand}, room for {count_of(room, 'task')}{where}")


def _offers_of(groups: Counter[Group], offer_of: Callable[[Level], int]) -> list[int]:
    return [offer for group, count in groups.items() for offer in [offer_of(group[0])] * count]


def _offers_idle(shape: Shape, groups: Counter[Group]) -> list[int]:
    return _offers_of(groups, lambda level: shape.offer(shape.cut_idle(level)))


def _is_arranged(shape: Shape) -> bool:
    """Does it ask for more than enough nodes with enough on them?"""
    return bool(_describe_arrangement(shape))


def _describe_arrangement(shape: Shape) -> str:
    """Return what is asked of the nodes together; "" where that is nothing."""
    needs = shape.needs
    if needs.switches_max or needs.segment or needs.is_contiguous:
        words = [*describe_topology(needs), *(["nodes next to one another"] if needs.is_contiguous else [])]
        return f"near one another as asked: {', '.join(words)}"
    if needs.gres_per_job:
        return f"with {' and '.join(map(spell, needs.gres_per_job))} together"
    return f"in the numbers of {needs.features}" if shape.groups or shape.alternatives else ""


def _pour(
    shape: Shape, groups: Counter[Group], demands: Iterable[Demand], with_lost: bool = True
) -> tuple[list[FunnelStep], Counter[Group]]:
    """Return the steps, and what is left at the end.  with_lost: tell which nodes are lost, where that can be told."""
    steps = [FunnelStep(nodes=sum(groups.values()), demand=f"in partition {shape.partition.name}")]
    for demand in demands:
        left = Counter({group: count for group, count in groups.items() if demand.test(group)})
        nodes = sum(left.values())
        if nodes < steps[-1].nodes or demand.always:
            steps.append(FunnelStep(nodes=nodes, demand=demand.words, lost=demand.lost() if with_lost else ""))
        groups = left
    return steps, groups


def _members(
    shape: Shape,
    counts: Mapping[tuple[Level, bool], int],
    marks: Mapping[int, int],
    level_of: Callable[[int], Level],
    working: WorkingCopy,
) -> Counter[Group]:
    """Return the nodes of the partition in groups of equals.  level_of: of a position, as counted."""
    name = shape.partition.name
    groups: Counter[Group] = Counter()
    for (level, is_usable), count in counts.items():
        if name in level.kind.partitions:
            groups[level, is_usable, 0] = count
    for position, mark in marks.items():
        level, is_usable = level_of(position), working.is_usable[position]
        if name in level.kind.partitions:
            groups[level, is_usable, 0] -= 1
            groups[level, is_usable, mark] += 1
    return groups


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
