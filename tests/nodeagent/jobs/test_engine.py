"""The step engine alone: events in, effects out."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sluice.clock import VirtualClock
from sluice.model.base import BATCH_STEP, EXTERN_STEP
from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.states import Ending
from sluice.model.step import Step, StepNode
from sluice.wire.messages import (
    EndJob,
    EndStep,
    LaunchJob,
    NodeClean,
    NodePrepared,
    Orders,
    PrepareJob,
    RunningStep,
    SignalJob,
    StepResult,
    TaskLaunch,
)
from sluiced.jobs.effects import (
    Effect,
    ForgetJob,
    ForgetStep,
    Hook,
    KillStrays,
    MarkEnded,
    MarkPrepared,
    RefuseTasks,
    RunHook,
    SendOrder,
    StartBatch,
    StartExtern,
    StartTasks,
    TellClean,
    TellDrain,
    TellPrepared,
    TellResult,
    WaitForSrun,
)
from sluiced.jobs.engine import StepEngine
from sluiced.outbox import ReportOutbox
from sluiced.spool import JobKey, StepKey
from sluiced.steps.launch import EndOrder
from tests.nodeagent.conftest import CONFIG, NODE, make_job

_JOB = make_job(1, "/tmp")
_KEY = JobKey(1, 0)
_BATCH = StepKey(1, 0, BATCH_STEP)
_STEP = StepKey(1, 0, 0)


def _engine(**config: Any) -> StepEngine:
    return StepEngine(NODE, replace(CONFIG, **config), None, VirtualClock())


def _launch(engine: StepEngine, epoch: int = 1) -> list[Effect]:
    return engine.on_orders(Orders(launches=(LaunchJob(node=NODE, epoch=epoch, job=_JOB),)))


def _prepare(engine: StepEngine, job: Job | None = None) -> list[Effect]:
    return engine.on_orders(Orders(prepares=(PrepareJob(node=NODE, epoch=1, job_id=1, attempt=0, job=job),)))


def _launch_step(engine: StepEngine, ticket: int = 1, step_id: int = 0) -> list[Effect]:
    part = StepNode(node=NODE, ntasks=1, ranks="0")
    step = Step(job_id=1, step_id=step_id, spec=StepSpec(name="x"), nodes=(part,))
    request = TaskLaunch(credential="", job=_JOB, step=step, node=NODE, argv=("x",))
    return engine.on_tasks_wanted(request, ticket)


def _end(engine: StepEngine, ending: Ending = Ending.CANCEL) -> list[Effect]:
    order = EndJob(node=NODE, epoch=1, job_id=1, attempt=0, ending=ending, kill_wait_s=5.0)
    return engine.on_orders(Orders(ends=(order,)))


def _result(key: StepKey, code: int = 0) -> StepResult:
    return StepResult(node=NODE, **key._asdict(), exit_code=code)


def _kinds(effects: list[Effect]) -> list[type]:
    return [type(effect) for effect in effects]


def test_a_batch_job_starts_ends_and_is_forgotten_once_told() -> None:
    engine = _engine()

    assert _kinds(_launch(engine)) == [StartBatch]
    assert engine.on_step_ended(_BATCH, _result(_BATCH, 3)) == [
        TellResult(replace(_result(_BATCH, 3), is_node_clean=True)),
    ]
    assert engine.on_acknowledged(replace(_result(_BATCH, 3), is_node_clean=True)) == [ForgetJob(_KEY)]
    assert engine.table.jobs == {}


def test_repeated_launches_start_nothing_at_any_time() -> None:
    engine = _engine()
    _launch(engine)

    assert _launch(engine) == []
    engine.on_step_ended(_BATCH, _result(_BATCH))
    assert _launch(engine) == []
    engine.on_acknowledged(replace(_result(_BATCH), is_node_clean=True))
    assert _launch(engine) == []


def test_a_launch_after_its_end_starts_nothing() -> None:
    engine = _engine()

    assert _end(engine) == [TellClean(NodeClean(node=NODE, job_id=1, attempt=0))]
    assert _launch(engine) == []


def test_an_older_controller_is_not_obeyed() -> None:
    engine = _engine()
    engine.on_registered(7, CONFIG, [])

    assert _launch(engine, epoch=6) == []
    assert _kinds(_launch(engine, epoch=7)) == [StartBatch]


def test_the_end_of_the_script_ends_the_other_steps_first() -> None:
    engine = _engine()
    _launch(engine)
    assert _kinds(_launch_step(engine)) == [StartTasks]

    effects = engine.on_step_ended(_BATCH, _result(_BATCH))

    order = EndOrder(ending=Ending.FINISHED, kill_wait_s=CONFIG.kill_wait_s, names_step=True)
    assert effects == [SendOrder(_STEP, order), TellResult(_result(_BATCH))]
    assert engine.on_step_ended(_STEP, _result(_STEP)) == [
        TellResult(_result(_STEP)),
        TellClean(NodeClean(node=NODE, job_id=1, attempt=0)),
    ]


def test_an_allocation_outlives_its_steps() -> None:
    engine = _engine()
    _launch_step(engine)

    assert engine.on_step_ended(_STEP, _result(_STEP)) == [TellResult(_result(_STEP))]
    assert engine.on_acknowledged(_result(_STEP)) == [ForgetStep(_STEP)]
    assert engine.table.running_steps() == (RunningStep(job_id=1, attempt=0, step_id=EXTERN_STEP, is_ended=True),)
    assert _end(engine, Ending.FINISHED)[-1] == TellClean(NodeClean(node=NODE, job_id=1, attempt=0))


def test_ending_waits_for_every_step() -> None:
    engine = _engine()
    _launch(engine)
    _launch_step(engine)

    assert _kinds(_end(engine)) == [MarkEnded, SendOrder, SendOrder]
    assert _kinds(engine.on_step_ended(_STEP, _result(_STEP))) == [TellResult]
    assert engine.on_step_ended(_BATCH, _result(_BATCH)) == [TellResult(replace(_result(_BATCH), is_node_clean=True))]


def test_nothing_is_launched_into_a_job_that_ends() -> None:
    engine = _engine()
    _launch(engine)
    _end(engine)

    refusal = _launch_step(engine, ticket=9)

    assert _kinds(refusal) == [RefuseTasks]


def test_the_prolog_comes_first_and_the_epilog_last() -> None:
    engine = _engine(prolog=("p",), epilog=("e",))

    assert _kinds(_launch(engine)) == [RunHook]
    assert _launch_step(engine) == []
    started = [MarkPrepared, TellPrepared, StartBatch, StartTasks]
    assert _kinds(engine.on_hook_ended(Hook.PROLOG, _KEY, "")) == started
    engine.on_step_ended(_STEP, _result(_STEP))
    assert _kinds(engine.on_step_ended(_BATCH, _result(_BATCH))) == [TellResult, RunHook]
    assert _kinds(engine.on_hook_ended(Hook.EPILOG, _KEY, "")) == [TellClean]


def test_a_failed_prolog_gives_the_job_back_and_drains() -> None:
    engine = _engine(prolog=("p",))
    _launch(engine)

    effects = engine.on_hook_ended(Hook.PROLOG, _KEY, "p: exit 1")

    prepared = NodePrepared(node=NODE, job_id=1, attempt=0, problem="prolog failed: p: exit 1")
    assert effects[:2] == [TellDrain(NODE, "Prolog error: p: exit 1"), TellPrepared(prepared)]
    assert isinstance(effects[2], TellResult)
    assert (effects[2].result.reason, effects[2].result.is_node_clean) == ("Prolog", True)


def test_the_epilog_tidies_up_after_a_prolog_that_failed() -> None:
    engine = _engine(prolog=("p",), epilog=("e",))
    _prepare(engine)

    effects = engine.on_hook_ended(Hook.PROLOG, _KEY, "p: exit 1")

    assert _kinds(effects) == [TellDrain, TellPrepared, RunHook]
    assert _end(engine) == []
    assert _kinds(engine.on_hook_ended(Hook.EPILOG, _KEY, "")) == [TellClean]


def test_a_step_that_has_ended_stays_known_while_its_job_is_here() -> None:
    """Another node's step daemon may still ask for it; it does not start again."""
    engine = _engine()
    _launch_step(engine)
    engine.on_step_ended(_STEP, _result(_STEP))

    engine.on_acknowledged(_result(_STEP))

    assert engine.table.has_ended(_STEP)
    assert _kinds(_launch_step(engine)) == [RefuseTasks]


