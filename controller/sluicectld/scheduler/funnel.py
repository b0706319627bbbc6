"""The funnel: how many nodes of a partition are left after each demand of a request, one demand after the other.

"40 nodes in partition batch -> 12 with 1 gpu -> 3 with 1 gpu free; needs 4".  First what nodes are (up, features,
shape, CPUs, memory, each resource as configured), then what is free of it.  Each demand is tested with the arithmetic
of offer.py, on needs that hold the demands so far and no other, so that the last step is what a pass sees.

This is for questions; what a pass writes on its way is explain.py's.  Invariant: the steps never rise.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec.structs import replace

from sluice import feature_expr, hostlist
from sluice.model.explanation import FunnelStep
from sluice.model.node import Node
from sluice.model.request import GresRequest
from sluice.model.states import NodeState

from .explain import count_of
from .levels import Level
from .needs import Needs
from .offer import can_hold_kind, compute_share, count_tasks, cpus_for
from .shapes import Shape
from .working import WorkingCopy

#: Groups of lost nodes that a step names; the rest is counted.
_LOST_SHOWN_MAX = 6
#: Nodes at one level, usable or not, or excluded by the request.
_Group = tuple[Level, bool, bool]
_Test = Callable[[_Group], bool]


class Demand(msgspec.Struct, frozen=True):
    """words: follow the number of nodes.  test: does a group of equal nodes meet it?  always: shown even if all do."""

    words: str
    test: _Test
    always: bool = False


def compute_steps(shape: Shape, working: WorkingCopy) -> tuple[FunnelStep, ...]:
    """Return the funnel of a request on the nodes as they are now."""
    steps, left = _pour(shape, working, (*_configured(shape, working), *_free(shape)))
    nodes = steps[-1].nodes
    if shape.uid is not None:
        nodes = _count_own(shape, working)
        if nodes < steps[-1].nodes:
            steps.append(FunnelStep(nodes=nodes, demand="not kept to other users"))
    room = sum(count * shape.offer(group[0]) for group, count in left.items())
    if shape.needs.nodes_min <= nodes and room < shape.needs.tasks:
        last = steps[-1]
        steps[-1] = replace(last, demand=f"{last.demand}, room for {count_of(room, 'task')}")
    return tuple(steps)


def compute_configured_steps(shape: Shape, working: WorkingCopy) -> tuple[FunnelStep, ...]:
    """Return the funnel on the nodes as they are configured, whatever runs there."""
    return tuple(_pour(shape, working, _configured(shape, working)[1:])[0])


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
    return words


def spell(item: GresRequest) -> str:
    """Return "2 gpu:a100"."""
    return f"{item.count} {item.name}{':' + item.type if item.type else ''}"


def _count_own(shape: Shape, working: WorkingCopy) -> int:
    """Return the nodes with room that are not another user's alone."""
    uid, threshold = shape.uid, threshold_of(shape.needs)
    assert uid is not None, "whose nodes?"
    free = [each for each in shape.candidates if shape.offer(working.levels[each]) >= threshold]
    is_alone = shape.needs.is_user_exclusive
    return sum(1 for each in free if not working.levels[each].job_count or not working.is_foreign(each, uid, is_alone))


def _pour(shape: Shape, working: WorkingCopy, demands: Iterable[Demand]) -> tuple[list[FunnelStep], Counter[_Group]]:
    """Return the steps, and what is left at the end."""
    groups = _members(shape, working)
    total = sum(groups.values())
    steps = [FunnelStep(nodes=total, demand=f"in partition {shape.partition.name}")]
    for demand in demands:
        left = Counter({group: count for group, count in groups.items() if demand.test(group)})
        nodes = sum(left.values())
        if nodes < steps[-1].nodes or demand.always:
            lost = _name_unusable(shape, working) if demand.words == "up" else ""
            steps.append(FunnelStep(nodes=nodes, demand=demand.words, lost=lost))
        groups = left
    return steps, groups


def _members(shape: Shape, working: WorkingCopy) -> Counter[_Group]:
    name = shape.partition.name
    groups: Counter[_Group] = Counter()
    for (level, is_usable), count in working.count_levels().items():
        if name in level.kind.partitions:
            groups[level, is_usable, False] = count
    for position in working.positions_of(shape.needs.excluded_nodes):
        level, is_usable = working.levels[position], working.is_usable[position]
        if name in level.kind.partitions:
            groups[level, is_usable, False] -= 1
            groups[level, is_usable, True] += 1
    return groups


def _configured(shape: Shape, working: WorkingCopy) -> list[Demand]:
    """Return the demands on what nodes are; the first one is that they are up."""
    needs, threshold = shape.needs, threshold_of(shape.needs)
    demands = [Demand("up", lambda group: group[1])]
    if needs.excluded_nodes:
        demands.append(Demand(f"without {hostlist.fold(needs.excluded_nodes)}", lambda group: not group[2]))
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
