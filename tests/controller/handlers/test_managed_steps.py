"""Steps that the agent of a job's first node manages: handed over once, taken into the book as it reports them."""

from typing import Any

import pytest
from msgspec.structs import replace

from sluice.errors import NotPermitted, RequestError
from sluice.model.request import StepSpec
from sluice.model.states import StepState
from sluice.model.step import Step, StepNode
from sluice.wire.messages import FinishStep, LeasePorts, TellManager
from sluicectld.permissions import Caller
from tests.engine_builder import ANN, ROOT, World


def agent(node: str) -> Caller:
    return Caller(0, 0, "root", agent_of=node)


@pytest.fixture
def job_id(world: World) -> int:
    """A running job on n1 and n2 whose steps n1 manages."""
    job_id = world.start(nodes=2, ntasks=2, given=frozenset({"nodes"}))
    assert world.manage(job_id).steps_on == "n1"
    return job_id


def step(job_id: int, step_id: int = 0, nodes: tuple[str, ...] = ("n1", "n2"), **fields: Any) -> Step:
    parts = tuple(StepNode(node=node, ntasks=1, ranks=str(rank)) for rank, node in enumerate(nodes))
    values: dict[str, Any] = {"nodes": parts, "running_nodes": nodes, "started_at": 1.0} | fields
    return Step(job_id=job_id, step_id=step_id, spec=StepSpec(name="s"), **values)


def ended(one: Step, **fields: Any) -> Step:
    return replace(one, running_nodes=(), ended_at=5.0, **fields)


def told(world: World) -> list[tuple[str, str, int, int]]:
    """Return (manager, node, exit code, exit signal) of what managers were told."""
    return [
        (order.node, result.node, result.exit_code, result.exit_signal)
        for order in world.took(TellManager)
        for result in order.results
    ]


def test_the_controller_makes_no_step_of_a_job_that_an_agent_manages(world: World, job_id: int) -> None:
    with pytest.raises(RequestError, match="managed on node n1") as refusal:
        world.step(job_id)
    assert refusal.value.code == "steps_elsewhere"


def test_steps_are_handed_over_again_to_an_agent_that_has_forgotten_them(world: World, job_id: int) -> None:
    world.managed(step(job_id, 4))

    assert world.manage(job_id).next_step_id == 5


def test_steps_stay_while_one_runs_that_the_controller_made(world: World) -> None:
    job_id = world.start(ntasks=1)
    world.step(job_id)

    with pytest.raises(RequestError, match="run that the controller manages"):
        world.manage(job_id)

    world.report(world.result(job_id, 0))
    assert world.manage(job_id).steps_on == "n1"


@pytest.mark.parametrize("node", ["n2", "n1"])
def test_steps_go_to_the_first_nodes_own_agent_alone(world: World, node: str) -> None:
    job_id = world.start(nodes=2, ntasks=2, given=frozenset({"nodes"}))
    with pytest.raises(RequestError):
        world.manage(job_id, node, caller=agent("n2"))
    with pytest.raises(NotPermitted):
        world.manage(job_id, node, caller=ANN)


def test_a_component_of_a_heterogeneous_job_keeps_its_steps_here(world: World) -> None:
    leader = world.submit_het({"ntasks": 1}, {"ntasks": 1})
    world.pass_()
    with pytest.raises(RequestError, match="component"):
        world.manage(leader)


def test_a_requeued_job_comes_back_without_a_manager(world: World, job_id: int) -> None:
    world.change("requeue", job_id)
    world.clean(job_id)
    world.pass_time(130)
    world.pass_()
    assert world.job(job_id).steps_on == ""


def test_a_step_is_in_the_book_from_its_first_report_to_its_last(world: World, job_id: int) -> None:
    one = step(job_id)
    world.managed(one)
    assert world.step_of(job_id, 0).state is StepState.RUNNING
    assert world.job(job_id).next_step_id == 1

    world.managed(replace(one, running_nodes=("n2",)))
    assert world.step_of(job_id, 0).running_nodes == ("n2",)

    world.managed(ended(one, exit_code=3))
    assert (world.step_of(job_id, 0).state, world.step_of(job_id, 0).exit_code) == (StepState.FAILED, 3)
    assert world.job(job_id).derived_exit_code == 3
    world.check_replay()


