"""Preemption carried out: victims warned, ended, requeued, suspended and resumed; restarts and late plans too."""

from typing import Any

import pytest

from sluice.model.preemption import PreemptSetup
from sluice.model.request import WarnSignal
from sluice.model.states import Ending, JobState
from sluice.wire.messages import EndJob, SignalJob
from sluice_plugins import registry
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy
from sluicectld.state import commands
from sluicectld.state.effects import Launch
from sluicectld.state.events import JobEnded, JobPreempted
from tests.engine_builder import ANN, ROOT, World

TERM, CONT, STOP = 15, 18, 19


def make_world(modes: str = "REQUEUE", grace_s: int = 0, nodes: int = 1, **setup: Any) -> World:
    """Partitions batch and, of a higher tier, urgent; the grace is batch's."""
    world = World(nodes=nodes)
    world.engine.policy = Policy(
        select_unit="cpu",
        has_memory=True,
        preempt=PreemptSetup(type="partition_prio", modes=frozenset(modes.split(",")), **setup),
        preempt_plugin=registry.find_preemption("partition_prio"),
    )
    (batch,) = world.partition_records
    world.configure(partitions=(type(batch)(name="batch", nodes=batch.nodes, is_default=True, grace_s=grace_s),))
    world.add_partition("urgent", priority_tier=2)
    world.effects.clear()
    return world


def start_pair(world: World, **victim: Any) -> tuple[int, int]:
    """Start a job of all CPUs, let an urgent one come, run a pass; return both ids."""
    victim_id = world.start(cpus_per_task=4, **victim)
    world.effects.clear()
    urgent_id = world.submit(cpus_per_task=4, partitions=("urgent",))
    world.pass_()
    return victim_id, urgent_id


def signals(world: World) -> list[tuple[int, int]]:
    """Return (job, signal) of the signals since the last look."""
    return [(order.job_id, order.signal) for order in world.took(SignalJob)]


def test_without_grace_the_victim_is_ended_at_once_and_requeued() -> None:
    world = make_world()
    victim_id, urgent_id = start_pair(world)

    (order,) = world.took(EndJob)
    assert (order.job_id, order.ending, order.kill_wait_s) == (victim_id, Ending.PREEMPTION, 30.0)
    assert world.job(victim_id).state is JobState.PREEMPTED
    world.clean(victim_id)
    victim = world.job(victim_id)
    assert (victim.state, victim.attempt, victim.preemption) == (JobState.PENDING, 1, None)

    world.pass_()
    assert world.job(urgent_id).state is JobState.RUNNING
    assert world.job(victim_id).state is JobState.PENDING
    world.check_replay()


@pytest.mark.parametrize(
    ("modes", "fields"),
    [
        pytest.param("CANCEL", {}, id="CANCEL"),
        pytest.param("REQUEUE", {"can_requeue": False}, id="a job that may not be requeued"),
    ],
)
def test_a_cancelled_victim_ends_preempted(modes: str, fields: dict[str, Any]) -> None:
    world = make_world(modes)
    victim_id, urgent_id = start_pair(world, **fields)
    world.clean(victim_id)

    victim = world.job(victim_id)
    assert (victim.state, victim.reason_text) == (JobState.PREEMPTED, f"preempted for job {urgent_id}")


def test_grace_begins_with_a_warning_and_ends_with_a_kill() -> None:
    world = make_world("CANCEL", grace_s=60)
    victim_id, urgent_id = start_pair(world)

    (warning,) = world.took(SignalJob)
    assert (warning.signal, warning.reason, warning.deadline_at) == (TERM, "preemption", world.now + 60)
    assert world.job(victim_id).state is JobState.RUNNING
    world.pass_()
    world.pass_time(59)
    assert world.job(victim_id).state is JobState.RUNNING
    assert not world.took(SignalJob)

    world.pass_time(1)
    (order,) = world.took(EndJob)
    assert (order.ending, order.kill_wait_s) == (Ending.PREEMPTION, 0.0)
    assert world.job(victim_id).state is JobState.PREEMPTED
    world.pass_()
    assert world.job(urgent_id).state is JobState.PENDING
    world.clean(victim_id)
    world.pass_()
    assert world.job(urgent_id).state is JobState.RUNNING
    world.check_replay()


@pytest.mark.parametrize(
    ("sends", "expected"),
    [
        pytest.param(False, [10, TERM], id="the job's own signal beside TERM"),
        pytest.param(True, [10], id="instead of it with send_user_signal"),
    ],
)
def test_a_job_with_a_signal_of_its_own_gets_that(sends: bool, expected: list[int]) -> None:
    world = make_world("CANCEL", grace_s=60, sends_user_signal=sends)
    start_pair(world, warn_signal=WarnSignal(number=10, before_s=600), limit_s=36000)

    assert [order.signal for order in world.took(SignalJob)] == expected


def test_a_signal_that_was_given_already_is_not_given_again() -> None:
    world = make_world("CANCEL", grace_s=60, sends_user_signal=True)
    victim_id = world.start(cpus_per_task=4, warn_signal=WarnSignal(number=10, before_s=590), limit_s=600)
    world.pass_time(10)
    assert signals(world) == [(victim_id, 10)]
    world.submit(cpus_per_task=4, partitions=("urgent",))
    world.pass_()

    assert signals(world) == [(victim_id, TERM)]


