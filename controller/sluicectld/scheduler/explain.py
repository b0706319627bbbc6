"""Reasons as sentences with their numbers: what stands between a job and its start.

The funnel says how many nodes are left after each demand; the rest says what is waited for.  Clock times are written
with the policy's offset from UTC, so that the same state gives the same text.

Source of the words: CONTRACT section 14.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

from msgspec.structs import replace

from sluice import hostlist
from sluice.model.job import Job
from sluice.model.reason import Blocker, Reason
from sluice.model.request import DependencyTerm
from sluice.model.states import Hold

from .demand import cpus_for
from .needs import Needs
from .shapes import Shape
from .snapshot import RunningJob
from .switches import describe_topology
from .working import WorkingCopy

#: Terms of a dependency that a text names; the rest is counted.
_TERMS_SHOWN_MAX = 8
_DAY_S = 86400


def held_blockers(
    job: Job, now_at: float, utc_offset_s: int = 0, is_never_satisfied: bool = False
) -> tuple[Blocker, ...]:
    """Return why a pending job is not eligible; empty when nothing of this kind holds it.

    is_never_satisfied: its dependency can not be fulfilled any more.
    """
    found = []
    if job.hold is Hold.ADMIN:
        found.append(Blocker(reason=Reason.JOB_HELD_ADMIN, text=job.reason_text or "held by an administrator"))
    elif job.hold is Hold.USER and job.reason is Reason.RESERVATION_DELETED:
        found.append(Blocker(reason=Reason.RESERVATION_DELETED, text=job.reason_text))
    elif job.hold is Hold.USER:
        found.append(Blocker(reason=Reason.JOB_HELD_USER, text=job.reason_text or "held by its user"))
    if job.dependency.terms:
        found.append(_dependency_blocker(job, is_never_satisfied))
    begin_at = job.begin_at
    if begin_at is not None and begin_at > now_at:
        found.append(Blocker(reason=Reason.BEGIN_TIME, text=f"begins {format_at(begin_at, now_at, utc_offset_s)}"))
    return tuple(found)


def format_at(at: float, now_at: float, utc_offset_s: int) -> str:
    """Return the clock time, with its date unless it is the day of *now_at*: 14:05, 2026-11-23T14:05."""
    zone = timezone(timedelta(seconds=utc_offset_s)) if utc_offset_s else UTC
    point = datetime.fromtimestamp(at, zone)
    is_today = point.date() == datetime.fromtimestamp(now_at, zone).date()
    return point.strftime("%H:%M" if is_today else "%Y-%m-%dT%H:%M")


def compute_funnel(shape: Shape, working: WorkingCopy, has_plans: bool = False) -> str:
    """Return how many nodes are left after each demand: "4 nodes in partition batch -> 3 with 8 CPUs free; needs 4".

    has_plans: planned starts above it may keep nodes from it that are free.
    """
    needs, name = shape.needs, shape.partition.name
    members = {each: count for each, count in working.count_kinds().items() if name in each[0].partitions}
    total = sum(members.values())
    usable = sum(count for (_, is_usable), count in members.items() if is_usable)
    suiting = sum(count for (kind, is_usable), count in members.items() if is_usable and shape.suits(kind))
    offers = shape.offers_now()
    free, tasks = len(offers), sum(offers)
    steps = [f"{count_of(total, 'node')} in partition {name}"]
    if usable < total:
        steps.append(f"{usable} up")
    if suiting < usable:
        steps.append(f"{suiting} as asked{_describe_kind(needs)}")
    steps.append(f"{free} with {describe_share(needs, shape)} free")
    return f"{' -> '.join(steps)}; needs {_describe_size(needs)}{_room(needs, free, tasks, has_plans)}"


def next_end_text(shape: Shape, running: Sequence[RunningJob], now_at: float, utc_offset_s: int) -> str:
    """Return the end that is waited for next, of the jobs on nodes of the partition; "" when none is known.

    running: sorted by expected end, those without one left out.
    """
    names = set(shape.partition.nodes)
    for job in running:
        nodes = [grant.node for grant in job.allocation.grants]
        if not names.isdisjoint(nodes):
            assert job.expected_end_at is not None
            end = format_at(max(job.expected_end_at, now_at), now_at, utc_offset_s)
            return f"; job {job.name or job.job_id} on {hostlist.fold(nodes)} ends by {end}"
    return ""


def unavailable_blocker(shape: Shape, working: WorkingCopy) -> Blocker:
    """Return why even idle nodes could not hold the job now: nodes that are down, or bounds of the partition."""
    down = [free.node.name for free in working.nodes if not free.node.is_usable]
    in_partition = set(shape.partition.nodes)
    required_down = [name for name in shape.needs.required_nodes if name in down]
    if required_down:
        return Blocker(reason=Reason.REQ_NODE_NOT_AVAIL, text=f"UnavailableNodes:{hostlist.fold(required_down)}")
    outside = [name for name in shape.needs.required_nodes if name not in in_partition]
    if outside:
        text = f"required nodes {hostlist.fold(outside)} are not in partition {shape.partition.name}"
        return Blocker(reason=Reason.BAD_CONSTRAINTS, text=text)
    if not shape.configured_candidates():
        return Blocker(reason=Reason.BAD_CONSTRAINTS, text=compute_funnel(shape, working))
    return Blocker(reason=Reason.PARTITION_NODE_LIMIT, text=compute_funnel(shape, working))


def down_blocker(shape: Shape, working: WorkingCopy) -> Blocker:
    """Return that nodes of the partition which the job needs are down or drained."""
    down = [
        working.names[position]
        for position in shape.configured_candidates()
        if not working.nodes[position].node.is_usable
    ]
    return Blocker(reason=Reason.REQ_NODE_NOT_AVAIL, text=f"UnavailableNodes:{hostlist.fold(down)}")


def of_partition(blockers: Sequence[Blocker], name: str) -> tuple[Blocker, ...]:
    """Return the blockers as those of one of several partitions."""
    return tuple([replace(blocker, partition=name) for blocker in blockers])


def count_of(count: int, noun: str) -> str:
    """Return "1 node", "2 nodes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def describe_share(needs: Needs, shape: Shape) -> str:
    """Return what one node has to have free: all tasks for a request on one node, else one task."""
    tasks = needs.tasks if needs.nodes_max == 1 or needs.tasks == 1 else max(needs.node_tasks_min, 1)
    kind = next((each for each in shape.known_kinds() if shape.suits(each)), None)
    cpus = cpus_for(kind, needs, tasks) if kind is not None else tasks * needs.cpus_per_task
    words = ["all CPUs" if needs.is_exclusive else count_of(cpus, "CPU")]
    if needs.is_whole_memory:
        words.append("all memory")
    elif needs.memory_per_node_mib or needs.memory_per_cpu_mib:
        words.append(f"{needs.memory_per_node_mib or needs.memory_per_cpu_mib * cpus} MiB")
    for item in (*needs.gres_per_node, *needs.gres_per_task):
        words.append(f"{item.name}{':' + item.type if item.type else ''}:{item.count}")
    return " and ".join(words)


