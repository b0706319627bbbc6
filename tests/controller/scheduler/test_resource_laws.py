"""Laws of resources on one node: what is offered is given, nothing is given twice, all comes back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice import cpuset
from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.job import Job
from sluice.model.request import JobSpec
from sluice.model.states import JobState
from sluicectld.scheduler.layout import compute_idle, layout_of
from sluicectld.scheduler.needs import Needs, count_sharers
from sluicectld.scheduler.offer import can_hold_kind, compute_take, count_tasks
from sluicectld.scheduler.snapshot import NodeFree, Snapshot
from sluicectld.scheduler.timeline import read_take
from sluicectld.scheduler.working import WorkingCopy
from sluicectld.state import resources

from .resource_draws import Scene, needs_of, scenes, specs

#: A request, how many of the tasks that the node offers it gets, and whether the oldest job leaves before.
turns = st.lists(st.tuples(specs(), st.integers(1, 12), st.booleans()), min_size=1, max_size=6)


def pending_job(job_id: int, spec: JobSpec) -> Job:
    return Job(id=job_id, spec=spec, partition="batch", limit_s=60)


class Room:
    """The node as the state keeps it, and the jobs on it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.free: NodeFree = compute_idle(scene.node)
        self.jobs: list[Job] = []

    def working_copy(self, spec: JobSpec) -> WorkingCopy:
        pending = (pending_job(0, spec),)
        snapshot = Snapshot(1, 0.0, (self.free,), {"batch": self.scene.partition}, pending)
        return WorkingCopy(snapshot, self.scene.policy)

    def start(self, spec: JobSpec, part: int) -> tuple[NodeGrant, Needs, int] | None:
        """Give the request as many of the offered tasks as *part* says; None when nothing is offered."""
        needs = needs_of(spec, self.scene)
        working = self.working_copy(spec)
        level = working.levels[0]
        offered = count_tasks(level, needs) if can_hold_kind(level.kind, needs) else 0
        if not offered:
            return None
        tasks = min(part, offered)
        grant = working.grant(0, compute_take(level, needs, tasks))
        sharers_max = count_sharers(spec, self.scene.partition)
        assert resources.fits(self.free, grant, "batch", sharers_max)
        job = Job(
            id=len(self.jobs) + 1,
            spec=spec,
            partition="batch",
            state=JobState.RUNNING,
            allocation=Allocation(grants=(grant,), is_sharing=needs.sharers_max > 1),
        )
        self.jobs.append(job)
        self.free = resources.take(self.free, grant, job)
        return grant, needs, tasks

    def leave(self) -> None:
        job = self.jobs.pop(0)
        assert job.allocation is not None
        self.free = resources.give_back(self.free, job.allocation.grants[0], job)


@given(scenes(), turns)
@settings(max_examples=60)
def test_what_is_offered_is_given(scene, some_turns):
    """Whenever count_tasks says t, any t' <= t get CPUs, memory and units that are free, and enough of them."""
    room = Room(scene)
    for spec, part, leaves in some_turns:
        if leaves and room.jobs:
            room.leave()
        started = room.start(spec, part)
        if started is not None:
            assert_enough(scene, *started)


def assert_enough(scene: Scene, grant: NodeGrant, needs: Needs, tasks: int) -> None:
    cpus = cpuset.parse(grant.cpus)
    if scene.policy.select_unit == "cpu":
        assert cpus.bit_count() >= grant.cpu_count
    else:
        assert cpus.bit_count() == grant.cpu_count
    assert not cpus & ~layout_of(scene.node).cpus
    assert grant.cpu_count >= (1 if needs.is_overcommitted else tasks * needs.cpus_per_task)
    assert grant.cpu_count >= needs.node_cpus_min
    if needs.memory_per_cpu_mib:
        assert grant.memory_mib == needs.memory_per_cpu_mib * grant.cpu_count
    for item in grant.gres:
        assert not item.units or cpuset.parse(item.units).bit_count() == item.count
    wanted = [(item, item.count) for item in needs.gres_per_node]
    wanted += [(item, item.count * tasks) for item in needs.gres_per_task]
    for item, _ in wanted:
        if needs.is_exclusive and item.name == "gpu":
            continue
        asked = sum(count for each, count in wanted if each.name == item.name and item.type in ("", each.type))
        given_units = sum(each.count for each in grant.gres if each.name == item.name and item.type in ("", each.type))
        assert given_units >= asked


