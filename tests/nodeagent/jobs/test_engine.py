"""The step engine alone: events in, effects out."""

from __future__ import annotations

from msgspec.structs import replace

from sluice.clock import VirtualClock
from sluice.model.base import BATCH_STEP, EXTERN_STEP
from sluice.model.states import Ending
from sluice.wire.messages import (
    EndJob,
    LaunchJob,
    NodeClean,
    NodePrepared,
    Orders,
    PrepareJob,
    RunningStep,
    SignalJob,
)
from sluiced.jobs.effects import (
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
)
from sluiced.jobs.engine import StepEngine
from sluiced.spool import StepKey
from sluiced.steps.launch import EndOrder
from tests.nodeagent.conftest import CONFIG, NODE
from tests.nodeagent.jobs.telling import (
    BATCH,
    JOB,
    KEY,
    STEP,
    end,
    kinds,
    launch,
    launch_step,
    make_engine,
    prepare,
    result_of,
)


def test_a_batch_job_starts_ends_and_is_forgotten_once_told() -> None:
    engine = make_engine()

    assert kinds(launch(engine)) == [StartBatch]
    assert engine.on_step_ended(BATCH, result_of(BATCH, 3)) == [
        TellResult(replace(result_of(BATCH, 3), is_node_clean=True)),
    ]
    assert engine.on_acknowledged(replace(result_of(BATCH, 3), is_node_clean=True)) == [ForgetJob(KEY)]
    assert engine.table.jobs == {}


def test_repeated_launches_start_nothing_at_any_time() -> None:
    engine = make_engine()
    launch(engine)

    assert launch(engine) == []
    engine.on_step_ended(BATCH, result_of(BATCH))
    assert launch(engine) == []
    engine.on_acknowledged(replace(result_of(BATCH), is_node_clean=True))
    assert launch(engine) == []


def test_a_launch_after_its_end_starts_nothing() -> None:
    engine = make_engine()

    assert end(engine) == [TellClean(NodeClean(node=NODE, job_id=1, attempt=0))]
    assert launch(engine) == []


def test_an_older_controller_is_not_obeyed() -> None:
    engine = make_engine()
    engine.on_registered(7, CONFIG, [])

    assert launch(engine, epoch=6) == []
    assert kinds(launch(engine, epoch=7)) == [StartBatch]


def test_the_end_of_the_script_ends_the_other_steps_first() -> None:
    engine = make_engine()
    launch(engine)
    assert kinds(launch_step(engine)) == [StartTasks]

    effects = engine.on_step_ended(BATCH, result_of(BATCH))

    order = EndOrder(ending=Ending.FINISHED, kill_wait_s=CONFIG.kill_wait_s, names_step=True)
    assert effects == [SendOrder(STEP, order), TellResult(result_of(BATCH))]
    assert engine.on_step_ended(STEP, result_of(STEP)) == [
        TellResult(result_of(STEP)),
        TellClean(NodeClean(node=NODE, job_id=1, attempt=0)),
    ]


def test_an_allocation_outlives_its_steps() -> None:
    engine = make_engine()
    launch_step(engine)

    assert engine.on_step_ended(STEP, result_of(STEP)) == [TellResult(result_of(STEP))]
    assert engine.on_acknowledged(result_of(STEP)) == [ForgetStep(STEP)]
    assert engine.table.running_steps() == (RunningStep(job_id=1, attempt=0, step_id=EXTERN_STEP, is_ended=True),)
    assert end(engine, Ending.FINISHED)[-1] == TellClean(NodeClean(node=NODE, job_id=1, attempt=0))


def test_ending_waits_for_every_step() -> None:
    engine = make_engine()
    launch(engine)
    launch_step(engine)

    assert kinds(end(engine)) == [MarkEnded, SendOrder, SendOrder]
    assert kinds(engine.on_step_ended(STEP, result_of(STEP))) == [TellResult]
    assert engine.on_step_ended(BATCH, result_of(BATCH)) == [TellResult(replace(result_of(BATCH), is_node_clean=True))]


def test_nothing_is_launched_into_a_job_that_ends() -> None:
    engine = make_engine()
    launch(engine)
    end(engine)

    refusal = launch_step(engine, ticket=9)

    assert kinds(refusal) == [RefuseTasks]