def test_a_node_is_prepared_before_anything_starts_there() -> None:
    """Asked again it tells again; what starts later finds the prolog done."""
    engine = _engine(prolog=("p",))
    prepared = TellPrepared(NodePrepared(node=NODE, job_id=1, attempt=0))

    assert _kinds(_prepare(engine)) == [RunHook]
    assert _prepare(engine) == []
    assert engine.on_hook_ended(Hook.PROLOG, _KEY, "")[1] == prepared
    assert _prepare(engine) == [prepared]
    assert _kinds(_launch(engine)) == [StartBatch]


def test_an_end_repeated_during_the_prolog_does_not_start_the_epilog() -> None:
    engine = _engine(prolog=("p",), epilog=("e",))
    _prepare(engine)

    assert _kinds(_end(engine) + _end(engine)) == [MarkEnded, MarkEnded]
    assert _kinds(engine.on_hook_ended(Hook.PROLOG, _KEY, "")) == [RunHook]


def test_the_epilog_runs_where_nothing_of_the_job_ever_ran() -> None:
    """Once: what is repeated when it has been told clean is answered alone."""
    engine = _engine(epilog=("e",))
    order = EndJob(
        node=NODE, epoch=1, job_id=1, attempt=0, ending=Ending.CANCEL, kill_wait_s=5.0, variables={"SLURM_JOB_ID": "1"}
    )

    effects = engine.on_orders(Orders(ends=(order,)))

    assert effects == [MarkEnded(_KEY), RunHook(Hook.EPILOG, _KEY, {"SLURM_JOB_ID": "1"})]
    told = engine.on_hook_ended(Hook.EPILOG, _KEY, "")
    assert _kinds(told) == [TellClean]
    engine.on_acknowledged(NodeClean(node=NODE, job_id=1, attempt=0))
    assert _kinds(engine.on_orders(Orders(ends=(order,)))) == [TellClean]