def _describe_kind(needs: Needs) -> str:
    words = [f"features {needs.features}"] if needs.features else []
    if needs.excluded_nodes:
        words.append(f"without {hostlist.fold(needs.excluded_nodes)}")
    return f" ({', '.join(words)})" if words else ""


def _describe_size(needs: Needs) -> str:
    words = [count_of(needs.nodes_min, "node")] if needs.nodes_min > 1 else []
    if needs.tasks > needs.nodes_min and not needs.is_single_node:
        words.append(count_of(needs.tasks, "task"))
    return ", ".join([" and ".join(words) or "1", *describe_topology(needs)])


def _room(needs: Needs, free: int, tasks: int, has_plans: bool) -> str:
    """Return what else is to say when there are nodes enough and still no start."""
    if free < needs.nodes_min:
        return ""
    if tasks < needs.tasks:
        return f", room for {tasks}"
    return "; free ones are kept for planned starts above it" if has_plans else "; no set of these holds it"


def _dependency_blocker(job: Job, is_never_satisfied: bool) -> Blocker:
    terms = job.dependency.terms
    words = [_describe_term(term) for term in terms[:_TERMS_SHOWN_MAX]]
    if len(terms) > len(words):
        words.append(f"{len(terms) - len(words)} more")
    text = (" or " if job.dependency.is_any else ", ").join(words)
    if is_never_satisfied or job.reason is Reason.DEPENDENCY_NEVER_SATISFIED:
        return Blocker(reason=Reason.DEPENDENCY_NEVER_SATISFIED, text=f"can not be fulfilled any more: {text}")
    return Blocker(reason=Reason.DEPENDENCY, text=f"waits for {text}")


def _describe_term(term: DependencyTerm) -> str:
    if not term.job_id:
        return term.type
    task = "" if term.task_id is None else f"_{term.task_id}"
    delay = f"+{term.delay_s // 60}" if term.delay_s else ""
    return f"{term.type}:{term.job_id}{task}{delay}"