def test_the_prolog_comes_first_and_the_epilog_last() -> None:
    engine = make_engine(prolog=("p",), epilog=("e",))

    assert kinds(launch(engine)) == [RunHook]
    assert launch_step(engine) == []
    started = [MarkPrepared, TellPrepared, StartBatch, StartTasks]
    assert kinds(engine.on_hook_ended(Hook.PROLOG, KEY, "")) == started
    engine.on_step_ended(STEP, result_of(STEP))
    assert kinds(engine.on_step_ended(BATCH, result_of(BATCH))) == [TellResult, RunHook]
    assert kinds(engine.on_hook_ended(Hook.EPILOG, KEY, "")) == [TellClean]


def test_a_failed_prolog_gives_the_job_back_and_drains() -> None:
    engine = make_engine(prolog=("p",))
    launch(engine)

    effects = engine.on_hook_ended(Hook.PROLOG, KEY, "p: exit 1")

    prepared = NodePrepared(node=NODE, job_id=1, attempt=0, problem="prolog failed: p: exit 1")
    assert effects[:2] == [TellDrain(NODE, "Prolog error: p: exit 1"), TellPrepared(prepared)]
    assert isinstance(effects[2], TellResult)
    assert (effects[2].result.reason, effects[2].result.is_node_clean) == ("Prolog", True)


def test_the_epilog_tidies_up_after_a_prolog_that_failed() -> None:
    engine = make_engine(prolog=("p",), epilog=("e",))
    prepare(engine)

    effects = engine.on_hook_ended(Hook.PROLOG, KEY, "p: exit 1")

    assert kinds(effects) == [TellDrain, TellPrepared, RunHook]
    assert end(engine) == []
    assert kinds(engine.on_hook_ended(Hook.EPILOG, KEY, "")) == [TellClean]


def test_a_step_that_has_ended_stays_known_while_its_job_is_here() -> None:
    """Another node's step daemon may still ask for it; it does not start again."""
    engine = make_engine()
    launch_step(engine)
    engine.on_step_ended(STEP, result_of(STEP))

    engine.on_acknowledged(result_of(STEP))

    assert engine.table.has_ended(STEP)
    assert kinds(launch_step(engine)) == [RefuseTasks]


def test_a_node_is_prepared_before_anything_starts_there() -> None:
    """Asked again it tells again; what starts later finds the prolog done."""
    engine = make_engine(prolog=("p",))
    prepared = TellPrepared(NodePrepared(node=NODE, job_id=1, attempt=0))

    assert kinds(prepare(engine)) == [RunHook]
    assert prepare(engine) == []
    assert engine.on_hook_ended(Hook.PROLOG, KEY, "")[1] == prepared
    assert prepare(engine) == [prepared]
    assert kinds(launch(engine)) == [StartBatch]


def test_an_end_repeated_during_the_prolog_does_not_start_the_epilog() -> None:
    engine = make_engine(prolog=("p",), epilog=("e",))
    prepare(engine)

    assert kinds(end(engine) + end(engine)) == [MarkEnded, MarkEnded]
    assert kinds(engine.on_hook_ended(Hook.PROLOG, KEY, "")) == [RunHook]


def test_the_epilog_runs_where_nothing_of_the_job_ever_ran() -> None:
    """Once: what is repeated when it has been told clean is answered alone."""
    engine = make_engine(epilog=("e",))
    order = EndJob(
        node=NODE, epoch=1, job_id=1, attempt=0, ending=Ending.CANCEL, kill_wait_s=5.0, variables={"SLURM_JOB_ID": "1"}
    )

    effects = engine.on_orders(Orders(ends=(order,)))

    assert effects == [MarkEnded(KEY), RunHook(Hook.EPILOG, KEY, {"SLURM_JOB_ID": "1"})]
    told = engine.on_hook_ended(Hook.EPILOG, KEY, "")
    assert kinds(told) == [TellClean]
    engine.on_acknowledged(NodeClean(node=NODE, job_id=1, attempt=0))
    assert kinds(engine.on_orders(Orders(ends=(order,)))) == [TellClean]


def test_a_job_ended_during_its_prolog_never_starts() -> None:
    engine = make_engine(prolog=("p",))
    launch(engine)

    assert kinds(end(engine)) == [MarkEnded]
    assert kinds(engine.on_hook_ended(Hook.PROLOG, KEY, "")) == [TellClean]


