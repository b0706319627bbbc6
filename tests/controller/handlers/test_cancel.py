"""scancel: by id, by part of an array, by filter; steps; signals; and what is left for the nodes to do."""

from typing import Any

import pytest

from sluice.errors import RequestError
from sluice.model.base import BATCH_STEP
from sluice.model.states import Ending, JobState, StepState
from sluice.wire.messages import EndJob, EndStep, FinishAllocation, SignalJob
from tests.engine_builder import ANN, BOB, ROOT, World


def test_a_pending_job_ends_at_once_and_never_started(world: World) -> None:
    job_id = world.submit()
    world.cancel(job_id)

    job = world.job(job_id)
    assert (job.state, job.started_at, job.cancelled_by) == (JobState.CANCELLED, None, ANN.uid)
    assert (job.exit_code, job.exit_signal) == (0, 0)
    assert world.took(EndJob) == []


def test_a_running_job_is_ended_on_every_node_and_keeps_them_until_they_are_clean(world: World) -> None:
    job_id = world.start(nodes=2, cpus_per_task=4)
    world.effects.clear()
    world.cancel(job_id)

    assert world.job(job_id).state is JobState.CANCELLED
    assert [(end.node, end.ending) for end in world.took(EndJob)] == [("n1", Ending.CANCEL), ("n2", Ending.CANCEL)]
    assert (world.free_cpus("n1"), world.free_cpus("n2")) == (0, 0)

    world.clean(job_id, "n2")
    assert (world.free_cpus("n1"), world.free_cpus("n2")) == (0, 4)
    world.clean(job_id, "n1")
    assert (world.free_cpus("n1"), world.job(job_id).completing_nodes) == (4, ())


@pytest.mark.parametrize(("signal", "shown"), [(15, 15), (9, 9)])
def test_how_the_script_took_it_is_the_exit_code(world: World, signal: int, shown: int) -> None:
    """0:15, or 0:9 where the script did not heed TERM; its step is cancelled."""
    job_id = world.start()
    world.cancel(job_id)
    world.report(world.result(job_id, exit_signal=signal))

    assert (world.job(job_id).state, world.job(job_id).exit_signal) == (JobState.CANCELLED, shown)
    assert world.step_of(job_id).state is StepState.CANCELLED


def test_cancelling_again_says_that_it_is_over(world: World) -> None:
    job_id = world.start()
    world.cancel(job_id)

    assert [outcome.code for outcome in world.cancel(job_id)] == ["ended"]


@pytest.mark.parametrize("full", [False, True], ids=["", "full"])
def test_a_kill_does_not_wait_for_what_has_been_asked_to_end(world: World, full: bool) -> None:
    """A script that does not heed TERM has KillWait; whoever sends KILL meanwhile wants it gone now."""
    job_id = world.start(nodes=2, cpus_per_task=4)
    world.cancel(job_id)
    world.clean(job_id, "n2")
    world.effects.clear()

    assert [outcome.code for outcome in world.cancel(job_id, signal=9, full=full)] == [""]
    assert [(end.node, end.ending, end.kill_wait_s) for end in world.took(EndJob)] == [("n1", Ending.CANCEL, 0.0)]
    world.clean(job_id, "n1")
    assert [outcome.code for outcome in world.cancel(job_id, signal=9, full=full)] == ["ended"]


def test_a_kill_of_a_requeued_job_cancels_it_too(world: World) -> None:
    """With --full it is the processes alone that are meant."""
    job_id = world.start()
    world.change("requeue", job_id)
    world.effects.clear()

    world.cancel(job_id, signal=9, full=True)
    assert [end.kill_wait_s for end in world.took(EndJob)] == [0.0]
    assert world.job(job_id).is_requeued
    world.cancel(job_id, signal=9)
    assert (world.job(job_id).state, world.job(job_id).is_requeued) == (JobState.CANCELLED, False)


def test_other_signals_do_not_reach_a_job_that_ends(world: World) -> None:
    job_id = world.start()
    world.cancel(job_id)

    assert [outcome.code for outcome in world.cancel(job_id, signal=10)] == ["ended"]
    assert [outcome.code for outcome in world.cancel(job_id, signal=9, batch_only=True)] == ["ended"]


@pytest.mark.parametrize("signal", [0, 10])
def test_a_filter_finds_nothing_in_a_job_that_is_over(world: World, signal: int) -> None:
    """One that still runs and does not pass is left alone, without a word."""
    over, runs = world.start(), world.start()
    world.cancel(over)

    outcomes = world.cancel(over, runs, states=("PENDING",), signal=signal)

    assert [(outcome.id, outcome.code) for outcome in outcomes] == [(str(over), "ended")]
    assert world.job(runs).state is JobState.RUNNING


def test_unknown_ids_are_told_one_by_one(world: World) -> None:
    job_id = world.submit()

    outcomes = world.cancel(job_id, 99, "99_3")

    assert [(outcome.id, outcome.code) for outcome in outcomes] == [
        (str(job_id), ""),
        ("99", "unknown"),
        ("99_3", "unknown"),
    ]


