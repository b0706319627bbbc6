"""The demands of a request on its nodes, one after the other, as one table: what each asks, in words and as a test.

First what nodes are (up, reserved for it, features, shape, CPUs, memory, each resource as configured), then what is
free of it, then what users and reservations leave of that.  Each demand is tested with the arithmetic of offer.py, on
needs that hold the demands so far and no other, so that the last one is what a pass sees.

funnel.py counts the nodes that are left; who asks needs not ask for all of it (Part).
"""

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum

import msgspec
from msgspec.structs import replace

from sluice import feature_expr, hostlist
from sluice.model.node import Node
from sluice.model.request import GresRequest
from sluice.model.states import NodeState

from .demand import cpus_for
from .explain import count_of
from .levels import Level
from .marks import Mark, threshold_of
from .needs import Needs
from .offer import can_hold_kind, compute_share, count_tasks
from .reservation_texts import describe_closures
from .shapes import Shape
from .switches import describe_topology
from .working import WorkingCopy

#: Groups of lost nodes that a step names; the rest is counted.
_LOST_SHOWN_MAX = 6
#: Nodes at one level, usable or not, with what sets them apart.
Group = tuple[Level, bool, int]
Test = Callable[[Group], bool]


class Demand(msgspec.Struct, frozen=True):
    """words: follow the number of nodes.  test: does a group of equal nodes meet it?  always: shown even if all do.

    lost: which nodes do not, and why.
    """

    words: str
    test: Test
    always: bool = False
    lost: Callable[[], str] = str


class Request(msgspec.Struct, frozen=True):
    """What is asked of which nodes, and when."""

    shape: Shape
    working: WorkingCopy
    now_at: float = 0.0
    utc_offset_s: int = 0
    #: It needs nodes that others have reserved, whatever else is free: told even where these are busy as well.
    needs_reserved: bool = False


class Part(IntEnum):
    """What a demand is about: the state of nodes, their configuration, what is free there, what others leave of it."""

    STATE = 0
    CONFIGURED = 1
    FREE = 2
    LEFT = 3


def demands_of(request: Request, *parts: Part) -> Iterator[Demand]:
    """Yield the demands about these parts, in their order."""
    for part, make in _STAGES:
        if part in parts:
            yield from make(request)


# --- the stages


def _up(request: Request) -> Iterator[Demand]:
    yield Demand("up", lambda group: group[1], lost=lambda: _name_unusable(request.shape, request.working))


def _inside(request: Request) -> Iterator[Demand]:
    view = request.shape.view
    if view.positions is not None:
        yield Demand(f"in reservation {view.reservation}", _lacks(Mark.OUTSIDE), always=True)


def _not_excluded(request: Request) -> Iterator[Demand]:
    excluded = request.shape.needs.excluded_nodes
    if excluded:
        yield Demand(f"without {hostlist.fold(excluded)}", _lacks(Mark.EXCLUDED))


def _featured(request: Request) -> Iterator[Demand]:
    tree = request.shape.features
    if tree:
        words = f"with features {request.shape.needs.features}"
        yield Demand(words, lambda group: feature_expr.evaluate(tree, group[0].kind.node.features))


def _shaped(request: Request) -> Iterator[Demand]:
    needs = request.shape.needs
    yield Demand(_describe_shape(needs), lambda group: can_hold_kind(group[0].kind, needs))


def _equipped(request: Request) -> Iterator[Demand]:
    threshold, table = threshold_of(request.shape.needs), request.working.table
    for words, part in _partial_needs(request.shape):
        yield Demand(f"with {words}", _holds(part, threshold, lambda level: table.idle(level.kind)))


def _suiting(request: Request) -> Iterator[Demand]:
    yield Demand("that suit it otherwise", lambda group: request.shape.suits(group[0].kind))


def _free(request: Request) -> Iterator[Demand]:
    threshold = threshold_of(request.shape.needs)
    # The demand on CPUs is shown even where it costs nothing: the reader looks for what is free.
    is_first = True
    for words, part in _partial_needs(request.shape):
        yield Demand(f"with {words} free", _holds(part, threshold, lambda level: level), always=is_first)
        is_first = False