def test_a_failed_epilog_drains_and_is_clean() -> None:
    engine = make_engine(epilog=("e",))
    launch(engine)
    engine.on_step_ended(BATCH, result_of(BATCH))

    effects = engine.on_hook_ended(Hook.EPILOG, KEY, "e: exit 1")

    assert effects == [
        TellDrain(NODE, "Epilog error: e: exit 1"),
        TellClean(NodeClean(node=NODE, job_id=1, attempt=0, problem="Epilog error: e: exit 1")),
    ]


def test_a_lost_step_daemon_leaves_nothing_behind() -> None:
    engine = make_engine()
    launch(engine)

    assert kinds(engine.on_step_lost(BATCH, result_of(BATCH))) == [KillStrays, TellResult]


def test_without_privilege_other_users_are_refused() -> None:
    engine = StepEngine(NODE, CONFIG, 4321, VirtualClock())

    effects = launch(engine)

    assert isinstance(effects[0], TellResult)
    assert effects[0].result.reason == "JobLaunchFailure"
    assert effects[0].result.is_node_clean


def test_recovery_goes_on_where_the_last_agent_stopped() -> None:
    engine = make_engine(epilog=("e",))
    engine.on_recovered(KEY, {}, is_ended=True)
    engine.on_step_recovered(BATCH)
    engine.on_step_ended(BATCH, result_of(BATCH))

    assert engine.table.running_steps() == (RunningStep(job_id=1, attempt=0, step_id=BATCH_STEP, is_ended=True),)


def test_the_limit_that_the_programs_were_told_is_registered() -> None:
    engine = make_engine()
    launch(engine)
    assert engine.table.limits() == ((1, 0, JOB.limit_at),)

    order = SignalJob(node=NODE, epoch=1, job_id=1, attempt=0, signal=0, reason="new limit", limit_at=1200.0)
    engine.on_orders(Orders(signals=(order,)))

    assert engine.table.limits() == ((1, 0, 1200.0),)


def test_a_recovered_agent_knows_the_limit_with_which_its_steps_began() -> None:
    engine = make_engine()
    engine.on_recovered(KEY, {}, is_ended=False)
    assert engine.table.limits() == ()

    engine.on_step_recovered(BATCH, JOB)

    assert engine.table.limits() == ((1, 0, JOB.limit_at),)


_EXTERN = StepKey(1, 0, EXTERN_STEP)
_PREPARED = TellPrepared(NodePrepared(node=NODE, job_id=1, attempt=0))


def test_an_extern_step_starts_once_and_ends_with_the_job() -> None:
    engine = make_engine()

    assert prepare(engine, JOB) == [MarkPrepared(KEY, {}), StartExtern(_EXTERN, JOB), _PREPARED]
    assert prepare(engine, JOB) == [_PREPARED]
    assert kinds(end(engine)) == [MarkEnded, SendOrder]
    assert kinds(engine.on_step_ended(_EXTERN, result_of(_EXTERN))) == [TellResult, TellClean]


def test_an_extern_step_waits_for_the_prolog_and_comes_before_the_script() -> None:
    """Also where both orders come at once, as with NoHold."""
    engine = make_engine(prolog=("/p",))
    first = PrepareJob(node=NODE, epoch=1, job_id=1, attempt=0, job=JOB)
    second = LaunchJob(node=NODE, epoch=1, job=JOB)

    assert kinds(engine.on_orders(Orders(launches=(second,), prepares=(first,)))) == [RunHook]
    effects = engine.on_hook_ended(Hook.PROLOG, KEY, "")

    assert kinds(effects) == [MarkPrepared, TellPrepared, StartExtern, StartBatch]
    assert engine.table.is_running(_EXTERN)


def test_no_extern_step_after_a_prolog_that_failed() -> None:
    engine = make_engine(prolog=("/p",))
    prepare(engine, JOB)

    assert kinds(engine.on_hook_ended(Hook.PROLOG, KEY, "no disk")) == [TellDrain, TellPrepared, TellClean]


def test_programs_run_in_the_job_only_if_the_site_says_so() -> None:
    for flags, job in (((), None), (("RunInJob",), JOB)):
        engine = make_engine(prolog=("/p",), epilog=("/e",), prolog_flags=flags)
        prolog = prepare(engine, JOB)[0]
        engine.on_hook_ended(Hook.PROLOG, KEY, "")
        end(engine)
        epilog = engine.on_step_ended(_EXTERN, result_of(_EXTERN))[-1]

        assert isinstance(prolog, RunHook)
        assert isinstance(epilog, RunHook)
        assert (prolog.job, epilog.job) == (job, job)
