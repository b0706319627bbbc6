"""How jobs end: by their script, node by node, requeued; and reports that come late, twice, or from an earlier run."""

from collections.abc import Callable
from typing import Any

import pytest

from sluice.errors import NotPermitted, RequestError
from sluice.model.base import BATCH_STEP
from sluice.model.reason import Reason
from sluice.model.states import Ending, Hold, JobState, StepState
from sluice.wire.messages import EndJob, NodeClean, Report, StreamTail
from sluicectld.permissions import Caller
from tests.engine_builder import ANN, ROOT, World

MakeWorld = Callable[..., World]


@pytest.mark.parametrize(
    ("script", "state", "code", "signal"),
    [
        pytest.param({"exit_code": 137}, JobState.OUT_OF_MEMORY, 0, 125, id="failed for it"),
        pytest.param({}, JobState.COMPLETED, 0, 0, id="managed without it"),
    ],
)
def test_a_script_whose_step_was_out_of_memory(
    world: World, script: dict[str, Any], state: JobState, code: int, signal: int
) -> None:
    job_id = world.start()
    world.step(job_id, ntasks=1)
    world.report(world.result(job_id, 0, exit_signal=125, reason="OutOfMemory", reason_text="limit 50 MiB"))
    world.report(world.result(job_id, **script))

    job = world.job(job_id)
    assert (job.state, job.exit_code, job.exit_signal) == (state, code, signal)
    assert job.reason_text == ("limit 50 MiB" if signal else "")


@pytest.mark.parametrize(
    ("script", "state", "code", "signal"),
    [
        pytest.param({"exit_code": 1}, JobState.OUT_OF_MEMORY, 0, 125, id="failed for it"),
        pytest.param({}, JobState.COMPLETED, 0, 0, id="managed without it"),
        pytest.param({"exit_signal": 9}, JobState.FAILED, 0, 9, id="was ended otherwise"),
    ],
)
def test_a_node_tells_of_its_lack_of_memory_after_the_scripts_end(
    world: World, script: dict[str, Any], state: JobState, code: int, signal: int
) -> None:
    """The script's node is quicker than the one where its step was killed."""
    job_id = world.start(nodes=2, cpus_per_task=4)
    world.step(job_id, ntasks=2, min_nodes=2)
    world.report(world.result(job_id, **script))
    world.report(
        world.result(job_id, 0, node="n2", exit_signal=125, reason="OutOfMemory", reason_text="limit 50 MiB"),
        world.result(job_id, 0, node="n1", exit_signal=9),
    )

    job = world.job(job_id)
    assert (job.state, job.exit_code, job.exit_signal) == (state, code, signal)
    world.clean(job_id, "n1", "n2")
    assert world.job(job_id).state is state
    world.check_replay()


@pytest.mark.parametrize(
    ("result", "state", "reason", "code", "signal"),
    [
        pytest.param({}, JobState.COMPLETED, Reason.NONE, 0, 0, id="well"),
        pytest.param({"exit_code": 3}, JobState.FAILED, Reason.NON_ZERO_EXIT_CODE, 3, 0, id="with a code"),
        pytest.param({"exit_signal": 9}, JobState.FAILED, Reason.JOB_LAUNCH_FAILURE, 0, 9, id="by its own signal"),
        pytest.param(
            {"exit_code": 125, "reason": "OutOfMemory"},
            JobState.OUT_OF_MEMORY,
            Reason.OUT_OF_MEMORY,
            125,
            0,
            id="out of memory",
        ),
        pytest.param(
            {"exit_signal": 53, "reason": "OutputNotWritable"},
            JobState.FAILED,
            Reason.OUTPUT_NOT_WRITABLE,
            0,
            53,
            id="without its output",
        ),
        pytest.param(
            {"exit_code": 1, "reason": "a word nobody knows"},
            JobState.FAILED,
            Reason.JOB_LAUNCH_FAILURE,
            1,
            0,
            id="for a reason that this release does not know",
        ),
    ],
)
def test_a_script_ends(
    world: World, result: dict[str, Any], state: JobState, reason: Reason, code: int, signal: int
) -> None:
    job_id = world.start()
    world.report(world.result(job_id, **result))

    job = world.job(job_id)
    assert (job.state, job.reason, job.exit_code, job.exit_signal) == (state, reason, code, signal)
    assert job.completing_nodes == ()
    assert world.free_cpus("n1") == 4


