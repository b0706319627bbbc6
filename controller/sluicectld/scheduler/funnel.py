"""The funnel: how many nodes of a partition are left after each demand of a request, one demand after the other.

"40 nodes in partition batch -> 12 with 1 gpu -> 3 with 1 gpu free; needs 4".  First what nodes are (up, features,
shape, CPUs, memory, each resource as configured), then what is free of it.  Each demand is tested with the arithmetic
of offer.py, on needs that hold the demands so far and no other, so that the last step is what a pass sees.

This is for questions; what a pass writes on its way is explain.py's.  Invariant: the steps never rise.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntFlag

import msgspec
from msgspec.structs import replace

from sluice import feature_expr, hostlist
from sluice.model.explanation import FunnelStep
from sluice.model.node import Node
from sluice.model.request import GresRequest
from sluice.model.states import NodeState

from .census import Census
from .demand import cpus_for
from .explain import count_of
from .levels import Level
from .needs import Needs
from .offer import can_hold_kind, compute_share, count_tasks
from .reservation_texts import describe_closures
from .shapes import Shape
from .switches import describe_topology
from .working import WorkingCopy

#: Groups of lost nodes that a step names; the rest is counted.
_LOST_SHOWN_MAX = 6


class Mark(IntFlag):
    """What sets a node apart that is at the same level as others."""

    EXCLUDED = 1
    #: Not of the job's own reservation.
    OUTSIDE = 2
    #: Of another user, alone.
    FOREIGN = 4
    #: Others have reserved it, or the part that is free.
    RESERVED = 8
    #: The partition has as many CPUs there as it may.
    CAPPED = 16


#: Nodes at one level, usable or not, with what sets them apart.
_Group = tuple[Level, bool, int]
_Test = Callable[[_Group], bool]


class Demand(msgspec.Struct, frozen=True):
    """words: follow the number of nodes.  test: does a group of equal nodes meet it?  always: shown even if all do.

    lost: which nodes do not, and why.
    """

    words: str
    test: _Test
    always: bool = False
    lost: Callable[[], str] = str


def compute_steps(
    shape: Shape, census: Census, now_at: float, utc_offset_s: int, fits: bool = False
) -> tuple[FunnelStep, ...]:
    """Return the funnel of a request on the nodes as they are now.  fits: there is a place for it, plans left out."""
    demands = (*_configured(shape, census.working), *_free(shape), *_left(shape, now_at, utc_offset_s))
    steps, left = _pour(shape, census, demands, find_marks(shape, census.working, now_at))
    room = sum(count * shape.offer(group[0]) for group, count in left.items())
    if shape.needs.nodes_min <= steps[-1].nodes:
        if room < shape.needs.tasks:
            last = steps[-1]
            steps[-1] = replace(last, demand=f"{last.demand}, room for {count_of(room, 'task')}")
        elif not fits and _is_arranged(shape):
            steps.append(FunnelStep(nodes=0, demand=_describe_arrangement(shape)))
    return tuple(steps)


def compute_configured_steps(shape: Shape, census: Census) -> tuple[FunnelStep, ...]:
    """Return the funnel on the nodes as they are configured, whatever runs there."""
    marks = _find_excluded(shape, census.working)
    return tuple(_pour(shape, census, _configured(shape, census.working)[1:], marks)[0])


def find_free(shape: Shape, working: WorkingCopy, now_at: float) -> list[int]:
    """Return the candidates that have something free for the job until it would end, plans left out of account."""
    threshold, marks = threshold_of(shape.needs), find_marks(shape, working, now_at)
    return [each for each in shape.candidates if each not in marks and shape.offer(working.levels[each]) >= threshold]


def find_marks(shape: Shape, working: WorkingCopy, now_at: float) -> dict[int, int]:
    """Return what sets nodes apart from others, by position, where something does."""
    marks = _find_excluded(shape, working)

    def mark(positions: Iterable[int], how: Mark) -> None:
        for position in positions:
            marks[position] = marks.get(position, 0) | how

    inside = shape.view.positions
    if inside is not None:
        mark(set(range(len(working.levels))).difference(inside), Mark.OUTSIDE)
    if shape.uid is not None:
        uid, is_alone = shape.uid, shape.needs.is_user_exclusive
        owned = working.uids_by_position.keys() | working.owner_by_position.keys()
        mark((each for each in owned if working.is_foreign(each, uid, is_alone)), Mark.FOREIGN)
    until_at = now_at + shape.duration_s
    if shape.access is not None:
        standing = [each for each in shape.view.closures if not each.cpus and each.meets(now_at, until_at)]
        mark(frozenset[int]().union(*(each.positions for each in standing)), Mark.RESERVED)
    if shape.is_capped or (shape.access is not None and shape.access.is_cutting):
        mark(_find_cut(shape, working, now_at, until_at), Mark.RESERVED if shape.access else Mark.CAPPED)
    return marks


def _find_cut(shape: Shape, working: WorkingCopy, from_at: float, until_at: float) -> Iterator[int]:
    """Yield the nodes of use of which so much is kept that they are of none."""
    threshold = threshold_of(shape.needs)
    for position in shape.candidates:
        level = working.levels[position]
        if shape.offer(level) >= threshold > shape.offer(shape.cut(level, position, from_at, until_at)):
            yield position


def _find_excluded(shape: Shape, working: WorkingCopy) -> dict[int, int]:
    return dict.fromkeys(working.positions_of(shape.needs.excluded_nodes), int(Mark.EXCLUDED))


def write_steps(steps: Iterable[FunnelStep], needs: str) -> str:
    """Return the funnel on one line."""
    lost = [
        f"{count_of(step.nodes, 'node') if not place else step.nodes} {step.demand}{_in_brackets(step.lost)}"
        for place, step in enumerate(steps)
    ]
    return f"{' -> '.join(lost)}; needs {needs}"


def threshold_of(needs: Needs) -> int:
    """Return how many tasks a node must hold to be of use."""
    return needs.tasks if needs.is_single_node and not needs.is_overcommitted else max(needs.node_tasks_min, 1)


def describe_needs(needs: Needs) -> str:
    """Return what has to be left of the funnel: "4 nodes for 64 tasks"."""
    words = count_of(max(needs.nodes_min, 1), "node")
    if needs.tasks > needs.nodes_min and not needs.is_single_node:
        words += f" for {count_of(needs.tasks, 'task')}"
    for item in needs.gres_per_job:
        words += f" with {spell(item)} together"
    if needs.required_nodes:
        words += f", {hostlist.fold(needs.required_nodes)} among them"
    return ", ".join([words, *describe_topology(needs)])


def spell(item: GresRequest) -> str:
    """Return "2 gpu:a100"."""
    return f"{item.count} {item.name}{':' + item.type if item.type else ''}"


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
    shape: Shape, census: Census, demands: Iterable[Demand], marks: Mapping[int, int]
) -> tuple[list[FunnelStep], Counter[_Group]]:
    """Return the steps, and what is left at the end."""
    groups = _members(shape, census, marks)
    total = sum(groups.values())
    steps = [FunnelStep(nodes=total, demand=f"in partition {shape.partition.name}")]
    for demand in demands:
        left = Counter({group: count for group, count in groups.items() if demand.test(group)})
        nodes = sum(left.values())
        if nodes < steps[-1].nodes or demand.always:
            steps.append(FunnelStep(nodes=nodes, demand=demand.words, lost=demand.lost()))
        groups = left
    return steps, groups


def _members(shape: Shape, census: Census, marks: Mapping[int, int]) -> Counter[_Group]:
    name, working = shape.partition.name, census.working
    groups: Counter[_Group] = Counter()
    for (level, is_usable), count in census.counts.items():
        if name in level.kind.partitions:
            groups[level, is_usable, 0] = count
    for position, mark in marks.items():
        level, is_usable = working.levels[position], working.is_usable[position]
        if name in level.kind.partitions:
            groups[level, is_usable, 0] -= 1
            groups[level, is_usable, mark] += 1
    return groups


def _lacks(mark: Mark) -> _Test:
    return lambda group: not group[2] & mark


def _configured(shape: Shape, working: WorkingCopy) -> list[Demand]:
    """Return the demands on what nodes are; the first one is that they are up."""
    needs, threshold = shape.needs, threshold_of(shape.needs)
    demands = [Demand("up", lambda group: group[1], lost=lambda: _name_unusable(shape, working))]
    if shape.view.positions is not None:
        inside = Demand(f"in reservation {shape.view.reservation}", _lacks(Mark.OUTSIDE), always=True)
        demands.append(inside)
    if needs.excluded_nodes:
        demands.append(Demand(f"without {hostlist.fold(needs.excluded_nodes)}", _lacks(Mark.EXCLUDED)))
    if shape.features:
        tree = shape.features
        words = f"with features {needs.features}"
        demands.append(Demand(words, lambda group: feature_expr.evaluate(tree, group[0].kind.node.features)))
    demands.append(Demand(_describe_shape(needs), lambda group: can_hold_kind(group[0].kind, needs)))
    for words, part in _partial_needs(shape):
        demands.append(Demand(f"with {words}", _holds(part, threshold, lambda level: working.table.idle(level.kind))))
    demands.append(Demand("that suit it otherwise", lambda group: shape.suits(group[0].kind)))
    return demands


def _free(shape: Shape) -> list[Demand]:
    """Return the same demands on what is free now."""
    threshold = threshold_of(shape.needs)
    found = []
    for words, part in _partial_needs(shape):
        found.append(Demand(f"with {words} free", _holds(part, threshold, lambda level: level)))
    found.append(Demand("that have all of it free together", lambda group: shape.offer(group[0]) >= threshold))
    # The last demand on CPUs is shown even where it costs nothing: the reader looks for what is free.
    found[0] = Demand(found[0].words, found[0].test, always=True)
    return found


def _left(shape: Shape, now_at: float, utc_offset_s: int) -> list[Demand]:
    """Return what is to be left of free nodes by users and reservations, until the job would end."""
    until_at = now_at + shape.duration_s
    return [
        Demand("not kept to other users", _lacks(Mark.FOREIGN)),
        Demand(f"that partition {shape.partition.name} may have more CPUs of (MaxCPUsPerNode)", _lacks(Mark.CAPPED)),
        Demand(
            "not reserved for others",
            _lacks(Mark.RESERVED),
            lost=lambda: describe_closures(shape.view, now_at, until_at, utc_offset_s),
        ),
    ]


def _holds(needs: Needs, threshold: int, level_of: Callable[[Level], Level]) -> _Test:
    known: dict[Level, bool] = {}

    def test(group: _Group) -> bool:
        level = level_of(group[0])
        answer = known.get(level)
        if answer is None:
            answer = known[level] = _is_enough(level, needs, threshold)
        return answer

    return test


def _is_enough(level: Level, needs: Needs, threshold: int) -> bool:
    if needs.gres_per_job and not any(compute_share(level, needs)):
        return False
    return count_tasks(level, needs) >= threshold


def _partial_needs(shape: Shape) -> Iterator[tuple[str, Needs]]:
    """Yield (the demand in words, the needs with all demands up to it): CPUs, memory, then each resource."""
    needs, cpus = shape.needs, _cpus_of_one(shape)
    part = replace(
        needs,
        memory_per_node_mib=0,
        memory_per_cpu_mib=0,
        memory_per_gpu_mib=0,
        is_whole_memory=False,
        gres_per_node=(),
        gres_per_task=(),
        gres_per_job=(),
    )
    yield ("all CPUs" if needs.is_exclusive else count_of(cpus, "CPU")), part
    memory = _describe_memory(needs, cpus)
    if memory:
        part = replace(
            part,
            memory_per_node_mib=needs.memory_per_node_mib,
            memory_per_cpu_mib=needs.memory_per_cpu_mib,
            is_whole_memory=needs.is_whole_memory,
        )
        yield memory, part
    for item in needs.gres_per_node:
        part = replace(part, gres_per_node=(*part.gres_per_node, item))
        yield spell(item), part
    for item in needs.gres_per_task:
        part = replace(part, gres_per_task=(*part.gres_per_task, item))
        yield f"{spell(item)} a task", part
    for item in needs.gres_per_job:
        part = replace(part, gres_per_job=(*part.gres_per_job, item))
        yield f"any {item.name}{':' + item.type if item.type else ''}", part


def _cpus_of_one(shape: Shape) -> int:
    """Return the CPUs that a node has to have, as its kind grants them."""
    needs, tasks = shape.needs, threshold_of(shape.needs)
    kind = next((each for each in shape.known_kinds() if shape.suits(each)), None)
    return max(needs.node_cpus_min, tasks * needs.cpus_per_task) if kind is None else cpus_for(kind, needs, tasks)


def _describe_memory(needs: Needs, cpus: int) -> str:
    if needs.is_whole_memory:
        return "all memory"
    wanted = needs.memory_per_node_mib or needs.memory_per_cpu_mib * cpus
    return f"{wanted} MiB" if wanted else ""


def _describe_shape(needs: Needs) -> str:
    asked = (
        (needs.sockets_min, "sockets"),
        (needs.cores_per_socket_min, "cores a socket"),
        (needs.threads_per_core_min, "threads a core"),
        (needs.tmp_disk_mib, "MiB of local disk"),
    )
    return "with " + (" and ".join(f"{count} {noun}" for count, noun in asked if count) or "the shape asked for")


def _name_unusable(shape: Shape, working: WorkingCopy) -> str:
    """Return the nodes that are not up, by state and reason: "n7 down (disk), n[9-10] drained"."""
    names_by_cause: dict[str, list[str]] = {}
    for position, is_usable in enumerate(working.is_usable):
        if not is_usable and shape.partition.name in working.levels[position].kind.partitions:
            node = working.nodes[position].node
            names_by_cause.setdefault(describe_state(node), []).append(node.name)
    groups = [(names, cause) for cause, names in names_by_cause.items()]
    words = [f"{hostlist.fold(names)} {cause}" for names, cause in groups[:_LOST_SHOWN_MAX]]
    left_off = sum(len(names) for names, _ in groups[_LOST_SHOWN_MAX:])
    if left_off:
        words.append(f"{left_off} more")
    return ", ".join(words)


def describe_state(node: Node) -> str:
    """Return why new work does not start on a node: "drained: disk"."""
    if node.state is not NodeState.UP:
        word = node.state.value.lower()
    elif not node.is_responding:
        word = "not responding"
    elif node.is_drained:
        word = "drained"
    else:
        word = "failing"
    return f"{word}: {node.reason}" if node.reason else word


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
