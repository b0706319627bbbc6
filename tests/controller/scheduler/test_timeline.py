"""Free resources over time."""

from sluice.model.allocation import Allocation, NodeGrant
from sluicectld.scheduler.levels import Take
from sluicectld.scheduler.snapshot import Policy, RunningJob, Snapshot
from sluicectld.scheduler.timeline import Timeline
from sluicectld.scheduler.working import WorkingCopy
from tests.builders import Cluster


def timeline_of(snapshot: Snapshot) -> Timeline:
    timeline = Timeline(WorkingCopy(snapshot, Policy()))
    timeline.update(snapshot.running, snapshot.now_at, ())
    return timeline


def cpus_over_time(timeline: Timeline, position: int = 0) -> list[tuple[float, int]]:
    times, levels = timeline.steps(position)
    return [(at - timeline.now_at, level.cpus) for at, level in zip(times, levels, strict=True)]


def cpus_now(timeline: Timeline, position: int = 0) -> int:
    return timeline.tracks.actual(position)[0]


def test_running_jobs_return_what_they_hold():
    cluster = Cluster().running(cpus=1, ends_in_s=60).running(cpus=2, ends_in_s=30)

    assert cpus_over_time(timeline_of(cluster.snapshot())) == [(0, 1), (30, 3), (60, 4)]


def test_a_job_without_limit_returns_nothing():
    assert cpus_over_time(timeline_of(Cluster().running(ends_in_s=None).snapshot())) == [(0, 0)]


def test_a_job_that_outlives_its_limit_is_expected_to_end_at_any_moment_and_holds_its_part_until_then():
    timeline = timeline_of(Cluster().running(ends_in_s=-60).snapshot())

    assert cpus_over_time(timeline) == [(0, 4)]
    assert cpus_now(timeline) == 0


def test_a_planned_job_takes_its_part_for_its_time():
    timeline = timeline_of(Cluster().running(cpus=2, ends_in_s=60).snapshot())

    timeline.reserve(9, [(0, Take(3, 1))], timeline.now_at + 60, timeline.now_at + 100)

    assert cpus_over_time(timeline) == [(0, 2), (60, 1), (100, 4)]


def test_a_released_plan_leaves_no_trace():
    timeline = timeline_of(Cluster().running(cpus=2, ends_in_s=60).snapshot())
    before = timeline.steps(0)

    timeline.reserve(9, [(0, Take(3, 1))], timeline.now_at + 60, timeline.now_at + 100)
    timeline.release(9, [(0, Take(3, 1))], timeline.now_at + 60, timeline.now_at + 100)

    assert timeline.steps(0) == before


def test_the_floor_is_the_least_of_each_resource():
    timeline = timeline_of(Cluster().snapshot())
    now_at = timeline.now_at
    timeline.reserve(8, [(0, Take(3, 1))], now_at + 10, now_at + 20)
    timeline.reserve(9, [(0, Take(1, 900))], now_at + 30, now_at + 40)

    floor = timeline.floor(0, now_at, now_at + 35)

    assert (floor.cpus, floor.memory_mib) == (1, 3100)
    assert timeline.floor(0, now_at, now_at + 10).cpus == 4


def test_a_job_started_in_the_pass_returns_its_part_at_its_limit():
    timeline = timeline_of(Cluster().snapshot())

    timeline.start([(0, Take(4, 1))], timeline.now_at + 60)

    assert cpus_over_time(timeline) == [(0, 0), (60, 4)]
    assert cpus_now(timeline) == 0


def test_an_undone_start_leaves_no_trace():
    timeline = timeline_of(Cluster().running(cpus=1, ends_in_s=60).snapshot())
    before = timeline.steps(0)

    timeline.start([(0, Take(3, 1))], timeline.now_at + 90)
    timeline.undo_start([(0, Take(3, 1))], timeline.now_at + 90)

    assert timeline.steps(0) == before


def test_grants_on_nodes_that_are_gone_are_left_out():
    snapshot = Cluster().snapshot()
    grants = (NodeGrant(node="gone", cpus="0", cpu_count=1),)
    timeline = timeline_of(snapshot)

    timeline.update((RunningJob(1, "lost", Allocation(grants=grants), snapshot.now_at + 5),), snapshot.now_at, ())

    assert cpus_over_time(timeline) == [(0, 4)]


def test_an_update_brings_what_a_snapshot_of_that_moment_would():
    """A job ends early, one goes on past its limit, one comes: the old timeline becomes what a new one would be."""
    first = Cluster().running(cpus=1, ends_in_s=60).running(cpus=1, ends_in_s=10).running(cpus=1, ends_in_s=90)
    working = WorkingCopy(first.snapshot(), Policy())
    timeline = Timeline(working)
    timeline.update(first.snapshot().running, first.now_at, ())
    timeline.reserve(9, [(0, Take(2, 1))], first.now_at + 60, first.now_at + 70)
    timeline.release(9, [(0, Take(2, 1))], first.now_at + 60, first.now_at + 70)
    later = Cluster(now_at=first.now_at + 20)
    later.free_by_name, later.running_jobs = dict(first.free_by_name), first.running_jobs[:2]
    later.free_by_name["n1"] = Cluster().running(cpus=1).running(cpus=1).snapshot().nodes[0]
    later.next_job_id = 100
    later.running(cpus=1, ends_in_s=30)
    snapshot = later.snapshot()

    timeline.update(snapshot.running, snapshot.now_at, working.update(snapshot) or ())

    assert cpus_over_time(timeline) == cpus_over_time(timeline_of(snapshot)) == [(0, 2), (30, 3), (40, 4)]
    assert cpus_now(timeline) == 1
