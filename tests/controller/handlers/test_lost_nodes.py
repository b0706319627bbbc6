"""Jobs on nodes that are set down while their agents answer, and jobs that go on without a node (--no-kill)."""

import pytest

from sluice.errors import InvalidRequest
from sluice.model.base import EXTERN_STEP
from sluice.model.states import Ending, JobState, StepState
from sluice.wire.messages import EndJob, RunningStep, TellManager
from tests.engine_builder import World


def set_down(world: World, node: str) -> None:
    world.effects.clear()
    world.update_nodes(node, State="DOWN", Reason="disk")


def orders(world: World) -> list[tuple[str, int, int, Ending]]:
    """Return (node, job, attempt, ending) of the ordered ends since the last look."""
    return [(end.node, end.job_id, end.attempt, end.ending) for end in world.took(EndJob)]


def test_a_node_that_answers_is_clean_when_it_says_so(world: World) -> None:
    """The job runs again only when nothing of its last run is left."""
    job_id = world.start()
    set_down(world, "n1")

    assert orders(world) == [("n1", job_id, 0, Ending.NODE_FAILURE)]
    assert (world.job(job_id).state, world.job(job_id).completing_nodes) == (JobState.NODE_FAIL, ("n1",))
    assert world.free_cpus("n1") == 3
    world.report(world.result(job_id, exit_signal=15))
    assert (world.job(job_id).state, world.job(job_id).attempt) == (JobState.PENDING, 1)
    world.pass_()
    assert world.job(job_id).nodes == ("n2",)


def test_a_node_set_down_and_resumed_still_ends_its_job(world: World) -> None:
    job_id = world.start(can_requeue=False)
    set_down(world, "n1")
    world.update_nodes("n1", State="RESUME")

    assert world.job(job_id).completing_nodes == ("n1",)
    world.clean(job_id)
    assert world.step_of(job_id).state is StepState.NODE_FAIL


def test_a_node_that_does_not_answer_is_not_waited_for(world: World) -> None:
    """The order goes out all the same: somebody may only have said that it does not answer."""
    job_id = world.start()
    world.update_nodes("n1", State="NORESP")
    set_down(world, "n1")

    assert orders(world) == [("n1", job_id, 0, Ending.NODE_FAILURE)]
    assert (world.job(job_id).state, world.job(job_id).attempt) == (JobState.PENDING, 1)
    world.pass_()
    assert world.job(job_id).nodes == ("n2",)


def test_a_node_that_falls_silent_after_it_was_set_down_is_given_up(world: World) -> None:
    job_id = world.start(can_requeue=False)
    set_down(world, "n1")
    world.lose("n1")

    assert world.job(job_id).completing_nodes == ()


def test_an_extern_step_that_stayed_on_a_lost_node_is_ended_when_it_comes_back(world: World) -> None:
    job_id = world.start()
    world.lose("n1")

    assert world.register("n1", running=(RunningStep(job_id=job_id, attempt=0, step_id=EXTERN_STEP),)) == (
        ("n1", job_id, 0),
    )


@pytest.fixture
def sturdy(world: World) -> int:
    """A running job on n1 and n2 that can do without n2, with a step on both."""
    job_id = world.start(nodes=2, ntasks=2, no_kill=True, given=frozenset({"nodes"}))
    world.step(job_id, ntasks=2)
    return job_id


def test_a_step_on_a_node_that_is_set_down_is_ended_and_fails(world: World, sturdy: int) -> None:
    set_down(world, "n2")

    assert orders(world) == [("n2", sturdy, 0, Ending.NODE_FAILURE)]
    assert world.job(sturdy).state is JobState.RUNNING
    assert world.step_of(sturdy, 0).running_nodes == ("n1", "n2")
    world.report(world.result(sturdy, 0, "n2"), world.result(sturdy, 0, "n1"))
    assert world.step_of(sturdy, 0).state is StepState.NODE_FAIL


def test_a_part_that_is_lost_with_its_node_fails_its_step(world: World, sturdy: int) -> None:
    world.lose("n2")
    world.report(world.result(sturdy, 0, "n1"))

    step = world.step_of(sturdy, 0)
    assert (step.state, step.exit_code) == (StepState.NODE_FAIL, 1)


def test_a_node_that_says_it_is_clean_has_lost_the_parts_that_it_did_not_report(world: World, sturdy: int) -> None:
    set_down(world, "n2")
    world.clean(sturdy, "n2")

    assert world.step_of(sturdy, 0).running_nodes == ("n1",)


def test_no_step_starts_on_a_node_that_its_job_has_lost(world: World, sturdy: int) -> None:
    world.lose("n2")
    world.report(world.result(sturdy, 0, "n1"))
    world.register("n2")
    world.update_nodes("n2", State="RESUME")

    assert [node.node for node in world.step(sturdy, ntasks=1).nodes] == ["n1"]
    with pytest.raises(InvalidRequest, match=f"node n2 was lost while job {sturdy} ran"):
        world.step(sturdy, ntasks=1, required_nodes=("n2",))
    with pytest.raises(InvalidRequest, match="1 of the allocation's 2 may be used: without n2, lost to the job"):
        world.step(sturdy, ntasks=2, min_nodes=2)


def test_what_still_runs_on_a_lost_node_is_ended_when_it_comes_back(world: World, sturdy: int) -> None:
    world.lose("n2")
    world.effects.clear()
    world.register("n2", running=(world.running_step(sturdy, 0),))

    assert orders(world) == [("n2", sturdy, 0, Ending.NODE_FAILURE)]


def test_a_job_that_ends_does_not_wait_for_a_node_that_it_has_lost(world: World, sturdy: int) -> None:
    world.lose("n2")
    world.cancel(sturdy)

    assert world.job(sturdy).completing_nodes == ("n1",)


def test_a_job_waits_at_its_end_for_a_lost_node_that_answers(world: World, sturdy: int) -> None:
    set_down(world, "n2")
    world.cancel(sturdy)

    assert world.job(sturdy).completing_nodes == ("n1", "n2")


def test_the_manager_of_the_steps_learns_of_the_lost_node(world: World) -> None:
    job_id = world.start(nodes=2, ntasks=2, no_kill=True, given=frozenset({"nodes"}))
    world.manage(job_id)
    set_down(world, "n2")

    told = [order.job for order in world.took(TellManager) if order.job is not None]
    assert [(job.id, job.lost_nodes) for job in told] == [(job_id, ("n2",))]


def test_another_run_has_all_of_its_nodes_again(world: World, sturdy: int) -> None:
    world.lose("n2")
    world.change("requeue", sturdy)
    world.clean(sturdy)
    world.register("n2")
    world.update_nodes("n2", State="RESUME")
    world.pass_()

    assert (world.job(sturdy).nodes, world.job(sturdy).lost_nodes) == (("n1", "n2"), ())
    world.check_replay()
