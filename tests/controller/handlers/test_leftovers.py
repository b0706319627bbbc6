"""A node that was given up comes back with processes of its old jobs: nothing starts beside them."""

import pytest
from msgspec.structs import replace

from sluice.model.states import JobState
from sluice.wire.messages import NodeClean, Report
from sluicectld.rpc.views import node_view
from sluicectld.scheduler.demands import describe_state
from tests.engine_builder import World


@pytest.fixture
def world() -> World:
    return World(nodes=1, return_to_service=2)


@pytest.fixture
def old_id(world: World) -> int:
    """A job that was given up with its node, which is back with a step of it."""
    job_id = world.start(can_requeue=False)
    running = world.running_step(job_id)
    world.lose("n1")
    assert world.register("n1", running=(running,)) == (("n1", job_id, 0),)
    return job_id


def _is_started(world: World, job_id: int) -> bool:
    world.pass_()
    return world.job(job_id).state is JobState.RUNNING


@pytest.mark.parametrize("way", ["by a word of its own", "with the script's result"])
def test_a_new_job_waits_until_the_node_is_clean(world: World, old_id: int, way: str) -> None:
    new_id = world.submit()
    assert not _is_started(world, new_id)

    if way == "with the script's result":
        world.report(world.result(old_id))
    else:
        world.do(Report(clean=(NodeClean(node="n1", job_id=old_id, attempt=0),)))

    assert _is_started(world, new_id)


def test_its_next_run_is_not_started_beside_what_is_left_of_the_last(world: World) -> None:
    job_id = world.start()
    running = world.running_step(job_id)
    world.lose("n1")
    world.register("n1", running=(running,))
    assert not _is_started(world, job_id)
    assert world.job(job_id).attempt == 1

    world.report(replace(world.result(job_id, node="n1"), attempt=0))

    assert _is_started(world, job_id)


def test_an_administrators_word_does_not_make_them_go(world: World, old_id: int) -> None:
    world.update_nodes("n1", State="DRAIN", Reason="disk")
    world.update_nodes("n1", State="RESUME")

    assert not _is_started(world, world.submit())


def test_a_node_that_comes_back_once_more_without_them_is_free(world: World, old_id: int) -> None:
    """It was restarted, say."""
    world.register("n1")

    assert _is_started(world, world.submit())


def test_they_are_remembered_over_a_restart_of_the_controller(world: World, old_id: int) -> None:
    world.restart()

    assert world.cluster.nodes["n1"].leftovers == ((old_id, 0),)


def test_whoever_waits_is_told_what_for(world: World, old_id: int) -> None:
    assert describe_state(world.cluster.nodes["n1"]) == f"ending what it still ran of job {old_id} when it came back"


def test_the_node_is_shown_as_completing(world: World, old_id: int) -> None:
    assert node_view(world.cluster, world.cluster.nodes["n1"], (), set(), None).flags == ("COMPLETING",)


def test_nothing_starts_beside_what_a_node_said_to_be_silent_still_ends(world: World) -> None:
    """Its agent may be connected all the same: resumed, it gets no work before it has said what it still runs."""
    old_id = world.start(can_requeue=False)
    running = world.running_step(old_id)
    world.update_nodes("n1", State="NORESP")
    world.update_nodes("n1", State="DOWN", Reason="disk")
    world.update_nodes("n1", State="RESUME")
    new_id = world.submit()
    assert not _is_started(world, new_id)

    world.register("n1", running=(running,))
    assert not _is_started(world, new_id)

    world.do(Report(clean=(NodeClean(node="n1", job_id=old_id, attempt=0),)))
    assert _is_started(world, new_id)