def test_a_job_ended_during_its_prolog_never_starts() -> None:
    engine = _engine(prolog=("p",))
    _launch(engine)

    assert _kinds(_end(engine)) == [MarkEnded]
    assert _kinds(engine.on_hook_ended(Hook.PROLOG, _KEY, "")) == [TellClean]


def test_a_failed_epilog_drains_and_is_clean() -> None:
    engine = _engine(epilog=("e",))
    _launch(engine)
    engine.on_step_ended(_BATCH, _result(_BATCH))

    effects = engine.on_hook_ended(Hook.EPILOG, _KEY, "e: exit 1")

    assert effects == [
        TellDrain(NODE, "Epilog error: e: exit 1"),
        TellClean(NodeClean(node=NODE, job_id=1, attempt=0, problem="Epilog error: e: exit 1")),
    ]


def test_a_lost_step_daemon_leaves_nothing_behind() -> None:
    engine = _engine()
    _launch(engine)

    assert _kinds(engine.on_step_lost(_BATCH, _result(_BATCH))) == [KillStrays, TellResult]


def test_a_step_that_never_came_is_told_ended_and_stays_away() -> None:
    engine = _engine()
    _launch(engine)
    order = EndStep(node=NODE, epoch=1, job_id=1, attempt=0, step_id=0, kill_wait_s=1.0)

    assert _kinds(engine.on_orders(Orders(step_ends=(order,)))) == [TellResult]
    assert _kinds(_launch_step(engine)) == [RefuseTasks]


