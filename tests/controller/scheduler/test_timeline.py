"""Free resources over time."""

from sluice.model.allocation import Allocation, NodeGrant
from sluicectld.scheduler.levels import Take
from sluicectld.scheduler.snapshot import Policy
from sluicectld.scheduler.timeline import OVERDUE_S, Timeline
from sluicectld.scheduler.working import WorkingCopy
from tests.builders import Cluster


def timeline_of(cluster: Cluster) -> Timeline:
    snapshot = cluster.snapshot()
    timeline = Timeline(WorkingCopy(snapshot, Policy()), snapshot.now_at)
    for job in snapshot.running:
        timeline.add_running(job.allocation, job.expected_end_at)
    return timeline


def cpus_over_time(timeline: Timeline, position: int = 0) -> list[tuple[float, int]]:
    times, levels = timeline.steps(position)
    return [(at - timeline.now_at, level.cpus) for at, level in zip(times, levels, strict=True)]


def test_running_jobs_return_what_they_hold():
    cluster = Cluster().running(cpus=1, ends_in_s=60).running(cpus=2, ends_in_s=30)

    assert cpus_over_time(timeline_of(cluster)) == [(0, 1), (30, 3), (60, 4)]


def test_a_job_without_limit_returns_nothing():
    assert cpus_over_time(timeline_of(Cluster().running(ends_in_s=None))) == [(0, 0)]


def test_a_job_that_outlives_its_limit_is_expected_to_end_at_once():
    assert cpus_over_time(timeline_of(Cluster().running(ends_in_s=-60))) == [(0, 0), (OVERDUE_S, 4)]


def test_a_planned_job_takes_its_part_for_its_time():
    timeline = timeline_of(Cluster().running(cpus=2, ends_in_s=60))

    timeline.reserve(0, Take(3, 1), timeline.now_at + 60, timeline.now_at + 100)

    assert cpus_over_time(timeline) == [(0, 2), (60, 1), (100, 4)]


def test_a_released_plan_leaves_no_trace_in_what_is_free():
    timeline = timeline_of(Cluster().running(cpus=2, ends_in_s=60))
    before = {at: level for at, level in zip(*timeline.steps(0), strict=True)}

    timeline.reserve(0, Take(3, 1), timeline.now_at + 60, timeline.now_at + 100)
    timeline.release(0, Take(3, 1), timeline.now_at + 60, timeline.now_at + 100)

    after = {at: level for at, level in zip(*timeline.steps(0), strict=True)}
    assert {at: after[at] for at in before} == before


def test_the_floor_is_the_least_of_each_resource():
    timeline = timeline_of(Cluster())
    now_at = timeline.now_at
    timeline.reserve(0, Take(3, 1), now_at + 10, now_at + 20)
    timeline.reserve(0, Take(1, 900), now_at + 30, now_at + 40)

    floor = timeline.floor(0, now_at, now_at + 35)

    assert (floor.cpus, floor.memory_mib) == (1, 3100)
    assert timeline.floor(0, now_at, now_at + 10).cpus == 4


def test_a_job_started_in_the_pass_returns_its_part_at_its_limit():
    cluster = Cluster()
    timeline = timeline_of(cluster)
    working = timeline._working
    take = Take(4, 1)
    timeline.steps(0)

    allocation = Allocation(grants=(working.grant(0, take),))
    timeline.add_start(allocation, [(0, take)], timeline.now_at + 60)

    assert cpus_over_time(timeline) == [(0, 0), (60, 4)]


def test_grants_on_nodes_that_are_gone_are_left_out():
    cluster = Cluster()
    timeline = timeline_of(cluster)

    timeline.add_running(Allocation(grants=(NodeGrant(node="gone", cpus="0", cpu_count=1),)), timeline.now_at + 5)

    assert cpus_over_time(timeline) == [(0, 4)]