@pytest.mark.parametrize(
    ("modes", "exit_code", "expected"),
    [
        pytest.param("CANCEL", 0, JobState.COMPLETED, id="with success it has done its work"),
        pytest.param("REQUEUE", 0, JobState.COMPLETED, id="and is not run again"),
        pytest.param("CANCEL", 1, JobState.PREEMPTED, id="otherwise it was preempted"),
        pytest.param("REQUEUE", 1, JobState.PENDING, id="and goes back to the queue"),
    ],
)
def test_a_victim_that_ends_in_its_grace(modes: str, exit_code: int, expected: JobState) -> None:
    world = make_world(modes, grace_s=60)
    victim_id, urgent_id = start_pair(world)
    world.end_script(victim_id, exit_code=exit_code)

    assert world.job(victim_id).state is expected
    world.pass_()
    assert world.job(urgent_id).state is JobState.RUNNING
    world.pass_time(120)
    assert not world.took(EndJob)


def test_a_victim_is_preempted_once_however_many_passes_run() -> None:
    world = make_world("CANCEL", grace_s=60)
    victim_id, _ = start_pair(world)
    for _ in range(3):
        assert not world.pass_().preemptions
    assert signals(world) == [(victim_id, TERM)]


def test_a_preemptor_that_is_cancelled_preempts_nobody_further() -> None:
    """Two victims on two nodes; the plan comes late."""
    world = make_world(nodes=2)
    for _ in range(2):
        world.start(cpus_per_task=4)
    urgent_id = world.submit(nodes=2, ntasks=2, cpus_per_task=4, partitions=("urgent",))
    plan = world.plan()
    assert len(plan.preemptions) == 2
    world.cancel(urgent_id)

    world.do(commands.ApplyPlan(plan))

    assert not any(isinstance(event, JobPreempted) for event in world.happened())
    assert not world.plan().preemptions


def test_all_victims_or_none() -> None:
    """One of two has ended since the pass: the other one is decided about again."""
    world = make_world(nodes=2)
    first, second = (world.start(cpus_per_task=4) for _ in range(2))
    world.submit(nodes=2, ntasks=2, cpus_per_task=4, partitions=("urgent",))
    plan = world.plan()
    world.end_script(first)

    assert world.do(commands.ApplyPlan(plan)) == 2
    assert world.job(second).preemption is None
    assert [order.job_id for order in world.pass_().preemptions] == [second]


def test_a_victim_that_was_moved_up_meanwhile_is_left_alone() -> None:
    world = make_world()
    victim_id = world.start(cpus_per_task=4)
    world.submit(cpus_per_task=4, partitions=("urgent",))
    plan = world.plan()
    (batch, urgent) = world.partition_records
    world.configure(partitions=(batch, type(urgent)(name="urgent", nodes=urgent.nodes, priority_tier=1)))

    world.do(commands.ApplyPlan(plan))

    assert world.job(victim_id).state is JobState.RUNNING


def test_a_restart_in_the_grace_changes_nothing() -> None:
    """The timer is there again, the warning is repeated when the agent comes back, and the place is still kept."""
    world = make_world("CANCEL", grace_s=60)
    victim_id, urgent_id = start_pair(world)
    (warning,) = world.took(SignalJob)
    world.pass_time(30)
    world.restart()
    world.register("n1", running=(world.running_step(victim_id),))
    (repeated,) = world.took(SignalJob)
    assert (repeated.reason, repeated.deadline_at) == (warning.reason, warning.deadline_at)
    assert not world.pass_().preemptions

    world.pass_time(29)
    assert world.job(victim_id).state is JobState.RUNNING
    world.pass_time(1)
    assert world.job(victim_id).state is JobState.PREEMPTED
    assert [order.job_id for order in world.took(EndJob)] == [victim_id]
    world.clean(victim_id)
    world.pass_()
    assert world.job(urgent_id).state is JobState.RUNNING
    world.check_replay()


def test_a_restart_while_the_victim_completes_keeps_the_place() -> None:
    world = make_world()
    victim_id, urgent_id = start_pair(world)
    world.restart()
    world.register("n1", running=(world.running_step(victim_id),))
    world.submit(ANN, cpus_per_task=4, partitions=("urgent",), nodes=1)
    plan = world.pass_()
    assert not plan.preemptions
    assert plan.planned[urgent_id].nodes == ("n1",)
    world.clean(victim_id)
    assert [start.job_id for start in world.pass_().starts] == [urgent_id]


