"""Laws of a plan, on small random clusters."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice import cpuset
from sluice.model.allocation import Allocation
from sluice.model.node import GresPlace
from sluice.model.request import GresRequest
from sluicectld.scheduler.decide import Pass, decide
from sluicectld.scheduler.memory import Memory, make_scene
from sluicectld.scheduler.needs import compute_needs
from sluicectld.scheduler.queue import rank_jobs
from sluicectld.scheduler.snapshot import Policy, Snapshot
from tests.builders import Cluster

POLICY = Policy(backfill_window_s=1e9)
FOREVER = float("inf")

gpus = st.sampled_from([(), (GresRequest(name="gpu", count=1),), (GresRequest(name="gpu", type="b", count=1),)])

#: The one GPU of type a at the first socket, those of type b at one socket each.
NEAR_TWO_SOCKETS = (
    GresPlace(name="gpu", type="a", count=1, cores="0"),
    GresPlace(name="gpu", type="b", count=1, cores="0"),
    GresPlace(name="gpu", type="b", count=1, cores="1"),
)

requests = st.fixed_dictionaries(
    {
        "nodes": st.integers(0, 3),
        "ntasks": st.integers(1, 8),
        "cpus_per_task": st.integers(1, 2),
        "limit_s": st.sampled_from([60, 300, 600, 1800, None]),
        "priority": st.integers(1, 3),
        "memory_per_cpu_mib": st.sampled_from([1, 400, 1000]),
        "gres_per_node": gpus,
        "gres_per_job": st.sampled_from([(), (), (GresRequest(name="gpu", count=3),)]),
        "exclusive": st.sampled_from(["", "", "node", "user"]),
        "uid": st.sampled_from([1000, 1001]),
        "is_contiguous": st.sampled_from([False, False, True]),
        "ntasks_per_socket": st.sampled_from([0, 0, 0, 1]),
        "other": st.sampled_from([(), (), (("gres-flags", "enforce-binding"),)]),
        "partitions": st.sampled_from([("batch",), ("batch",), ("half",), ("half", "batch")]),
        "tasks": st.sampled_from([(), (), ((1, 4, 1),)]),
        "throttle": st.sampled_from([0, 2]),
    }
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    cluster = Cluster()
    cluster.free_by_name.clear()
    for number in range(1, draw(st.integers(1, 5)) + 1):
        threads = draw(st.sampled_from([1, 1, 2]))
        sockets = draw(st.sampled_from([1, 2]))
        cluster.node(
            f"n{number}",
            cpus=4,
            sockets=sockets,
            cores_per_socket=4 // threads // sockets,
            threads_per_core=threads,
            memory_mib=4000,
            weight=draw(st.integers(1, 2)),
            is_drained=draw(st.integers(0, 9)) == 0,
            gres=draw(st.sampled_from([(), (GresRequest(name="gpu", type="a", count=1), *gpu_b())])),
            gres_places=draw(st.sampled_from([(), NEAR_TWO_SOCKETS])) if sockets > 1 else (),
        )
    names = tuple(cluster.free_by_name)
    cluster.partition("batch", names).partition("half", names[: (len(names) + 1) // 2], priority_tier=2)
    for name in names:
        if draw(st.booleans()):
            ends_in_s = draw(st.sampled_from([-5.0, 60.0, 300.0, 1000.0, None]))
            cluster.running((name,), cpus=draw(st.sampled_from([2, 4])), ends_in_s=ends_in_s, memory_mib=500)
    jobs = [cluster.pending(**fields) for fields in draw(st.lists(requests, max_size=8))]
    first = draw(st.integers(0, 20))
    together = jobs[first : first + draw(st.integers(2, 3))]
    if len(together) > 1 and all(job.pending_array is None for job in together):
        cluster.gang(*together)
    return cluster.snapshot()


def gpu_b() -> tuple[GresRequest, ...]:
    return (GresRequest(name="gpu", type="b", count=2),)


@given(snapshots())
@settings(max_examples=100)
def test_starts_take_only_what_is_free(snapshot):
    """Each unit is given once, and a whole node only when nobody is there."""
    free_by_name = {free.node.name: free for free in snapshot.nodes}
    cpus = {name: free.free_cpus for name, free in free_by_name.items()}
    memory = {name: free.free_memory_mib for name, free in free_by_name.items()}
    units = {
        (name, item.name): sum(each.free for each in free.gres if each.name == item.name)
        for name, free in free_by_name.items()
        for item in free.gres
    }
    jobs_on = {name: free.job_count for name, free in free_by_name.items()}
    for start in decide(snapshot, POLICY).starts:
        for grant in start.allocation.grants:
            taken = cpuset.parse(grant.cpus)
            assert taken.bit_count() == grant.cpu_count > 0
            assert cpus[grant.node] & taken == taken
            cpus[grant.node] ^= taken
            memory[grant.node] -= grant.memory_mib
            assert memory[grant.node] >= 0
            for item in grant.gres:
                mask = cpuset.parse(item.units)
                assert mask.bit_count() == item.count
                assert units[grant.node, item.name] & mask == mask
                units[grant.node, item.name] ^= mask
            assert free_by_name[grant.node].node.is_usable
            assert not (start.is_exclusive and jobs_on[grant.node])
            jobs_on[grant.node] += 1


@given(snapshots())
@settings(max_examples=100)
def test_allocations_are_whole(snapshot):
    """A job gets all its tasks with their CPUs, on no more and no fewer nodes than it allows."""
    jobs = {job.id: job for job in snapshot.pending}
    for start in decide(snapshot, POLICY).starts:
        job = jobs[start.job_id]
        needs = compute_needs(job.spec, snapshot.partitions[start.partition], POLICY)
        grants = start.allocation.grants
        assert needs.nodes_min <= len(grants) <= (needs.nodes_max or len(snapshot.nodes))
        assert sum(start.allocation.tasks_per_node) == needs.tasks
        for grant, tasks in zip(grants, start.allocation.tasks_per_node, strict=True):
            assert tasks >= 1
            assert grant.cpu_count >= tasks * needs.cpus_per_task
        for item in needs.gres_per_job:
            assert sum(each.count for grant in grants for each in grant.gres) >= item.count


@given(snapshots())
@settings(max_examples=100)
def test_nothing_is_promised_twice(snapshot):
    """At every moment of the timeline running, started and planned jobs fit together.

    A job that outlives its limit is expected to end at any moment; that starts take only what is free in fact is
    another law.
    """
    one_pass = Pass(snapshot, POLICY, 0, make_scene(snapshot, POLICY))
    plan = one_pass.run()
    uses: list[tuple[str, float, float, int, int]] = []
    for job in snapshot.running:
        until_at = FOREVER if job.expected_end_at is None else job.expected_end_at
        uses += uses_of(job.allocation, snapshot.now_at, until_at)
    for start in plan.starts:
        uses += uses_of(start.allocation, snapshot.now_at, snapshot.now_at + (start.limit_s or FOREVER))
    for slot, shape in one_pass.places.slots.values():
        for part in slot.parts:
            name = snapshot.nodes[part.position].node.name
            uses.append((name, slot.at, slot.at + shape.duration_s, part.take.cpus, part.take.memory_mib))
    for free in snapshot.nodes:
        here = [use for use in uses if use[0] == free.node.name]
        for moment in {use[1] for use in here}:
            now_here = [use for use in here if use[1] <= moment < use[2]]
            assert sum(use[3] for use in now_here) <= free.node.cpus
            assert sum(use[4] for use in now_here) <= free.node.memory_mib


def uses_of(allocation: Allocation, from_at: float, until_at: float) -> list[tuple[str, float, float, int, int]]:
    """Return (node, from, until, CPUs, MiB) for each node."""
    return [(grant.node, from_at, until_at, grant.cpu_count, grant.memory_mib) for grant in allocation.grants]


@given(snapshots())
@settings(max_examples=100)
def test_the_timeline_never_falls_below_zero(snapshot):
    """What is taken from a level was there, GRES units included."""
    one_pass = Pass(snapshot, POLICY, 0, make_scene(snapshot, POLICY))
    one_pass.run()
    timeline = one_pass.timeline
    for position in range(len(snapshot.nodes)):
        times, levels = timeline.steps(position)
        assert times == sorted(set(times))
        assert all(min(level.cpus, level.memory_mib, *level.gres) >= 0 for level in levels)


@given(snapshots())
@settings(max_examples=100)
def test_no_planned_start_is_delayed_by_jobs_below(snapshot):
    """Without the jobs below it, a planned job would be planned no earlier."""
    whole = decide(snapshot, POLICY)
    ranked = [job for job in rank_jobs(snapshot, POLICY) if len(job.spec.partitions) == 1]
    same_tier = [job for job in ranked if job.spec.partitions == ("batch",)]
    if len(ranked) != len(snapshot.pending):
        return
    above = [job for job in ranked if job.spec.partitions == ("half",)]
    # A heterogeneous job stands where the last of its components does.
    turns = {job.het_job_id or job.id: place for place, job in enumerate(same_tier)}
    for job in same_tier:
        if job.id in whole.planned:
            pending = (*above, *same_tier[: turns[job.het_job_id or job.id] + 1])
            alone = decide(with_pending(snapshot, pending), POLICY)
            assert alone.planned[job.id].at == whole.planned[job.id].at


@given(snapshots())
@settings(max_examples=100)
def test_every_eligible_job_starts_or_knows_why_not(snapshot):
    """starts and blockers together name every job; blockers are never empty and always have numbers or names."""
    plan = decide(snapshot, POLICY)
    started = {start.job_id for start in plan.starts}
    for job in snapshot.pending:
        blockers = plan.blockers.get(job.id, ())
        count = sum(1 for start in plan.starts if start.job_id == job.id)
        is_all_started = job.id in started and (job.pending_array is None or count == 4)
        assert bool(blockers) != is_all_started
        assert all(blocker.text for blocker in blockers)
        assert not (is_all_started and job.id in plan.planned)


@given(snapshots())
@settings(max_examples=100)
def test_a_pass_leaves_no_trace_in_its_scene(snapshot):
    """What a pass adds to the timeline is gone after it: a second pass with the same memory decides the same."""
    memory = Memory()

    first = decide(snapshot, POLICY, memory=memory)

    assert decide(snapshot, POLICY, memory=memory) == first == decide(snapshot, POLICY)


@given(snapshots())
@settings(max_examples=100)
def test_the_same_snapshot_gives_the_same_plan(snapshot):
    """decide(s) == decide(s), whatever the order of the pending jobs."""
    shuffled = with_pending(snapshot, tuple(reversed(snapshot.pending)))
    assert decide(snapshot, POLICY) == decide(shuffled, POLICY)


def with_pending(snapshot: Snapshot, pending: tuple) -> Snapshot:
    return Snapshot(
        snapshot.version, snapshot.now_at, snapshot.nodes, snapshot.partitions, tuple(pending), snapshot.running
    )