def _together(request: Request) -> Iterator[Demand]:
    shape, threshold = request.shape, threshold_of(request.shape.needs)
    yield Demand("that have all of it free together", lambda group: shape.offer(group[0]) >= threshold)


def _open(request: Request) -> Iterator[Demand]:
    yield Demand("not kept to other users", _lacks(Mark.FOREIGN))


def _uncapped(request: Request) -> Iterator[Demand]:
    name = request.shape.partition.name
    yield Demand(f"that partition {name} may have more CPUs of (MaxCPUsPerNode)", _lacks(Mark.CAPPED))


def _unreserved(request: Request) -> Iterator[Demand]:
    shape, now_at = request.shape, request.now_at
    until_at = now_at + shape.duration_s
    yield Demand(
        "not reserved for others",
        _lacks(Mark.RESERVED),
        always=request.needs_reserved,
        lost=lambda: describe_closures(shape.view, now_at, until_at, request.utc_offset_s),
    )


_STAGES: tuple[tuple[Part, Callable[[Request], Iterable[Demand]]], ...] = (
    (Part.STATE, _up),
    (Part.CONFIGURED, _inside),
    (Part.CONFIGURED, _not_excluded),
    (Part.CONFIGURED, _featured),
    (Part.CONFIGURED, _shaped),
    (Part.CONFIGURED, _equipped),
    (Part.CONFIGURED, _suiting),
    (Part.FREE, _free),
    (Part.FREE, _together),
    (Part.LEFT, _open),
    (Part.LEFT, _uncapped),
    (Part.LEFT, _unreserved),
)


# --- their tests


def _lacks(mark: Mark) -> Test:
    return lambda group: not group[2] & mark


def _holds(needs: Needs, threshold: int, level_of: Callable[[Level], Level]) -> Test:
    known: dict[Level, bool] = {}

    def test(group: Group) -> bool:
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


# --- words


def describe_needs(needs: Needs) -> str:
    """Return what has to be left of the funnel: "4 nodes for 64 tasks"."""
    words = count_of(max(needs.nodes_min, 1), "node")
    if needs.tasks > needs.nodes_min and not needs.is_single_node:
        words += f" for {count_of(needs.tasks, 'task')}"
    for item in needs.gres_per_job:
        words += f" with {spell(item)} together"
    if needs.named_tasks:
        words += f", {_describe_named(needs)}"
    elif needs.required_nodes:
        words += f", {hostlist.fold(needs.required_nodes)} among them"
    return ", ".join([words, *describe_topology(needs)])


def _describe_named(needs: Needs) -> str:
    """Return how many tasks are asked of which nodes: "1 task on n1, 2 tasks on n3"."""
    names_by_count: dict[int, list[str]] = {}
    for name, tasks in needs.named_tasks:
        names_by_count.setdefault(tasks, []).append(name)
    return ", ".join(
        f"{count_of(tasks, 'task')} on {'each of ' if len(names) > 1 else ''}{hostlist.fold(names)}"
        for tasks, names in sorted(names_by_count.items())
    )


def describe_share(shape: Shape) -> str:
    """Return what one node has to have free, all demands together: "8 CPUs and 100 MiB and 1 gpu"."""
    return " and ".join(words for words, _ in _partial_needs(shape))


def spell(item: GresRequest) -> str:
    """Return "2 gpu:a100"."""
    return f"{item.count} {item.name}{':' + item.type if item.type else ''}"


def _describe_memory(needs: Needs, cpus: int) -> str:
    if needs.is_whole_memory:
        return "all memory"
    if needs.memory_per_cpu_mib and (needs.is_exclusive or needs.is_whole_shared):
        return f"{needs.memory_per_cpu_mib} MiB for each of its CPUs"
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
    elif node.is_failing:
        word = "failing"
    else:
        jobs = ", ".join(str(job_id) for job_id, _ in node.leftovers)
        return f"ending what it still ran of job {jobs} when it came back"
    return f"{word}: {node.reason}" if node.reason else word
