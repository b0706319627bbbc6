"""OverSubscribe in the engine: several jobs on one CPU, what is left when one goes, and stale plans."""

import pytest
from msgspec.structs import replace

from sluice.model.states import JobState
from sluicectld.state import commands
from tests.engine_builder import World


@pytest.fixture
def shared() -> World:
    """One node of 4 CPUs in a partition with two jobs on a CPU."""
    world = World()
    world.configure(partitions=(replace(world.partition_records[0], oversubscribe="FORCE:2"),))
    return world


def depths(world: World) -> tuple[int, ...]:
    """Return how many CPUs have one job, two jobs, ..."""
    return tuple(cpus.bit_count() for _, depth in world.cluster.free["n1"].shared for cpus in depth)


def test_cpus_come_back_when_the_last_job_leaves_them(shared: World) -> None:
    first, second = shared.start(ntasks=4), shared.start(ntasks=2)
    assert (shared.free_cpus("n1"), depths(shared)) == (0, (2, 2))

    shared.end_script(first)
    assert (shared.free_cpus("n1"), depths(shared)) == (2, (2,))

    shared.end_script(second)
    assert (shared.free_cpus("n1"), depths(shared)) == (4, ())


def test_a_restarted_controller_knows_who_shares(shared: World) -> None:
    shared.start(ntasks=4)
    shared.start(ntasks=3)

    shared.restart()

    assert (shared.free_cpus("n1"), depths(shared)) == (0, (1, 3))


def test_a_plan_from_before_a_job_came_is_stale_when_the_cpu_is_full(shared: World) -> None:
    late = shared.submit(ntasks=4)
    plan = shared.plan()
    shared.update(late, priority="0")
    shared.start(ntasks=4)
    shared.start(ntasks=4)
    shared.change("release", late)

    shared.do(commands.ApplyPlan(replace(plan, version=shared.cluster.version)))

    assert shared.job(late).state is JobState.PENDING


def test_jobs_that_share_go_on_when_the_partition_shares_no_more(shared: World) -> None:
    first = shared.start(ntasks=4, limit_s=600)
    shared.start(ntasks=4, limit_s=1200)
    shared.configure(partitions=(replace(shared.partition_records[0], oversubscribe="NO"),))
    waiting = shared.submit(ntasks=1)

    assert shared.plan().planned[waiting].at == shared.now + 1200
    shared.end_script(first)
    assert shared.plan().starts == ()