@given(scenes(), turns)
@settings(max_examples=60)
def test_nothing_is_given_twice(scene, some_turns):
    """CPUs have no more jobs than the partition allows; memory, units and GPUs in parts are never overcommitted."""
    room = Room(scene)
    for spec, part, leaves in some_turns:
        if leaves and room.jobs:
            room.leave()
        room.start(spec, part)
        assert_no_overcommitment(scene, room.jobs)


def assert_no_overcommitment(scene: Scene, jobs: list[Job]) -> None:
    layout = layout_of(scene.node)
    memory_mib = 0
    on_cpu: dict[int, list[int]] = {}
    units: dict[str, int] = {}
    counts: dict[str, int] = {}
    for job in jobs:
        assert job.allocation is not None
        grant = job.allocation.grants[0]
        memory_mib += grant.memory_mib
        for cpu in cpuset.numbers(cpuset.parse(grant.cpus)):
            on_cpu.setdefault(cpu, []).append(count_sharers(job.spec, scene.partition))
        for item in grant.gres:
            mask = cpuset.parse(item.units)
            assert not units.get(item.name, 0) & mask
            units[item.name] = units.get(item.name, 0) | mask
            counts[item.name] = counts.get(item.name, 0) + item.count
    assert memory_mib <= layout.memory_mib
    assert all(len(sharers) <= min(sharers) for sharers in on_cpu.values())
    for name, count in counts.items():
        assert count <= sum(item.count for item in scene.node.gres if item.name == name)
    for _, block, gpu in layout.parts:
        assert not (units.get("shard", 0) & block and units.get("gpu", 0) & gpu)


@given(scenes(), turns)
@settings(max_examples=60)
def test_all_comes_back(scene, some_turns):
    """give_back(take(x)) == x for each job, and an idle node is left in whatever order they go."""
    room = Room(scene)
    for spec, part, _ in some_turns:
        before = room.free
        if room.start(spec, part) is not None:
            job = room.jobs[-1]
            assert job.allocation is not None
            back = resources.give_back(room.free, job.allocation.grants[0], job)
            assert back.free_cpus == before.free_cpus
            assert back.shared == before.shared
            assert (back.free_memory_mib, back.gres) == (before.free_memory_mib, before.gres)
    while room.jobs:
        room.leave()
    idle = compute_idle(scene.node)
    assert (room.free.free_cpus, room.free.gres, room.free.shared) == (idle.free_cpus, idle.gres, ())
    assert room.free.free_memory_mib == idle.free_memory_mib


@given(scenes(), turns)
@settings(max_examples=60)
def test_levels_follow_the_state(scene, some_turns):
    """A level after a grant, and after a job's end, is the level that the state itself would give."""
    room = Room(scene)
    for spec, part, _ in some_turns:
        before = room.working_copy(spec)
        if room.start(spec, part) is None:
            continue
        job = room.jobs[-1]
        assert job.allocation is not None
        grant = job.allocation.grants[0]
        take = read_take(before.levels[0].kind, grant)
        if job.spec.exclusive == "node" or not before.levels[0].job_count:
            continue
        after = room.working_copy(spec).levels[0]
        returned = before.table.give_back(before.table.level(before.levels[0].kind, *contents_of(after)), take)
        assert contents_of(returned) == contents_of(before.levels[0])


def contents_of(level):
    return level.cpus, level.memory_mib, level.gres, level.job_count, level.free
