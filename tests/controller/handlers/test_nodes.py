"""Nodes: registered, silent, lost, rebooted, drained, down; and what becomes of the jobs there."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.errors import NotFound, NotPermitted, RequestError
from sluice.model.node import GresPlace, Inventory
from sluice.model.reason import Reason
from sluice.model.request import GresRequest
from sluice.model.states import Ending, JobState, NodeState, StepState
from sluice.wire.messages import EndJob, NodeReport, Register, RunningStep
from sluicectld.permissions import Caller
from tests.engine_builder import ANN, OPERATOR, World

MakeWorld = Callable[..., World]


def test_a_node_is_in_service_once_it_has_registered(make_world: MakeWorld) -> None:
    world = make_world(is_registered=False)
    job_id = world.submit()
    world.pass_()
    assert world.job(job_id).state is JobState.PENDING

    world.register("n1")
    world.pass_()

    assert world.node("n1").state is NodeState.UP
    assert world.job(job_id).state is JobState.RUNNING


@pytest.mark.parametrize(
    ("measured", "reason"),
    [({"cpus": 2}, "Low CPUs"), ({"memory_mib": 3999}, "Low RealMemory")],
    ids=["fewer CPUs", "less memory"],
)
def test_a_node_smaller_than_configured_is_drained(world: World, measured: dict[str, Any], reason: str) -> None:
    world.register("n1", **measured)

    assert world.node("n1").is_drained
    assert world.node("n1").reason.startswith(reason)


def test_a_node_with_fewer_gpus_than_configured_is_drained_with_the_numbers(make_world: MakeWorld) -> None:
    world = make_world(is_registered=False)
    gres = (GresRequest(name="gpu", type="a100", count=4), GresRequest(name="gpu", type="h100", count=2))
    world.configure(nodes=tuple(replace(node, gres=gres) for node in world.node_records))
    seen = (GresRequest(name="gpu", type="a100", count=4), GresRequest(name="gpu", type="h100", count=1))

    world.register("n1", gres=seen, gres_problems=("gres.conf: /dev/nvidia5 does not exist",))

    assert world.node("n1").is_drained
    assert world.node("n1").reason == (
        "gres/gpu:h100 count low: registered with 1, configuration says 2 (gres.conf: /dev/nvidia5 does not exist)"
    )


def test_a_node_whose_gpus_are_all_there_again_is_given_back(make_world: MakeWorld) -> None:
    world = make_world(is_registered=False)
    gres = (GresRequest(name="gpu", count=2),)
    world.configure(nodes=tuple(replace(node, gres=gres) for node in world.node_records))
    world.register("n1", gres=(GresRequest(name="gpu", count=1),))
    assert world.node("n1").is_drained

    world.register("n1", gres=gres)

    assert (world.node("n1").is_drained, world.node("n1").reason) == (False, "")


def test_where_gpus_stand_is_believed_of_the_agent_that_found_out(make_world: MakeWorld) -> None:
    world = make_world(is_registered=False)
    gres = (GresRequest(name="gpu", count=2),)
    world.configure(nodes=tuple(replace(node, gres=gres) for node in world.node_records))
    places = (GresPlace(name="gpu", cores="0-1"), GresPlace(name="gpu", cores="2-3"))

    world.register("n1", gres_places=places)
    assert world.node("n1").gres_places == places

    world.configure()
    assert world.node("n1").gres_places == places


def test_the_configuration_may_override_what_was_measured(make_world: MakeWorld) -> None:
    world = make_world(slurmd_parameters={"config_overrides": ""})
    world.register("n1", cpus=1)

    assert not world.node("n1").is_drained


def test_an_administrators_reason_is_not_overwritten(world: World) -> None:
    world.update_nodes("n1", State="DRAIN", Reason="fan")
    world.register("n1", cpus=1)

    assert world.node("n1").reason == "fan"


def test_registering_again_leaves_the_jobs_alone(world: World) -> None:
    job_id = world.start()
    world.effects.clear()
    for _ in range(3):
        assert world.register("n1", running=(world.running_step(job_id),)) == ()

    assert world.effects == []
    assert world.job(job_id).state is JobState.RUNNING


def test_a_launch_that_was_lost_is_ordered_again(world: World) -> None:
    """The connection broke before the order arrived: the agent has never heard of the job."""
    job_id = world.start()
    world.effects.clear()
    world.lose("n1", is_final=False)
    world.register("n1")

    assert world.launches() == [("n1", job_id, 0)]


def test_the_batch_script_is_launched_on_the_first_node_alone(world: World) -> None:
    job_id = world.start(nodes=2)
    world.effects.clear()
    world.register("n2")
    assert world.launches() == []

    world.register("n1")

    assert world.launches() == [("n1", job_id, 0)]


def test_an_interactive_job_is_never_launched(world: World) -> None:
    world.start(is_batch=False)
    world.effects.clear()
    world.register("n1")

    assert world.launches() == []


def test_the_end_of_a_job_is_ordered_again(world: World) -> None:
    job_id = world.start()
    world.cancel(job_id)
    world.effects.clear()
    world.register("n1", running=(world.running_step(job_id),))

    assert [(end.node, end.ending) for end in world.took(EndJob)] == [("n1", Ending.CANCEL)]


def test_what_should_not_run_is_told(world: World) -> None:
    """One job is unknown, one has been requeued since, one runs as it should."""
    job_id, other = world.start(), world.start()
    world.change("requeue", other)
    world.clean(other)
    stale = world.register(
        "n1",
        running=(
            world.running_step(job_id),
            RunningStep(job_id=other, attempt=0, step_id=-5),
            RunningStep(job_id=77, attempt=2, step_id=0),
        ),
    )

    assert stale == (("n1", other, 0), ("n1", 77, 2))


def test_a_new_spool_must_not_run_a_job_a_second_time(world: World) -> None:
    """What the agent did before is gone from its memory: the script may have run."""
    again, never = world.start(), world.start(can_requeue=False)
    fresh = world.start(is_batch=False)
    world.effects.clear()
    world.register("n1", spool_id="spool 2")

    assert world.launches() == []
    assert (world.job(again).state, world.job(again).attempt) == (JobState.PENDING, 1)
    assert world.job(never).state is JobState.NODE_FAIL
    assert world.job(fresh).state is JobState.RUNNING


def test_a_new_spool_that_knows_the_job_keeps_it(world: World) -> None:
    job_id = world.start()
    world.register("n1", spool_id="spool 2", running=(world.running_step(job_id),))

    assert world.job(job_id).state is JobState.RUNNING


def test_a_reboot_ends_what_ran_there(world: World) -> None:
    requeued, failed = world.start(), world.start(can_requeue=False)
    completing = world.start()
    world.cancel(completing)
    world.register("n1", boot_id="boot 2")

    assert (world.job(requeued).state, world.job(requeued).attempt) == (JobState.PENDING, 1)
    assert (world.job(failed).state, world.job(failed).reason) == (JobState.NODE_FAIL, Reason.NODE_DOWN)
    assert (world.job(completing).state, world.job(completing).completing_nodes) == (JobState.CANCELLED, ())
    assert world.free_cpus("n1") == 4


def test_a_broken_connection_alone_ends_nothing_and_starts_nothing(world: World) -> None:
    job_id = world.start(required_nodes=("n1",))
    world.lose("n1", "n2", is_final=False)
    waiting = world.submit()
    world.pass_()
    assert world.job(job_id).state is JobState.RUNNING
    assert world.job(waiting).state is JobState.PENDING

    world.register("n1", running=(world.running_step(job_id),))
    world.pass_()

    assert world.job(waiting).state is JobState.RUNNING


def test_a_lost_node_goes_down_and_its_job_back_to_the_queue(world: World) -> None:
    """The other node has to be clean first; the lost one is not waited for."""
    job_id = world.start(nodes=2)
    world.step(job_id, min_nodes=2)
    world.effects.clear()
    world.lose("n1")

    assert world.node("n1").state is NodeState.DOWN
    job = world.job(job_id)
    assert (job.is_requeued, job.completing_nodes, job.failed_node) == (True, ("n2",), "n1")
    assert [(end.node, end.ending) for end in world.took(EndJob)] == [("n2", Ending.NODE_FAILURE)]

    world.clean(job_id, "n2")
    assert (world.job(job_id).state, world.job(job_id).attempt) == (JobState.PENDING, 1)
    assert world.job(job_id).failed_node == ""


def test_an_interactive_job_on_a_lost_node_is_over(world: World) -> None:
    """Nobody is there to run its command a second time."""
    job_id = world.start(is_batch=False)
    world.lose("n1")

    assert (world.job(job_id).state, world.job(job_id).is_requeued) == (JobState.NODE_FAIL, False)


def test_the_steps_of_a_lost_node_end(world: World) -> None:
    job_id = world.start(nodes=2, can_requeue=False)
    world.step(job_id, min_nodes=1, ntasks=1)
    world.lose("n1")

    assert world.step_of(job_id).state is StepState.NODE_FAIL
    assert world.step_of(job_id, 0).state is StepState.NODE_FAIL


def test_a_job_that_can_do_without_a_node_goes_on(world: World) -> None:
    job_id = world.start(nodes=2, no_kill=True)
    world.step(job_id, min_nodes=2)
    world.lose("n2")

    assert world.job(job_id).state is JobState.RUNNING
    assert world.step_of(job_id, 0).running_nodes == ("n1",)


def test_losing_both_nodes_one_after_the_other_ends_the_job_once(world: World) -> None:
    job_id = world.start(nodes=2, can_requeue=False)
    world.lose("n1")
    world.lose("n2")

    assert (world.job(job_id).state, world.job(job_id).completing_nodes) == (JobState.NODE_FAIL, ())


def test_a_lost_job_is_not_the_new_run_when_its_node_comes_back(world: World) -> None:
    """The node was away, its agent kept the script running; the job runs elsewhere by now."""
    job_id = world.start(required_nodes=())
    late = world.result(job_id)
    world.lose("n1")
    world.pass_()
    assert world.job(job_id).nodes == ("n2",)

    stale = world.register("n1", running=(RunningStep(job_id=job_id, attempt=0, step_id=-5),))
    world.report(late)

    assert stale == (("n1", job_id, 0),)
    assert world.job(job_id).state is JobState.RUNNING


@pytest.mark.parametrize(
    ("service", "was_silent", "state"),
    [
        (0, True, NodeState.DOWN),
        (1, True, NodeState.UP),
        (2, True, NodeState.UP),
        (0, False, NodeState.DOWN),
        (1, False, NodeState.DOWN),
        (2, False, NodeState.UP),
    ],
)
def test_return_to_service(make_world: MakeWorld, service: int, was_silent: bool, state: NodeState) -> None:
    """0: an administrator brings it back; 1: it returns if it was down for silence; 2: it returns."""
    world = make_world(return_to_service=service)
    if was_silent:
        world.lose("n1")
    else:
        world.update_nodes("n1", State="DOWN", Reason="disk")
    world.register("n1")

    assert world.node("n1").state is state


def test_a_drained_node_finishes_what_it_runs_and_starts_nothing(world: World) -> None:
    job_id = world.start()
    world.update_nodes("n1", State="DRAIN", Reason="fan")
    waiting = world.submit(required_nodes=("n1",))
    world.pass_()
    assert world.job(job_id).state is JobState.RUNNING
    assert world.job(waiting).state is JobState.PENDING

    world.update_nodes("n1", State="RESUME")
    world.pass_()

    assert world.job(waiting).state is JobState.RUNNING
    assert world.node("n1").reason == ""


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"State": "DRAIN"}, "reason", id="drain without a reason"),
        pytest.param({"State": "DOWN"}, "reason", id="down without a reason"),
        pytest.param({"State": "RESUME"}, "invalid_node_state", id="resume of a node in service"),
        pytest.param({"State": "SLEEPY"}, "invalid_node_state", id="a state that is none"),
        pytest.param({"Colour": "red"}, "invalid_request", id="a key that is none"),
        pytest.param({"Weight": "heavy"}, "invalid_request", id="a weight that is none"),
        pytest.param({"Weight": "9" * 20}, "invalid_request", id="a weight that no answer could show"),
    ],
)
def test_refused_changes_of_nodes(world: World, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(RequestError) as refusal:
        world.update_nodes("n1", **changes)

    assert refusal.value.code == code


def test_nothing_changes_when_one_node_of_several_is_refused(world: World) -> None:
    world.update_nodes("n1", State="DRAIN", Reason="fan")

    with pytest.raises(RequestError):
        world.update_nodes("n[1-2]", State="RESUME")

    assert world.node("n1").is_drained


def test_nodes_are_the_operators(world: World) -> None:
    world.update_nodes("n1", OPERATOR, Comment="noisy")
    with pytest.raises(NotPermitted):
        world.update_nodes("n1", ANN, Comment="quiet")
    with pytest.raises(NotFound):
        world.update_nodes("n9", Comment="quiet")

    assert world.node("n1").comment == "noisy"


def test_a_relay_with_one_unknown_node_registers_none(world: World) -> None:
    world.lose("n1", is_final=False)
    reports = tuple(NodeReport(node=name, inventory=Inventory(cpus=4, memory_mib=4000)) for name in ("n1", "n9"))

    with pytest.raises(NotFound, match="n9"):
        world.do(Register(nodes=reports))

    assert not world.node("n1").is_responding


def test_an_agent_registers_its_own_node(world: World) -> None:
    report = NodeReport(node="n2", inventory=Inventory(cpus=4, memory_mib=4000))

    with pytest.raises(NotPermitted, match="n1"):
        world.do(Register(nodes=(report,)), Caller(0, 0, "root", agent_of="n1"))
    with pytest.raises(NotPermitted):
        world.do(Register(nodes=(report,)), ANN)
