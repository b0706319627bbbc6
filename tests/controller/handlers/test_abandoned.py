"""Allocations whose salloc or srun is gone: which end, when, and as what."""

from typing import Any

import pytest

from sluice.absence import RETURN_GRACE_S
from sluice.model.base import EXTERN_STEP
from sluice.model.reason import Reason
from sluice.model.states import JobState
from sluice.wire.messages import NodePrepared, Report
from sluicectld.handlers.abandoned import QUEUE_GRACE_S, SRUN_GRACE_S, TAKE_GRACE_S
from sluicectld.state.commands import EndAbandoned, ExpectCommands
from tests import het_builder
from tests.engine_builder import World

_LIMIT_S = 600


def interactive(world: World, origin: str, **fields: Any) -> int:
    return world.start(is_batch=False, origin=origin, **fields)


def judge(world: World, job_id: int, gone_for_s: float) -> JobState:
    """Say that the job's command has been gone for so long by now; return the job's state."""
    world.do(EndAbandoned({job_id: world.now - gone_for_s}))
    return world.job(job_id).state


def test_a_salloc_that_is_gone_for_the_inactive_limit_loses_its_allocation() -> None:
    world = World(inactive_limit_s=_LIMIT_S)
    job_id = interactive(world, "salloc", submit_host="login1")
    world.pass_time(3600)

    assert judge(world, job_id, _LIMIT_S - 1) is JobState.RUNNING
    assert judge(world, job_id, _LIMIT_S) is JobState.TIMEOUT
    job = world.job(job_id)
    assert job.reason is Reason.INACTIVE_LIMIT
    assert job.reason_text == "its salloc on login1 is gone, and InactiveLimit=600 s is over"


def test_a_step_does_not_keep_the_allocation_of_a_salloc_that_is_gone() -> None:
    world = World(inactive_limit_s=_LIMIT_S)
    job_id = interactive(world, "salloc")
    world.step(job_id)
    world.pass_time(3600)

    assert judge(world, job_id, _LIMIT_S) is JobState.TIMEOUT


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        pytest.param({}, {"origin": "salloc"}, id="salloc without a limit"),
        pytest.param({"inactive_limit_s": 60}, {"origin": "salloc", "given": frozenset({"no-shell"})}, id="no shell"),
        pytest.param({"inactive_limit_s": 60}, {"origin": "sbatch", "is_batch": True}, id="a batch job"),
    ],
)
def test_nothing_else_ends_for_it(settings: dict[str, int], fields: dict[str, Any]) -> None:
    world = World(**settings)
    job_id = world.start(**({"is_batch": False} | fields))
    world.pass_time(3600)

    assert judge(world, job_id, 3599) is JobState.RUNNING


def test_jobs_of_a_partition_for_root_are_not_looked_at() -> None:
    world = World(inactive_limit_s=_LIMIT_S)
    job_id = interactive(world, "salloc")
    world.add_partition("batch", root_only=True, is_default=True)
    world.pass_time(3600)

    assert judge(world, job_id, 3599) is JobState.RUNNING


def test_time_in_the_queue_does_not_count() -> None:
    """Its salloc was there to take the allocation."""
    world = World(inactive_limit_s=_LIMIT_S)
    first = world.start(exclusive="node")
    job_id = world.submit(is_batch=False, origin="salloc")
    world.pass_time(3600)
    world.end_script(first)
    world.pass_()
    world.pass_time(_LIMIT_S)

    assert judge(world, job_id, _LIMIT_S - 1) is JobState.RUNNING, "it has been gone for less"
    world.pass_time(1)
    assert judge(world, job_id, _LIMIT_S) is JobState.TIMEOUT


@pytest.mark.parametrize("origin", ["srun", "salloc"])
def test_a_request_leaves_the_queue_when_nobody_waits_for_it(world: World, origin: str) -> None:
    """Not at once: a connection may break, and its command asks again."""
    world.start(exclusive="node")
    job_id = world.submit(is_batch=False, origin=origin, submit_host="login1")
    world.pass_time(3600)

    assert judge(world, job_id, QUEUE_GRACE_S - 1) is JobState.PENDING
    assert judge(world, job_id, QUEUE_GRACE_S) is JobState.CANCELLED
    assert world.job(job_id).reason_text == f"its {origin} on login1 is gone, and nobody waits for the allocation"
    assert world.job(job_id).started_at is None
    world.check_replay()


def test_the_components_of_a_request_leave_the_queue_together() -> None:
    world = World(nodes=1)
    world.start(exclusive="node")
    leader_id = world.submit_het({}, {}, is_batch=False, origin="srun")
    world.pass_time(3600)

    assert judge(world, leader_id, QUEUE_GRACE_S) is JobState.CANCELLED
    assert world.job(leader_id + 1).state is JobState.CANCELLED


def test_after_a_restart_a_request_waits_for_its_command_for_days(world: World) -> None:
    """It may be stopped, and then it lives and cannot tell."""
    job_id = world.submit(is_batch=False, origin="srun", submit_host="login1")
    world.do(ExpectCommands((job_id,), is_away=True))
    world.pass_()
    world.pass_time(RETURN_GRACE_S)

    assert judge(world, job_id, RETURN_GRACE_S - 1) is JobState.PENDING, "nothing starts for nobody"
    assert judge(world, job_id, RETURN_GRACE_S) is JobState.CANCELLED
    assert (
        world.job(job_id).reason_text
        == "its srun on login1 is gone, and it has not come back since the controller started"
    )
    world.check_replay()