def test_the_other_nodes_are_cleaned_one_by_one(make_world: MakeWorld) -> None:
    world = make_world(nodes=3)
    job_id = world.start(nodes=3, cpus_per_task=4)
    world.effects.clear()
    world.report(world.result(job_id))

    assert world.job(job_id).state is JobState.COMPLETED
    assert [(end.node, end.ending) for end in world.took(EndJob)] == [
        ("n2", Ending.FINISHED),
        ("n3", Ending.FINISHED),
    ]
    assert [world.free_cpus(name) for name in ("n1", "n2", "n3")] == [4, 0, 0]

    world.clean(job_id, "n3")
    assert [world.free_cpus(name) for name in ("n1", "n2", "n3")] == [4, 0, 4]
    assert world.job(job_id).completing_nodes == ("n2",)

    world.clean(job_id, "n2")
    assert world.job(job_id).completing_nodes == ()
    assert world.free_cpus("n2") == 4


def test_a_repeated_report_changes_nothing(world: World) -> None:
    job_id = world.start(nodes=2)
    result = world.result(job_id, exit_code=2)
    clean = NodeClean(node="n2", job_id=job_id, attempt=0)
    world.do(Report(results=(result,), clean=(clean,)))
    before = world.job(job_id)

    world.do(Report(results=(result,), clean=(clean,)))

    assert world.happened() == []
    assert world.job(job_id) is before


def test_a_late_report_of_an_earlier_run_changes_nothing(world: World) -> None:
    """The job was requeued and runs again; the first run's result turns up."""
    job_id = world.start()
    late = world.result(job_id, exit_code=1)
    world.change("requeue", job_id)
    world.clean(job_id)
    world.pass_()
    assert world.job(job_id).attempt == 1

    world.report(late)

    assert world.happened() == []
    assert world.job(job_id).state is JobState.RUNNING


def test_a_report_about_an_unknown_job_is_taken_in_silence(world: World) -> None:
    job_id = world.start()
    result = world.result(job_id)
    world.end_script(job_id)
    world.pass_time(world.settings.min_job_age_s)

    world.report(result)

    assert world.happened() == []


def test_the_node_is_clean_only_when_it_says_so(world: World) -> None:
    """The script has ended; its epilog has not."""
    job_id = world.start(cpus_per_task=4)
    world.report(world.result(job_id, is_node_clean=False))
    assert world.job(job_id).state is JobState.COMPLETED
    assert world.free_cpus("n1") == 0

    world.clean(job_id)

    assert world.free_cpus("n1") == 4


def test_a_node_with_a_problem_is_drained(world: World) -> None:
    job_id = world.start()
    world.report(world.result(job_id, is_node_clean=False))
    world.do(Report(clean=(NodeClean(node="n1", job_id=job_id, attempt=0, problem="epilog failed"),)))

    assert (world.node("n1").is_drained, world.node("n1").reason) == (True, "epilog failed")
    assert world.free_cpus("n1") == 4


def test_steps_that_never_reported_end_with_the_node(world: World) -> None:
    job_id = world.start(nodes=2, cpus_per_task=4)
    world.step(job_id, min_nodes=2)
    world.report(world.result(job_id))
    assert world.step_of(job_id, 0).running_nodes == ("n2",)

    world.clean(job_id, "n2")

    assert world.step_of(job_id, 0).state is StepState.CANCELLED


def test_the_tails_of_the_streams_are_kept_once(world: World) -> None:
    job_id = world.start()
    result = world.result(job_id, tails=(StreamTail(step_id=BATCH_STEP, node="n1", stream="stdout", tail=b"bye"),))
    world.report(result)
    assert [tail.tail for _, _, tail in world.batches[-1].tails] == [b"bye"]

    world.report(result)

    assert world.batches[-1].tails == []


def test_an_agent_speaks_for_its_own_node_alone(world: World) -> None:
    job_id = world.start()
    other = Caller(0, 0, "root", agent_of="n2")

    with pytest.raises(NotPermitted, match="n2"):
        world.report(world.result(job_id), caller=other)

    world.report(world.result(job_id), caller=Caller(0, 0, "root", agent_of="n1"))
    assert world.job(job_id).state is JobState.COMPLETED


def test_users_report_nothing(world: World) -> None:
    job_id = world.start()

    with pytest.raises(NotPermitted):
        world.report(world.result(job_id), caller=ANN)


