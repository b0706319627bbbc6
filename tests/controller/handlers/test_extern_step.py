"""PrologFlags=Contain: a job has an extern step on all its nodes from its start to its end."""

from collections.abc import Callable

import pytest

from sluice.model.base import EXTERN_STEP
from sluice.model.states import OUT_OF_MEMORY_SIGNAL, JobState, StepState
from sluice.wire.messages import EndStep, NodePrepared, PrepareJob, Report
from sluicectld.handlers.steps import LAUNCH_WAIT_S
from tests.engine_builder import World

MakeWorld = Callable[..., World]
CONTAIN = {"nodes": 2, "prolog_flags": ("Alloc", "Contain")}


def prepares(world: World) -> list[PrepareJob]:
    return [order for order in world.effects if isinstance(order, PrepareJob)]


def prepared(world: World, job_id: int, *nodes: str) -> None:
    world.do(Report(prepared=tuple(NodePrepared(node=node, job_id=job_id, attempt=0) for node in nodes)))


def test_it_begins_with_the_job_on_all_nodes_although_there_is_no_prolog(make_world: MakeWorld) -> None:
    world = make_world(**CONTAIN)

    job_id = world.start(nodes=2)

    step = world.step_of(job_id, EXTERN_STEP)
    assert (step.spec.name, step.running_nodes, step.ntasks) == ("extern", ("n1", "n2"), 2)
    assert [order.node for order in prepares(world)] == ["n1", "n2"]
    assert world.launches() == []


@pytest.mark.parametrize(
    ("more", "is_awaited"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"prolog": "/site/prolog"}, True, id="a prolog"),
        pytest.param({"prolog_flags": ("Alloc", "Contain", "X11")}, True, id="X11 that it forwards"),
    ],
)
def test_a_job_of_one_node_waits_only_where_something_comes_first(
    make_world: MakeWorld, more: dict[str, object], is_awaited: bool
) -> None:
    world = make_world(**(CONTAIN | more))

    job_id = world.start()

    assert world.job(job_id).is_configuring is is_awaited
    assert [order.node for order in prepares(world)] == ["n1"]
    assert bool(world.launches()) is not is_awaited


def test_each_node_hears_of_its_own_part_alone(make_world: MakeWorld) -> None:
    world = make_world(**CONTAIN)

    world.start(nodes=2)

    jobs = [order.job for order in prepares(world)]
    assert [job.nodes for job in jobs if job is not None] == [("n1",), ("n2",)]


def test_without_contain_there_is_none(make_world: MakeWorld) -> None:
    world = make_world(nodes=2, prolog="/site/prolog", prolog_flags=("Alloc",))

    job_id = world.start(nodes=2)

    assert EXTERN_STEP not in world.cluster.steps[job_id]
    assert [order.job for order in prepares(world)] == [None, None]


def test_steps_do_not_have_to_share_with_it(make_world: MakeWorld) -> None:
    world = make_world(**CONTAIN)
    job_id = world.start(nodes=2, is_batch=False)
    prepared(world, job_id, "n1", "n2")

    step = world.step(job_id)

    assert (step.step_id, step.nodes[0].cpu_count) == (0, world.job(job_id).allocation.grants[0].cpu_count)  # type: ignore[union-attr]


def test_its_end_is_not_the_jobs(make_world: MakeWorld) -> None:
    world = make_world(**CONTAIN)
    job_id = world.start(nodes=2)

    world.report(world.result(job_id, EXTERN_STEP, "n1"), world.result(job_id, EXTERN_STEP, "n2"))

    assert world.step_of(job_id, EXTERN_STEP).state is StepState.COMPLETED
    assert world.job(job_id).state is JobState.RUNNING


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        pytest.param({}, StepState.COMPLETED, id="whatever became of the job"),
        pytest.param({"exit_code": 1}, StepState.CANCELLED, id="but not if its daemon was lost"),
        pytest.param({"exit_signal": OUT_OF_MEMORY_SIGNAL}, StepState.OUT_OF_MEMORY, id="nor for want of memory"),
    ],
)
def test_it_completes(make_world: MakeWorld, fields: dict[str, int], state: StepState) -> None:
    world = make_world(**CONTAIN)
    job_id = world.start()
    world.cancel(job_id)

    world.report(world.result(job_id, EXTERN_STEP, "n1", **fields))

    assert world.step_of(job_id, EXTERN_STEP).state is state


def test_a_clean_node_has_none(make_world: MakeWorld) -> None:
    """Also where the agent has never heard of it."""
    world = make_world(**CONTAIN)
    job_id = world.start(nodes=2)
    world.cancel(job_id)

    world.clean(job_id, "n1", "n2")

    step = world.step_of(job_id, EXTERN_STEP)
    assert (step.state, step.running_nodes) == (StepState.COMPLETED, ())


def test_an_order_that_was_lost_is_repeated_although_nobody_waits_for_it(make_world: MakeWorld) -> None:
    world = make_world(nodes=2, prolog_flags=("Alloc", "Contain", "NoHold"))
    job_id = world.start(nodes=2)
    running = tuple(world.running_step(job_id, step_id) for step_id in (EXTERN_STEP,))
    world.effects.clear()

    world.register("n1", running=running)
    assert prepares(world) == []
    world.register("n2")

    assert [order.node for order in prepares(world)] == ["n2"]


def test_nobody_has_to_launch_it(make_world: MakeWorld) -> None:
    world = make_world(**CONTAIN)
    job_id = world.start(nodes=1)
    world.pass_time(200.0)
    world.effects.clear()

    world.register("n1")

    assert not [effect for effect in world.effects if isinstance(effect, EndStep)]
    assert world.step_of(job_id, EXTERN_STEP).state is StepState.RUNNING


def test_a_requeued_job_has_another_one(make_world: MakeWorld) -> None:
    world = make_world(**CONTAIN)
    job_id = world.start()
    world.change("requeue", job_id)
    world.clean(job_id, "n1")
    world.pass_()

    assert world.step_of(job_id, EXTERN_STEP).attempt == 1


def test_scancel_ends_it_by_name(make_world: MakeWorld) -> None:
    world = make_world(**CONTAIN)
    job_id = world.start(nodes=2)
    world.effects.clear()

    world.cancel(f"{job_id}.extern")

    ordered = [(end.node, end.step_id) for end in world.effects if isinstance(end, EndStep)]
    assert ordered == [("n1", EXTERN_STEP), ("n2", EXTERN_STEP)]


def test_it_waits_for_no_srun(make_world: MakeWorld) -> None:
    world = make_world(**CONTAIN)
    job_id = world.start(nodes=2)
    prepared(world, job_id, "n1", "n2")
    world.step(job_id, ntasks=1)

    world.pass_time(LAUNCH_WAIT_S + 1)

    assert [order.step_id for order in world.took(EndStep)] == [0]