def test_a_suspended_victim_stays_in_memory_and_goes_on_when_the_preemptor_has_ended() -> None:
    world = make_world("SUSPEND,GANG")
    victim_id, urgent_id = start_pair(world, limit_s=600)
    assert signals(world) == [(victim_id, STOP)]
    assert world.job(victim_id).state is JobState.SUSPENDED
    world.pass_()
    assert world.job(urgent_id).state is JobState.RUNNING
    assert world.free_cpus("n1") == 0

    world.pass_time(3600)
    assert world.job(victim_id).state is JobState.SUSPENDED
    world.end_script(urgent_id)
    later = world.submit(cpus_per_task=4)
    plan = world.pass_()
    assert plan.resumes == (victim_id,)
    assert signals(world) == [(victim_id, CONT)]
    assert world.job(victim_id).state is JobState.RUNNING
    assert world.job(later).state is JobState.PENDING

    world.pass_time(600)
    assert world.job(victim_id).state is JobState.TIMEOUT
    world.check_replay()


def test_jobs_of_lower_standing_do_not_take_the_cpus_of_a_suspended_one() -> None:
    world = make_world("SUSPEND,GANG")
    victim_id, urgent_id = start_pair(world)
    world.pass_()
    second = world.submit(cpus_per_task=4, partitions=("urgent",))
    lower = world.submit(cpus_per_task=4)
    world.pass_()
    world.end_script(urgent_id)
    assert [start.job_id for start in world.pass_().starts] == [second]
    world.end_script(second)
    world.pass_()
    assert world.job(victim_id).state is JobState.RUNNING
    assert world.job(lower).state is JobState.PENDING


def test_a_restart_while_a_job_is_suspended_freezes_it_again_and_resumes_it_in_time() -> None:
    world = make_world("SUSPEND,GANG")
    victim_id, urgent_id = start_pair(world)
    world.pass_()
    world.restart()
    world.effects.clear()
    world.register("n1", running=(world.running_step(victim_id), world.running_step(urgent_id)))
    assert signals(world) == [(victim_id, STOP)]
    world.end_script(urgent_id)
    world.pass_()
    assert world.job(victim_id).state is JobState.RUNNING


def test_a_suspended_job_whose_launch_was_lost_is_launched_and_frozen() -> None:
    world = make_world()
    job_id = world.start()
    world.change("suspend", job_id, caller=ROOT)
    world.effects.clear()

    world.register("n1")

    launch, order = world.effects
    assert (type(launch), launch.job.id) == (Launch, job_id)
    assert order.signal == STOP


def test_an_administrators_suspension_lasts_until_it_is_taken_back() -> None:
    world = make_world()
    job_id = world.start(cpus_per_task=4)
    world.change("suspend", job_id, caller=ROOT)
    other = world.start(cpus_per_task=4)
    world.end_script(other)
    world.pass_()
    assert world.job(job_id).state is JobState.SUSPENDED

    world.change("resume", job_id, caller=ROOT)
    assert world.job(job_id).state is JobState.RUNNING


def test_a_job_whose_cpus_are_taken_goes_on_when_they_are_free() -> None:
    world = make_world()
    job_id = world.start(cpus_per_task=4)
    world.change("suspend", job_id, caller=ROOT)
    other = world.start(cpus_per_task=4)
    world.change("resume", job_id, caller=ROOT)
    world.pass_()
    assert world.job(job_id).state is JobState.SUSPENDED

    world.end_script(other)
    world.pass_()
    assert world.job(job_id).state is JobState.RUNNING
    world.check_replay()


def test_a_suspended_job_that_is_cancelled_gives_back_what_it_has_left() -> None:
    world = make_world("SUSPEND,GANG")
    victim_id, urgent_id = start_pair(world)
    world.pass_()
    world.cancel(victim_id)
    assert world.free_cpus("n1") == 0
    world.clean(victim_id)
    world.end_script(urgent_id)
    assert (world.free_cpus("n1"), world.cluster.free["n1"].free_memory_mib) == (4, 4000)


def test_a_task_of_an_array_is_a_victim_of_its_own() -> None:
    world = make_world(nodes=2)
    array_id = world.submit(cpus_per_task=4, array="1-2")
    world.pass_()
    world.submit(cpus_per_task=4, partitions=("urgent",))
    (order,) = world.pass_().preemptions
    states = sorted(world.task(array_id, index).state for index in (1, 2))
    assert states == [JobState.PREEMPTED, JobState.RUNNING]
    world.clean(order.job_id)
    assert world.job(order.job_id).state is JobState.PENDING


def test_an_array_preempts_task_by_task() -> None:
    world = make_world(nodes=2)
    victims = [world.start(cpus_per_task=4) for _ in range(2)]
    array_id = world.submit(cpus_per_task=4, array="1-2", partitions=("urgent",))
    for _ in range(4):
        for order in world.pass_().preemptions:
            world.clean(order.job_id)
    assert {world.job(job_id).state for job_id in victims} == {JobState.PENDING}
    assert {world.task(array_id, index).state for index in (1, 2)} == {JobState.RUNNING}


def test_a_plan_of_another_configuration_preempts_nobody() -> None:
    world = make_world()
    world.start(cpus_per_task=4)
    world.submit(cpus_per_task=4, partitions=("urgent",))
    plan = world.plan()
    world.engine.policy = Policy(select_unit="cpu")

    assert world.do(commands.ApplyPlan(plan)) == 1
    assert not any(isinstance(event, JobEnded) for event in world.happened())
    assert world.do(commands.ApplyPlan(Plan(0))) == 0
