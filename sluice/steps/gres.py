"""Which of its job's generic resources a step has on each node.  Pure.

A step that asks for some has them alone: other steps that ask wait until they are free.  A step that asks for none of
a name has all that the job has of it, beside whoever has it too; --gres=none has nothing.  An overlapping step takes
what it asks for from all of the job's.
"""

from collections.abc import Iterable, Sequence

from sluice import cpuset
from sluice.errors import InvalidRequest
from sluice.model.allocation import GresGrant, NodeGrant
from sluice.model.request import GresRequest, StepSpec
from sluice.model.states import StepState
from sluice.model.step import Step

#: (name, type) of a request; type "" takes any.
_Key = tuple[str, str]


class Missing(Exception):
    """What the step asks for is not there, or not free: the message says what and where."""


def share_gres(
    spec: StepSpec, grants: Sequence[NodeGrant], ntasks: Sequence[int], running: Iterable[Step]
) -> list[tuple[GresGrant, ...]]:
    """Return what the step has on each of its nodes.  Raises Missing.

    ntasks: its tasks on each.  running: the steps beside it; none for what the whole job could give.
    """
    if spec.has_no_gres:
        return [()] * len(grants)
    names = {request.name for request in (*spec.gres_per_node, *spec.gres_per_step, *spec.gres_per_task)}
    if not names:
        return [grant.gres for grant in grants]
    free = [_free(grant, names, running) for grant in grants]
    taken: list[list[GresGrant]] = [[] for _ in grants]
    for index, grant in enumerate(grants):
        for request in _on_node(spec, ntasks[index]):
            taken[index] += _take(free[index], request, grant.node)
    for request in spec.gres_per_step:
        has = sum(own.count for node in taken for own in node if _is_of(own, request))
        if has < request.count:
            _spread(_with_count(request, request.count - has), free, taken, grants)
    rest = [tuple(gres for gres in grant.gres if gres.name not in names) for grant in grants]
    return [_merged(own) + others for own, others in zip(taken, rest, strict=True)]


def check_gres(spec: StepSpec, grants: Sequence[NodeGrant], ntasks: Sequence[int], job_id: int) -> None:
    """Raise InvalidRequest for what the job does not have at all."""
    try:
        share_gres(spec, grants, ntasks, ())
    except Missing as missing:
        raise InvalidRequest(f"job {job_id}: {missing}", "invalid_gres") from None


def _on_node(spec: StepSpec, ntasks: int) -> list[GresRequest]:
    """Return what the step wants on a node: of each name what it says for a node, or what its tasks need if more."""
    per_task = [_with_count(request, request.count * ntasks) for request in spec.gres_per_task]
    wanted = []
    for name in dict.fromkeys(request.name for request in (*spec.gres_per_node, *per_task)):
        choices = [[each for each in side if each.name == name] for side in (per_task, spec.gres_per_node)]
        wanted += max(choices, key=lambda side: sum(each.count for each in side))
    return wanted


def _with_count(request: GresRequest, count: int) -> GresRequest:
    return GresRequest(name=request.name, type=request.type, count=count)


def _is_of(grant: GresGrant, request: GresRequest) -> bool:
    return grant.name == request.name and request.type in ("", grant.type)


def _free(grant: NodeGrant, names: set[str], running: Iterable[Step]) -> list[GresGrant]:
    """Return what nobody has asked for on a node, of the names that matter."""
    free = []
    for gres in grant.gres:
        if gres.name not in names:
            continue
        units, count = cpuset.parse(gres.units), gres.count
        for held in _held(grant.node, gres, running):
            units &= ~cpuset.parse(held.units)
            count -= held.count
        free.append(GresGrant(name=gres.name, type=gres.type, units=cpuset.format(units), count=max(0, count)))
    return free


def _held(node: str, gres: GresGrant, running: Iterable[Step]) -> Iterable[GresGrant]:
    for step in running:
        if step.state is not StepState.RUNNING or step.spec.is_overlapping or node not in step.running_nodes:
            continue
        spec = step.spec
        asked = {request.name for request in (*spec.gres_per_node, *spec.gres_per_step, *spec.gres_per_task)}
        part = next(part for part in step.nodes if part.node == node)
        if gres.name in asked:
            yield from (held for held in part.gres if (held.name, held.type) == (gres.name, gres.type))


def _take(free: list[GresGrant], request: GresRequest, node: str, most: int | None = None) -> list[GresGrant]:
    """Take the lowest units; *free* keeps the rest.  most: take so many and be content with fewer.  Raises Missing."""
    left = request.count if most is None else most
    taken = []
    for index, gres in enumerate(free):
        if not _is_of(gres, request):
            continue
        count = min(left, gres.count)
        units = cpuset.lowest(cpuset.parse(gres.units), count)
        if count:
            taken.append(GresGrant(name=gres.name, type=gres.type, units=cpuset.format(units), count=count))
        rest = cpuset.parse(gres.units) & ~units
        free[index] = GresGrant(name=gres.name, type=gres.type, units=cpuset.format(rest), count=gres.count - count)
        left -= count
    if left and most is None:
        what = f"{request.name}:{request.type}" if request.type else request.name
        raise Missing(f"{request.count} {what} on node {node} requested, {request.count - left} are free")
    return taken


def _spread(
    request: GresRequest, free: list[list[GresGrant]], taken: list[list[GresGrant]], grants: Sequence[NodeGrant]
) -> None:
    """Take a number for the whole step, one from each node in turn, so that all have some."""
    left = request.count
    while left:
        before = left
        for index, grant in enumerate(grants):
            if left:
                own = _take(free[index], request, grant.node, most=1)
                taken[index] += own
                left -= len(own)
        if left == before:
            what = f"{request.name}:{request.type}" if request.type else request.name
            raise Missing(f"{request.count} {what} requested, {request.count - left} are free")


def _merged(grants: Iterable[GresGrant]) -> tuple[GresGrant, ...]:
    """Return the grants with those of one name and type put together."""
    units: dict[_Key, int] = {}
    counts: dict[_Key, int] = {}
    for grant in grants:
        key = (grant.name, grant.type)
        units[key] = units.get(key, 0) | cpuset.parse(grant.units)
        counts[key] = counts.get(key, 0) + grant.count
    return tuple(
        GresGrant(name=name, type=kind, units=cpuset.format(units[name, kind]), count=count)
        for (name, kind), count in counts.items()
    )