def _give_up(engine: StepEngine) -> list[Effect]:
    order = EndStep(node=NODE, epoch=1, job_id=1, attempt=0, step_id=0, kill_wait_s=1.0, only_unlaunched=True)
    return engine.on_orders(Orders(step_ends=(order,)))


def test_a_step_that_nobody_launched_is_given_up() -> None:
    engine = _engine()
    _launch(engine)

    assert _kinds(_give_up(engine)) == [TellResult]
    assert _kinds(_launch_step(engine)) == [RefuseTasks]


def test_a_step_that_was_launched_is_not_given_up() -> None:
    engine = _engine()
    _launch_step(engine)

    assert _give_up(engine) == []
    engine.on_step_ended(_STEP, _result(_STEP))
    assert _give_up(engine) == []


def test_an_srun_that_is_connected_may_take_its_time() -> None:
    """It runs the user's --prolog; when it goes without a launch, the step is over."""
    engine = _engine()
    _launch(engine)
    engine.on_srun_came(_STEP)

    assert _give_up(engine) == []
    assert _kinds(engine.on_srun_gone(_STEP)) == [TellResult]


def test_a_step_whose_srun_went_without_a_launch_is_over_soon() -> None:
    engine = _engine()
    engine.on_srun_came(_STEP)

    assert _kinds(engine.on_srun_gone(_STEP)) == [WaitForSrun]
    assert _kinds(engine.on_srun_missed(_STEP)) == [TellResult]
    assert _kinds(_launch_step(engine)) == [RefuseTasks]


def test_a_step_whose_srun_was_connected_to_the_last_agent_is_over_unless_the_srun_comes_back() -> None:
    engine = _engine()
    _launch(engine)
    order = EndStep(
        node=NODE, epoch=1, job_id=1, attempt=0, step_id=0, kill_wait_s=1.0, only_unlaunched=True, may_come=True
    )

    assert _kinds(engine.on_orders(Orders(step_ends=(order,)))) == [WaitForSrun]
    engine.on_srun_came(_STEP)
    assert engine.on_srun_missed(_STEP) == []
    assert _kinds(engine.on_srun_gone(_STEP)) == [WaitForSrun]
    assert _kinds(engine.on_srun_missed(_STEP)) == [TellResult]


def test_an_srun_that_comes_after_another_command_launches_the_step() -> None:
    engine = _engine()
    engine.on_srun_came(_STEP)
    engine.on_srun_gone(_STEP)
    engine.on_srun_came(_STEP)

    assert engine.on_srun_missed(_STEP) == []
    _launch_step(engine)
    assert engine.on_srun_gone(_STEP) == []
    assert engine.on_srun_missed(_STEP) == []


def test_an_srun_that_launched_late_goes_without_harm() -> None:
    engine = _engine()
    engine.on_srun_came(_STEP)
    _give_up(engine)
    _launch_step(engine)

    assert engine.on_srun_gone(_STEP) == []


def test_without_privilege_other_users_are_refused() -> None:
    engine = StepEngine(NODE, CONFIG, 4321, VirtualClock())

    effects = _launch(engine)

    assert isinstance(effects[0], TellResult)
    assert effects[0].result.reason == "JobLaunchFailure"
    assert effects[0].result.is_node_clean


def test_recovery_goes_on_where_the_last_agent_stopped() -> None:
    engine = _engine(epilog=("e",))
    engine.on_recovered(_KEY, {}, is_ended=True)
    engine.on_step_recovered(_BATCH)
    engine.on_step_ended(_BATCH, _result(_BATCH))

    assert engine.table.running_steps() == (RunningStep(job_id=1, attempt=0, step_id=BATCH_STEP, is_ended=True),)


def test_the_limit_that_the_programs_were_told_is_registered() -> None:
    engine = _engine()
    _launch(engine)
    assert engine.table.limits() == ((1, 0, _JOB.limit_at),)

    order = SignalJob(node=NODE, epoch=1, job_id=1, attempt=0, signal=0, reason="new limit", limit_at=1200.0)
    engine.on_orders(Orders(signals=(order,)))

    assert engine.table.limits() == ((1, 0, 1200.0),)