def test_a_request_whose_command_has_come_back_starts_and_has_lost_no_age(world: World) -> None:
    job_id = world.submit(is_batch=False, origin="srun")
    eligible_at = world.job(job_id).eligible_at
    world.do(ExpectCommands((job_id,), is_away=True))
    world.pass_time(3600)
    world.pass_()
    assert world.job(job_id).state is JobState.PENDING

    world.do(ExpectCommands((job_id,), is_away=False))
    world.pass_()

    assert world.job(job_id).state is JobState.RUNNING
    assert world.job(job_id).eligible_at == eligible_at
    world.check_replay()


def test_a_command_that_has_come_back_and_goes_is_waited_for_as_any_other(world: World) -> None:
    world.start(exclusive="node")
    job_id = world.submit(is_batch=False, origin="srun")
    for is_away in (True, False):
        world.do(ExpectCommands((job_id,), is_away=is_away))
    world.pass_time(3600)

    assert judge(world, job_id, QUEUE_GRACE_S) is JobState.CANCELLED


def test_the_inactive_limit_is_the_longest_wait_for_a_command_after_a_restart() -> None:
    world = World(inactive_limit_s=_LIMIT_S)
    job_id = world.submit(is_batch=False, origin="salloc")
    world.do(ExpectCommands((job_id,), is_away=True))
    world.pass_time(3600)

    assert judge(world, job_id, _LIMIT_S - 1) is JobState.PENDING
    assert judge(world, job_id, _LIMIT_S) is JobState.CANCELLED


def test_the_components_of_a_request_wait_for_their_command_together() -> None:
    world = World(nodes=2)
    leader_id = world.submit_het({}, {}, is_batch=False, origin="srun")
    world.do(ExpectCommands((leader_id,), is_away=True))
    world.pass_()
    assert [world.job(leader_id + place).state for place in (0, 1)] == [JobState.PENDING] * 2

    world.do(ExpectCommands((leader_id,), is_away=False))
    world.pass_()

    assert [world.job(leader_id + place).state for place in (0, 1)] == [JobState.RUNNING] * 2


def test_what_has_started_waits_for_no_command(world: World) -> None:
    """Its fate is that of an allocation."""
    job_id = interactive(world, "salloc")

    world.do(ExpectCommands((job_id,), is_away=True))

    assert not world.job(job_id).awaits_command


@pytest.mark.parametrize("origin", ["srun", "salloc"])
def test_a_grant_that_nobody_takes_is_given_back(world: World, origin: str) -> None:
    """Its command went just before: it may still come back, but the CPUs do not wait for it long."""
    job_id = interactive(world, origin, submit_host="login1")
    world.pass_time(TAKE_GRACE_S - 1)
    assert judge(world, job_id, TAKE_GRACE_S + 5) is JobState.RUNNING
    world.pass_time(1)

    assert judge(world, job_id, TAKE_GRACE_S + 5) is JobState.CANCELLED
    assert world.job(job_id).reason_text == f"its {origin} on login1 is gone, and nobody has taken the allocation"


def test_an_allocation_with_a_step_has_been_taken(world: World) -> None:
    """From another terminal: srun --jobid."""
    job_id = interactive(world, "salloc")
    world.step(job_id)
    world.pass_time(3600)

    assert judge(world, job_id, 7200) is JobState.RUNNING


def test_an_srun_that_is_gone_leaves_nothing_behind(world: World) -> None:
    """Nobody else can use the allocation, so no limit is needed; the step is its srun's sign of life."""
    job_id = interactive(world, "srun", submit_host="login1")
    world.step(job_id)
    world.pass_time(3600)
    assert judge(world, job_id, 3600) is JobState.RUNNING

    world.report(world.result(job_id, 0, exit_signal=9))

    assert judge(world, job_id, 3600) is JobState.RUNNING, "srun may still say how it went"
    world.pass_time(SRUN_GRACE_S)
    assert judge(world, job_id, 3600) is JobState.CANCELLED
    assert world.job(job_id).reason_text == "its srun on login1 is gone, and no step runs"


def test_an_srun_that_has_just_lost_its_connection_is_waited_for(world: World) -> None:
    job_id = interactive(world, "srun")
    world.pass_time(3600)

    assert judge(world, job_id, SRUN_GRACE_S - 1) is JobState.RUNNING
    assert judge(world, job_id, SRUN_GRACE_S) is JobState.CANCELLED


def test_a_step_in_any_component_is_a_sign_of_life() -> None:
    world = World(nodes=3)
    leader_id = het_builder.start(world, is_batch=False, origin="srun")
    world.step(leader_id + 1, ntasks=1, min_nodes=1)
    world.pass_time(3600)

    assert judge(world, leader_id, 3600) is JobState.RUNNING
    world.report(world.result(leader_id + 1, 0, node=world.step_of(leader_id + 1, 0).running_nodes[0]))
    world.pass_time(3600)
    assert judge(world, leader_id, 3600) is JobState.CANCELLED
    assert world.job(leader_id + 1).state is JobState.CANCELLED


def test_the_journal_tells_it(world: World) -> None:
    job_id = interactive(world, "srun")
    world.pass_time(3600)
    judge(world, job_id, 3600)

    world.check_replay()


def test_an_extern_step_is_no_sign_of_life() -> None:
    """It lasts as long as the job."""
    world = World(prolog_flags=("Alloc", "Contain"))
    job_id = interactive(world, "srun")
    world.do(Report(prepared=(NodePrepared(node="n1", job_id=job_id, attempt=0),)))
    assert world.step_of(job_id, EXTERN_STEP).running_nodes == ("n1",)
    world.pass_time(3600)

    assert judge(world, job_id, 3600) is JobState.CANCELLED