def test_a_step_that_was_short_comes_as_one_that_has_ended(world: World, job_id: int) -> None:
    world.happened()
    world.managed(ended(step(job_id), exit_code=2))

    assert len(world.happened()) == 1
    assert world.step_of(job_id, 0).state is StepState.FAILED
    assert world.job(job_id).derived_exit_code == 2
    world.check_replay()


def test_a_repeated_report_changes_nothing(world: World, job_id: int) -> None:
    one = step(job_id)
    for report in (one, ended(one)):
        world.managed(report)
    world.happened()

    for report in (one, ended(one)):
        world.managed(report)

    assert world.happened() == []
    assert world.step_of(job_id, 0).state is StepState.COMPLETED


def test_only_the_manager_reports_of_a_jobs_steps(world: World, job_id: int) -> None:
    world.managed(step(job_id), caller=agent("n2"))
    assert 0 not in world.cluster.steps[job_id]


def test_what_another_node_reports_here_is_passed_on_to_the_manager(world: World, job_id: int) -> None:
    world.managed(step(job_id))
    world.report(world.result(job_id, 0, "n2", exit_code=4))

    assert told(world) == [("n1", "n2", 4, 0)]
    assert world.step_of(job_id, 0).running_nodes == ("n1",)


def test_a_manager_that_missed_the_end_of_a_part_is_told_when_it_reports_that_part(world: World, job_id: int) -> None:
    one = step(job_id)
    world.managed(one)
    world.report(world.result(job_id, 0, "n2", exit_code=4))
    told(world)

    world.managed(one)

    assert told(world) == [("n1", "n2", 4, 0)]
    assert world.step_of(job_id, 0).running_nodes == ("n1",)


def test_the_manager_learns_of_a_lost_node(world: World) -> None:
    job_id = world.start(nodes=2, ntasks=2, given=frozenset({"nodes"}), no_kill=True)
    world.manage(job_id)
    world.managed(step(job_id))

    world.lose("n2")

    assert [(manager, node) for manager, node, *_ in told(world)] == [("n1", "n2")]
    assert world.step_of(job_id, 0).running_nodes == ("n1",)


def test_the_manager_learns_of_a_step_that_its_srun_gave_up_here(world: World, job_id: int) -> None:
    world.managed(step(job_id))
    world.do(FinishStep(job_id=job_id, step_id=0, exit_code=1), ANN)

    assert told(world) == [("n1", "n1", 1, 0), ("n1", "n2", 1, 0)]
    assert world.step_of(job_id, 0).state is StepState.FAILED


def test_who_cancelled_a_step_outlasts_its_managers_reports(world: World, job_id: int) -> None:
    one = step(job_id)
    world.managed(one)
    world.cancel(f"{job_id}.0")
    world.managed(ended(one, exit_signal=15))

    assert world.step_of(job_id, 0).cancelled_by == ANN.uid
    assert world.step_of(job_id, 0).state is StepState.CANCELLED


def test_a_step_that_began_while_its_job_was_being_ended_runs_nowhere_that_is_clean(world: World, job_id: int) -> None:
    world.cancel(job_id)
    world.clean(job_id, "n2")

    world.managed(step(job_id))
    assert world.step_of(job_id, 0).running_nodes == ("n1",)

    world.clean(job_id)
    assert world.step_of(job_id, 0).state is StepState.CANCELLED


def test_ports_of_managed_steps_differ_from_those_of_all_other_jobs_on_the_node(world: World, job_id: int) -> None:
    other = world.start(ntasks=1, required_nodes=("n1",))
    theirs = world.step(other, ports=8).ports
    one = step(job_id)
    wanted = replace(one, spec=replace(one.spec, ports=8))

    ports = world.do(LeasePorts(node="n1", step=wanted)).ports

    assert ports[1] - ports[0] == 7
    assert set(range(ports[0], ports[1] + 1)).isdisjoint(range(theirs[0], theirs[1] + 1))
    assert world.step_of(job_id, 0).ports == ports
    # Asked again, the answer is the same; and what the manager reports does not change it.
    assert world.do(LeasePorts(node="n1", step=wanted)).ports == ports
    world.managed(wanted)
    assert world.step_of(job_id, 0).ports == ports