# --- requeue


def test_a_requeued_job_waits_until_it_is_clean_and_runs_again(world: World) -> None:
    job_id = world.start(nodes=2)
    world.effects.clear()
    world.pass_time(60)
    world.change("requeue", job_id)
    assert {end.ending for end in world.took(EndJob)} == {Ending.REQUEUE}
    world.clean(job_id, "n1")
    assert world.job(job_id).is_requeued

    world.clean(job_id, "n2")

    job = world.job(job_id)
    assert (job.state, job.attempt, job.allocation, job.started_at) == (JobState.PENDING, 1, None, None)
    assert job.submitted_at == world.now
    world.pass_()
    assert world.launches() == [("n1", job_id, 1)]


def test_the_run_before_is_kept_for_the_accounting(world: World) -> None:
    job_id = world.start()
    world.change("requeue", job_id)
    world.clean(job_id)

    assert [(job.id, job.attempt) for job in world.batches[-1].attempts] == [(job_id, 0)]


def test_what_was_shortened_for_one_run_is_whole_for_the_next(world: World) -> None:
    """It ran in its second partition; it waits again for all of them."""
    world.add_partition("late")
    world.configure(
        partitions=tuple(
            each if each.name != "batch" else type(each)(name="batch", nodes=each.nodes, state="DOWN")
            for each in world.partition_records
        )
    )
    job_id = world.start(partitions=("batch", "late"))
    assert world.job(job_id).partition == "late"
    world.change("requeue", job_id)
    world.clean(job_id)

    assert world.job(job_id).partition == "batch"


def test_requeuehold_holds(world: World) -> None:
    job_id = world.start()
    world.change("requeuehold", job_id, is_special_exit=True)
    world.clean(job_id)

    job = world.job(job_id)
    assert (job.state, job.hold, job.priority, job.is_special_exit) == (JobState.PENDING, Hold.USER, 0, True)
    assert job.reason_text == "job requeued in held state"

    world.change("release", job_id)
    assert not world.job(job_id).is_special_exit
    assert world.job(job_id).priority > 0


def test_an_ended_job_is_requeued_at_once(world: World) -> None:
    job_id = world.start()
    world.end_script(job_id, exit_code=1)
    world.change("requeue", job_id)
    world.pass_()

    assert (world.job(job_id).state, world.job(job_id).attempt) == (JobState.RUNNING, 1)


@pytest.mark.parametrize(
    ("spec", "settings", "code"),
    [
        pytest.param({"can_requeue": False}, {}, "disabled", id="a job that said no"),
        pytest.param({}, {"job_requeue": False}, "disabled", id="a site that says no"),
        pytest.param({"is_batch": False}, {}, "disabled", id="an interactive one"),
        pytest.param({"nodes": 9, "min_nodes": 1, "is_held": True}, {}, "pending", id="a pending one"),
    ],
)
def test_not_every_job_is_requeued(
    make_world: MakeWorld, spec: dict[str, Any], settings: dict[str, Any], code: str
) -> None:
    world = make_world(**settings)
    job_id = world.submit(**spec)
    world.pass_()

    with pytest.raises(RequestError) as refusal:
        world.change("requeue", job_id)

    assert refusal.value.code == code


def test_a_job_that_allows_it_is_requeued_where_the_site_does_not(make_world: MakeWorld) -> None:
    world = make_world(job_requeue=False)
    job_id = world.start(can_requeue=True)
    world.change("requeue", job_id)

    assert world.job(job_id).is_requeued


def test_exit_codes_of_the_site_requeue(make_world: MakeWorld) -> None:
    world = make_world(requeue_exit=(99,), requeue_exit_hold=(98,))
    plain, held = world.start(), world.start()
    world.end_script(plain, exit_code=99)
    world.end_script(held, exit_code=98)

    assert (world.job(plain).state, world.job(plain).hold) == (JobState.PENDING, Hold.NONE)
    assert (world.job(held).hold, world.job(held).is_special_exit) == (Hold.USER, True)


def test_exit_codes_requeue_so_often_and_no_job_that_said_no(make_world: MakeWorld) -> None:
    world = make_world(requeue_exit=(99,), batch_requeues_max=2)
    job_id, never = world.start(), world.start(can_requeue=False)
    world.end_script(never, exit_code=99)
    assert world.job(never).state is JobState.FAILED

    for _ in range(2):
        world.end_script(job_id, exit_code=99)
        assert world.job(job_id).state is JobState.PENDING
        world.pass_()
    world.end_script(job_id, exit_code=99)

    assert world.job(job_id).state is JobState.FAILED