def test_a_recovered_agent_knows_the_limit_with_which_its_steps_began() -> None:
    engine = _engine()
    engine.on_recovered(_KEY, {}, is_ended=False)
    assert engine.table.limits() == ()

    engine.on_step_recovered(_BATCH, _JOB)

    assert engine.table.limits() == ((1, 0, _JOB.limit_at),)


@pytest.mark.parametrize("count", [1, 499, 1201])
def test_the_outbox_loses_and_repeats_nothing_that_is_acknowledged(count: int) -> None:
    outbox = ReportOutbox()
    for number in range(count):
        outbox.add(NodeClean(node=NODE, job_id=number, attempt=0))
    told: list[int] = []

    assert outbox.next_report() is not None
    assert outbox.next_report() is None
    outbox.on_lost()
    while outbox.next_report() is not None:
        told += [item.job_id for item in outbox.on_done() if isinstance(item, NodeClean)]

    assert told == list(range(count))
    assert len(outbox) == 0


def test_the_outbox_gives_up_only_what_is_refused_alone() -> None:
    outbox = ReportOutbox()
    items = [NodeClean(node=NODE, job_id=number, attempt=0) for number in range(3)]
    for item in items:
        outbox.add(item)
    outbox.next_report()

    assert outbox.on_refused() is None
    outbox.next_report()
    assert outbox.on_refused() == items[0]
    outbox.next_report()
    assert outbox.on_done() == [items[1]]


_EXTERN = StepKey(1, 0, EXTERN_STEP)
_PREPARED = TellPrepared(NodePrepared(node=NODE, job_id=1, attempt=0))


def test_an_extern_step_starts_once_and_ends_with_the_job() -> None:
    engine = _engine()

    assert _prepare(engine, _JOB) == [MarkPrepared(_KEY, {}), StartExtern(_EXTERN, _JOB), _PREPARED]
    assert _prepare(engine, _JOB) == [_PREPARED]
    assert _kinds(_end(engine)) == [MarkEnded, SendOrder]
    assert _kinds(engine.on_step_ended(_EXTERN, _result(_EXTERN))) == [TellResult, TellClean]


def test_an_extern_step_waits_for_the_prolog_and_comes_before_the_script() -> None:
    """Also where both orders come at once, as with NoHold."""
    engine = _engine(prolog=("/p",))
    prepare = PrepareJob(node=NODE, epoch=1, job_id=1, attempt=0, job=_JOB)
    launch = LaunchJob(node=NODE, epoch=1, job=_JOB)

    assert _kinds(engine.on_orders(Orders(launches=(launch,), prepares=(prepare,)))) == [RunHook]
    effects = engine.on_hook_ended(Hook.PROLOG, _KEY, "")

    assert _kinds(effects) == [MarkPrepared, TellPrepared, StartExtern, StartBatch]
    assert engine.table.is_running(_EXTERN)


def test_no_extern_step_after_a_prolog_that_failed() -> None:
    engine = _engine(prolog=("/p",))
    _prepare(engine, _JOB)

    assert _kinds(engine.on_hook_ended(Hook.PROLOG, _KEY, "no disk")) == [TellDrain, TellPrepared, TellClean]


def test_programs_run_in_the_job_only_if_the_site_says_so() -> None:
    for flags, job in (((), None), (("RunInJob",), _JOB)):
        engine = _engine(prolog=("/p",), epilog=("/e",), prolog_flags=flags)
        prolog = _prepare(engine, _JOB)[0]
        engine.on_hook_ended(Hook.PROLOG, _KEY, "")
        _end(engine)
        epilog = engine.on_step_ended(_EXTERN, _result(_EXTERN))[-1]

        assert isinstance(prolog, RunHook)
        assert isinstance(epilog, RunHook)
        assert (prolog.job, epilog.job) == (job, job)