def test_the_manager_learns_how_its_job_is_changed(world: World, job_id: int) -> None:
    world.set_key(job_id, ROOT, "TimeLimit", "77")

    assert [(order.node, order.job.limit_s) for order in world.took(TellManager)] == [("n1", 77 * 60)]


def test_a_result_that_comes_before_its_step_is_known_is_not_lost(world: World, job_id: int) -> None:
    """Another node's agent could not reach the manager, which had not told of the step."""
    world.report(world.result(job_id, 0, "n2", exit_code=4))
    assert (world.step_of(job_id, 0).state, world.step_of(job_id, 0).exit_code) == (StepState.FAILED, 4)
    told(world)

    world.managed(step(job_id))

    assert told(world) == [("n1", "n2", 4, 0)]
    known = world.step_of(job_id, 0)
    assert (known.state, known.running_nodes, known.spec.name) == (StepState.RUNNING, ("n1",), "s")
    world.check_replay()


def test_a_step_that_ended_before_its_job_was_cancelled_is_told_afterwards(world: World, job_id: int) -> None:
    """Its manager tells a little later than it knows."""
    world.managed(step(job_id))
    over_at = world.now
    world.now += 0.1
    world.cancel(job_id)
    world.managed(replace(step(job_id), running_nodes=(), ended_at=over_at))

    assert world.step_of(job_id, 0).state is StepState.COMPLETED


def test_a_step_that_ended_after_its_job_was_cancelled_is_cancelled(world: World, job_id: int) -> None:
    world.managed(step(job_id))
    world.cancel(job_id)
    world.managed(replace(step(job_id), running_nodes=(), ended_at=world.now + 0.1))

    assert world.step_of(job_id, 0).state is StepState.CANCELLED


def test_a_part_that_ended_before_its_node_was_lost_has_not_failed(world: World) -> None:
    job_id = world.start(nodes=2, ntasks=2, no_kill=True, given=frozenset({"nodes"}))
    world.manage(job_id)
    world.managed(step(job_id))
    world.update_nodes("n2", State="DOWN", Reason="disk")
    world.managed(ended(step(job_id)))

    assert world.step_of(job_id, 0).state is StepState.COMPLETED


def test_a_step_that_was_made_on_a_node_that_is_lost_fails(world: World) -> None:
    job_id = world.start(nodes=2, ntasks=2, no_kill=True, given=frozenset({"nodes"}))
    world.manage(job_id)
    world.lose("n2")
    world.effects.clear()
    world.managed(step(job_id))

    assert told(world) == [("n1", "n2", 1, 0)]
    world.report(world.result(job_id, 0, "n1"))
    assert world.step_of(job_id, 0).state is StepState.NODE_FAIL


def test_a_part_that_was_lost_and_reported_here_has_failed(world: World) -> None:
    job_id = world.start(nodes=2, ntasks=2, no_kill=True, given=frozenset({"nodes"}))
    world.manage(job_id)
    world.managed(step(job_id))
    world.update_nodes("n2", State="DOWN", Reason="disk")
    world.report(world.result(job_id, 0, "n2"))
    world.managed(ended(step(job_id)))

    assert world.step_of(job_id, 0).state is StepState.NODE_FAIL


def test_a_part_on_a_lost_node_that_reports_before_its_step_is_known_has_failed(world: World) -> None:
    job_id = world.start(nodes=2, ntasks=2, no_kill=True, given=frozenset({"nodes"}))
    world.manage(job_id)
    world.update_nodes("n2", State="DOWN", Reason="disk")
    world.report(world.result(job_id, 0, "n2", exit_signal=15))
    world.managed(step(job_id))
    world.managed(ended(step(job_id)))

    assert world.step_of(job_id, 0).state is StepState.NODE_FAIL


def test_a_manager_that_was_away_learns_the_job_as_it_is(world: World, job_id: int) -> None:
    world.update(job_id, ROOT, TimeLimit="20")
    world.effects.clear()

    world.register("n1", running=(world.running_step(job_id),))

    assert [order.job for order in world.took(TellManager)] == [world.job(job_id)]