def test_a_requeued_job_waits_as_long_as_the_site_wants(make_world: MakeWorld) -> None:
    world = make_world(scheduler_parameters={"requeue_delay": "120"})
    job_id = world.start()
    world.change("requeue", job_id)
    world.clean(job_id)
    world.pass_()
    assert world.job(job_id).state is JobState.PENDING

    world.pass_time(120)
    world.pass_()

    assert world.job(job_id).state is JobState.RUNNING


def test_a_failed_prolog_holds_the_job(world: World) -> None:
    job_id = world.start()
    world.end_script(job_id, reason="Prolog", reason_text="prolog failed: 1")

    assert (world.job(job_id).state, world.job(job_id).hold) == (JobState.PENDING, Hold.ADMIN)


def test_failing_prologs_do_not_go_on_for_ever(make_world: MakeWorld) -> None:
    world = make_world(scheduler_parameters={"nohold_on_prolog_fail": ""}, batch_requeues_max=2)
    job_id = world.start()
    for _ in range(2):
        world.end_script(job_id, reason="Prolog")
        assert world.job(job_id).hold is Hold.NONE
        world.pass_()
    world.end_script(job_id, reason="Prolog")

    assert world.job(job_id).hold is Hold.ADMIN


# --- limits


def test_a_job_is_ended_at_its_limit(world: World) -> None:
    job_id = world.start(limit_s=600)
    world.effects.clear()
    world.pass_time(599)
    assert world.job(job_id).state is JobState.RUNNING
    world.pass_time(1)

    job = world.job(job_id)
    assert (job.state, job.reason) == (JobState.TIMEOUT, Reason.TIME_LIMIT)
    assert [end.ending for end in world.took(EndJob)] == [Ending.TIME_LIMIT]
    world.report(world.result(job_id, exit_signal=15))
    assert (world.job(job_id).exit_code, world.job(job_id).exit_signal) == (0, 15)


@pytest.mark.parametrize(("cluster_s", "partition_s", "lives_s"), [(0, None, 600), (60, None, 660), (60, 120, 720)])
def test_what_is_allowed_beyond_the_limit(
    make_world: MakeWorld, cluster_s: int, partition_s: int | None, lives_s: int
) -> None:
    world = make_world(over_limit_s=cluster_s)
    world.add_partition("over", over_limit_s=partition_s)
    job_id = world.start(limit_s=600, partitions=("over",))
    world.pass_time(lives_s - 1)
    assert world.job(job_id).state is JobState.RUNNING

    world.pass_time(1)

    assert world.job(job_id).state is JobState.TIMEOUT


def test_an_unlimited_job_is_never_ended(world: World) -> None:
    job_id = world.start(is_unlimited=True)
    world.pass_time(365 * 86400)

    assert world.job(job_id).state is JobState.RUNNING


def test_limits_survive_a_restart(world: World) -> None:
    job_id = world.start(limit_s=600)
    world.pass_time(300)
    world.restart()
    world.pass_time(300)

    assert world.job(job_id).state is JobState.TIMEOUT


def test_a_limit_that_passed_while_the_controller_was_away_is_enforced_at_once(world: World) -> None:
    job_id = world.start(limit_s=600)
    world.now += 900
    world.restart()
    world.pass_time(0)

    assert world.job(job_id).state is JobState.TIMEOUT


# --- agents' words


def test_an_administrator_may_report_for_any_node(world: World) -> None:
    job_id = world.start()
    world.report(world.result(job_id), caller=ROOT)

    assert world.job(job_id).state is JobState.COMPLETED


def test_what_is_not_clean_yet_is_expected_back_at_any_moment(world: World) -> None:
    """A pass plans with it, and starts nothing on it."""
    ended = world.start(nodes=2, exclusive="node")
    world.report(world.result(ended))
    waiting = world.submit(nodes=2)

    (view,) = world.engine.snapshot(world.now).completing
    assert (view.job_id, view.allocation.nodes) == (ended, world.job(ended).completing_nodes)
    plan = world.plan()
    assert (plan.starts, plan.planned[waiting].at) == ((), world.now)

    world.clean(ended)

    assert world.engine.snapshot(world.now).completing == ()
