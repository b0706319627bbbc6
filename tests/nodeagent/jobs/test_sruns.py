"""Steps that their srun launches late, twice or never."""

from __future__ import annotations

from sluice.wire.messages import (
    EndStep,
    Orders,
)
from sluiced.jobs.effects import (
    Effect,
    RefuseTasks,
    TellResult,
    WaitForSrun,
)
from sluiced.jobs.engine import StepEngine
from tests.nodeagent.conftest import NODE
from tests.nodeagent.jobs.telling import (
    STEP,
    kinds,
    launch,
    launch_step,
    make_engine,
    result_of,
)


def test_a_step_that_never_came_is_told_ended_and_stays_away() -> None:
    engine = make_engine()
    launch(engine)
    order = EndStep(node=NODE, epoch=1, job_id=1, attempt=0, step_id=0, kill_wait_s=1.0)

    assert kinds(engine.on_orders(Orders(step_ends=(order,)))) == [TellResult]
    assert kinds(launch_step(engine)) == [RefuseTasks]


def _give_up(engine: StepEngine) -> list[Effect]:
    order = EndStep(node=NODE, epoch=1, job_id=1, attempt=0, step_id=0, kill_wait_s=1.0, only_unlaunched=True)
    return engine.on_orders(Orders(step_ends=(order,)))


def test_a_step_that_nobody_launched_is_given_up() -> None:
    engine = make_engine()
    launch(engine)

    assert kinds(_give_up(engine)) == [TellResult]
    assert kinds(launch_step(engine)) == [RefuseTasks]


def test_a_step_that_was_launched_is_not_given_up() -> None:
    engine = make_engine()
    launch_step(engine)

    assert _give_up(engine) == []
    engine.on_step_ended(STEP, result_of(STEP))
    assert _give_up(engine) == []


def test_an_srun_that_is_connected_may_take_its_time() -> None:
    """It runs the user's --prolog; when it goes without a launch, the step is over."""
    engine = make_engine()
    launch(engine)
    engine.on_srun_came(STEP)

    assert _give_up(engine) == []
    assert kinds(engine.on_srun_gone(STEP)) == [TellResult]


def test_a_step_whose_srun_went_without_a_launch_is_over_soon() -> None:
    engine = make_engine()
    engine.on_srun_came(STEP)

    assert kinds(engine.on_srun_gone(STEP)) == [WaitForSrun]
    assert kinds(engine.on_srun_missed(STEP)) == [TellResult]
    assert kinds(launch_step(engine)) == [RefuseTasks]


def test_a_step_whose_srun_was_connected_to_the_last_agent_is_over_unless_the_srun_comes_back() -> None:
    engine = make_engine()
    launch(engine)
    order = EndStep(
        node=NODE, epoch=1, job_id=1, attempt=0, step_id=0, kill_wait_s=1.0, only_unlaunched=True, may_come=True
    )

    assert kinds(engine.on_orders(Orders(step_ends=(order,)))) == [WaitForSrun]
    engine.on_srun_came(STEP)
    assert engine.on_srun_missed(STEP) == []
    assert kinds(engine.on_srun_gone(STEP)) == [WaitForSrun]
    assert kinds(engine.on_srun_missed(STEP)) == [TellResult]


def test_an_srun_that_comes_after_another_command_launches_the_step() -> None:
    engine = make_engine()
    engine.on_srun_came(STEP)
    engine.on_srun_gone(STEP)
    engine.on_srun_came(STEP)

    assert engine.on_srun_missed(STEP) == []
    launch_step(engine)
    assert engine.on_srun_gone(STEP) == []
    assert engine.on_srun_missed(STEP) == []


def test_an_srun_that_launched_late_goes_without_harm() -> None:
    engine = make_engine()
    engine.on_srun_came(STEP)
    _give_up(engine)
    launch_step(engine)

    assert engine.on_srun_gone(STEP) == []