def test_a_malformed_id_leaves_the_others_alone(world: World) -> None:
    job_id = world.submit()

    with pytest.raises(RequestError):
        world.cancel(job_id, "1_[1-")

    assert world.job(job_id).state is JobState.PENDING


def test_another_users_job_is_not_touched(world: World) -> None:
    job_id = world.start(ANN)

    assert [outcome.code for outcome in world.cancel(job_id, caller=BOB)] == ["not_permitted"]
    assert world.job(job_id).state is JobState.RUNNING


def test_no_id_and_no_filter_is_refused(world: World) -> None:
    world.submit()

    with pytest.raises(RequestError):
        world.cancel(caller=ROOT)


def test_filters_combine(world: World) -> None:
    running = world.start(name="a")
    world.add_partition("down", state="DOWN")
    pending = world.submit(name="a", partitions=("down",))
    other = world.submit(name="b", partitions=("down",))

    world.cancel(users=("ann",), names=("a",), states=("PENDING",))

    assert world.job(pending).state is JobState.CANCELLED
    assert world.job(running).state is JobState.RUNNING
    assert world.job(other).state is JobState.PENDING


def test_a_filter_passes_over_what_has_ended_even_for_strangers(world: World) -> None:
    world.end_script(world.start())

    assert world.cancel(users=("ann",), caller=BOB) == []


def test_a_filter_narrows_ids(world: World) -> None:
    job_id = world.start()

    assert world.cancel(job_id, states=("PENDING",)) == []
    assert world.job(job_id).state is JobState.RUNNING


def test_some_tasks_end_as_one_record(world: World) -> None:
    array = world.submit(array="0-9")
    world.cancel(f"{array}_[3-5,8]")

    part = world.job(array + 1)
    assert part.state is JobState.CANCELLED
    assert part.array_job_id == array
    assert part.pending_array is not None
    assert part.pending_array.ranges == ((3, 5, 1), (8, 8, 1))
    rest = world.job(array).pending_array
    assert rest is not None
    assert rest.ranges == ((0, 2, 1), (6, 7, 1), (9, 9, 1))


def test_a_running_and_a_pending_task_are_cancelled_together(world: World) -> None:
    array = world.submit(array="0-3%1")
    world.pass_()
    world.cancel(f"{array}_[0-1]")

    assert world.task(array, 0).state is JobState.CANCELLED
    rest = world.job(array).pending_array
    assert rest is not None
    assert rest.ranges == ((2, 3, 1),)


def test_a_signal_to_an_array_is_for_the_tasks_that_run(world: World) -> None:
    """Of the others, which wait, nothing is said: they are no fault of the request."""
    array = world.submit(array="0-3%1")
    world.pass_()
    world.effects.clear()

    assert [(each.id, each.code) for each in world.cancel(array, signal=10)] == [(str(array), "")]
    assert [signal.job_id for signal in world.took(SignalJob)] == [world.task(array, 0).id]


def test_a_signal_to_an_array_that_waits_is_refused_once(world: World) -> None:
    array = world.submit(array="0-3", is_held=True)
    world.cancel(f"{array}_0")
    world.change("release", f"{array}_3")

    outcomes = world.cancel(array, signal=10)

    assert [(each.id, each.code, each.message) for each in outcomes] == [
        (str(array), "not_running", "Job is pending execution")
    ]


def test_all_pending_tasks_end_as_the_base_record(world: World) -> None:
    array = world.submit(array="0-3%1")
    world.pass_()
    world.cancel(f"{array}_[1-3]")

    assert world.job(array).state is JobState.CANCELLED
    assert world.task(array, 0).state is JobState.RUNNING


def test_the_array_ends_with_every_task(world: World) -> None:
    array = world.submit(array="0-3%2")
    world.pass_()
    world.cancel(array)

    assert {job.state for job in world.cluster.jobs_named(array)} == {JobState.CANCELLED}


def test_an_array_with_ended_tasks_is_cancelled_without_complaint(world: World) -> None:
    array = world.submit(array="0-1%1")
    world.pass_()
    world.end_script(world.task(array, 0).id)

    assert [outcome.code for outcome in world.cancel(array)] == [""]


def test_the_task_that_has_the_base_id_is_meant_by_its_index(world: World) -> None:
    """All tasks run; the last one that started has the array's id."""
    array = world.submit(array="0-2")
    world.pass_()
    assert world.task(array, 2).id == array

    world.cancel(f"{array}_2")

    assert world.job(array).state is JobState.CANCELLED
    assert {world.task(array, index).state for index in (0, 1)} == {JobState.RUNNING}


def test_the_base_id_still_means_the_whole_array_when_its_last_task_has_it(world: World) -> None:
    array = world.submit(array="0-2")
    world.pass_()
    world.cancel(array)

    assert {world.task(array, index).state for index in range(3)} == {JobState.CANCELLED}


def test_a_tasks_own_id_means_that_task(world: World) -> None:
    array = world.submit(array="0-2")
    world.pass_()
    world.cancel(world.task(array, 1).id)

    assert [world.task(array, index).state for index in range(3)] == [
        JobState.RUNNING,
        JobState.CANCELLED,
        JobState.RUNNING,
    ]


def test_a_job_that_goes_back_to_the_queue_can_be_cancelled_before_it_is_clean(world: World) -> None:
    job_id = world.start()
    world.change("requeue", job_id)
    world.cancel(job_id)
    world.clean(job_id)

    assert world.job(job_id).state is JobState.CANCELLED
    assert world.job(job_id).attempt == 0


def test_a_step_is_ended_and_the_job_goes_on(world: World) -> None:
    job_id = world.start(cpus_per_task=2)
    world.step(job_id)
    world.effects.clear()
    world.cancel(f"{job_id}.0")

    assert [(end.node, end.step_id) for end in world.took(EndStep)] == [("n1", 0)]
    assert world.step_of(job_id, 0).cancelled_by == ANN.uid
    world.report(world.result(job_id, 0, exit_signal=15))

    assert world.step_of(job_id, 0).state is StepState.CANCELLED
    assert world.job(job_id).state is JobState.RUNNING


def test_an_unknown_or_ended_step_is_told(world: World) -> None:
    job_id = world.start(cpus_per_task=2)
    world.step(job_id)
    world.report(world.result(job_id, 0))

    assert [outcome.code for outcome in world.cancel(f"{job_id}.0", f"{job_id}.7")] == ["ended", "unknown"]


@pytest.mark.parametrize(
    ("flags", "to_batch", "to_steps"),
    [
        pytest.param({}, [False, False], True, id="to the steps alone"),
        pytest.param({"batch_only": True}, [True, False], False, id="to the shell alone"),
        pytest.param({"full": True}, [True, False], True, id="to all"),
    ],
)
def test_a_signal_goes_where_it_is_meant(
    world: World, flags: dict[str, Any], to_batch: list[bool], to_steps: bool
) -> None:
    job_id = world.start(nodes=2)
    world.cancel(job_id, signal=10, **flags)

    signals = world.took(SignalJob)
    assert [signal.to_batch for signal in signals] == to_batch
    assert {signal.to_steps for signal in signals} == {to_steps}
    assert world.job(job_id).state is JobState.RUNNING


def test_the_signal_kill_ends_the_job(world: World) -> None:
    job_id = world.start()
    world.cancel(job_id, signal=9)

    assert world.job(job_id).state is JobState.CANCELLED


def test_a_pending_job_takes_no_signal(world: World) -> None:
    job_id = world.submit()

    assert [outcome.code for outcome in world.cancel(job_id, signal=10)] == ["not_running"]


def test_an_interactive_job_ends_with_its_command(world: World) -> None:
    job_id = world.start(is_batch=False, origin="salloc")
    world.do(FinishAllocation(job_id=job_id, exit_code=3), ANN)

    job = world.job(job_id)
    assert (job.state, job.exit_code, job.reason.value) == (JobState.FAILED, 3, "NonZeroExitCode")
    world.clean(job_id)
    assert world.free_cpus("n1") == 4


def test_an_interactive_job_whose_step_was_out_of_memory_is_so_too(world: World) -> None:
    job_id = world.start(is_batch=False, origin="srun")
    world.do(FinishAllocation(job_id=job_id, exit_signal=125), ANN)

    job = world.job(job_id)
    assert (job.state, job.exit_signal, job.reason.value) == (JobState.OUT_OF_MEMORY, 125, "OutOfMemory")


@pytest.mark.parametrize("is_srun_first", [True, False], ids=["srun first", "node first"])
def test_such_a_job_has_its_steps_words(world: World, is_srun_first: bool) -> None:
    """Whether srun or the node is the first to tell of the end."""
    job_id = world.start(is_batch=False, origin="srun")
    world.step(job_id)
    told = world.result(job_id, 0, exit_signal=125, reason="OutOfMemory", reason_text="limit 50 MiB, peak 50 MiB")
    finished = FinishAllocation(job_id=job_id, exit_signal=125)

    if is_srun_first:
        world.do(finished, ANN)
        world.report(told)
    else:
        world.report(told)
        world.do(finished, ANN)

    job = world.job(job_id)
    assert (job.state, job.reason_text) == (JobState.OUT_OF_MEMORY, "limit 50 MiB, peak 50 MiB")
    world.check_replay()


def test_finishing_twice_changes_nothing(world: World) -> None:
    job_id = world.start(is_batch=False)
    world.do(FinishAllocation(job_id=job_id), ANN)
    world.do(FinishAllocation(job_id=job_id, exit_code=1), ANN)

    assert world.happened() == []
    assert world.job(job_id).state is JobState.COMPLETED


def test_giving_an_allocation_up_before_it_is_there_cancels_it(world: World) -> None:
    job_id = world.submit(is_batch=False)
    world.do(FinishAllocation(job_id=job_id), ANN)

    assert world.job(job_id).state is JobState.CANCELLED


def test_a_batch_job_ends_with_its_script_and_not_before(world: World) -> None:
    job_id = world.start()

    with pytest.raises(RequestError, match="script"):
        world.do(FinishAllocation(job_id=job_id), ANN)

    assert world.step_of(job_id, BATCH_STEP).state is StepState.RUNNING
