"""Nodes that the system sets aside: by cause, given back when all are gone, never out of an administrator's hands."""

from collections.abc import Callable

import pytest

from sluice.model.states import JobState
from sluice.wire.messages import NodeTrouble, Report, SignalJob
from tests.engine_builder import ANN, BOB, OPERATOR, World

MakeWorld = Callable[..., World]


def trouble(world: World, cause: str, reason: str = "") -> None:
    world.do(Report(troubles=(NodeTrouble(node="n1", cause=cause, reason=reason),)))


def state(world: World) -> tuple[bool, str]:
    node = world.node("n1")
    return node.is_drained, node.reason


def test_a_node_comes_back_when_the_cause_is_gone(world: World) -> None:
    trouble(world, "health", "no disk")
    waiting = world.submit(required_nodes=("n1",))
    world.pass_()
    assert (state(world), world.job(waiting).state) == ((True, "no disk"), JobState.PENDING)

    trouble(world, "health")
    world.pass_()

    assert (state(world), world.job(waiting).state) == ((False, ""), JobState.RUNNING)


def test_every_cause_holds_the_node(world: World) -> None:
    trouble(world, "health", "no disk")
    trouble(world, "unkillable 4.0.batch", "pid 5")
    assert state(world) == (True, "pid 5")

    trouble(world, "unkillable 4.0.batch")
    assert state(world) == (True, "no disk")
    trouble(world, "health")

    assert state(world) == (False, "")


def test_a_repeated_trouble_changes_nothing(world: World) -> None:
    trouble(world, "health", "no disk")
    trouble(world, "health", "no disk")
    assert world.happened() == []

    trouble(world, "health", "no disk, no fan")

    assert state(world) == (True, "no disk, no fan")


def test_what_an_administrator_drains_stays_drained(world: World) -> None:
    trouble(world, "health", "no disk")
    world.update_nodes("n1", State="DRAIN", Reason="mine")

    trouble(world, "health")

    assert state(world) == (True, "mine")


def test_the_systems_trouble_does_not_replace_an_administrators_reason(world: World) -> None:
    world.update_nodes("n1", State="DRAIN", Reason="mine")

    trouble(world, "health", "no disk")

    assert state(world) == (True, "mine")


def test_a_resume_ends_all_causes(world: World) -> None:
    trouble(world, "health", "no disk")
    trouble(world, "unkillable 4.0.0", "pid 5")

    world.update_nodes("n1", OPERATOR, State="RESUME")

    assert state(world) == (False, "")


def test_a_reboot_ends_what_could_not_be_killed_and_nothing_else(world: World) -> None:
    trouble(world, "health", "no disk")
    trouble(world, "unkillable 4.0.batch", "pid 5")

    world.register("n1", boot_id="another")

    assert state(world) == (True, "no disk")


def test_a_restart_remembers_the_causes(world: World) -> None:
    trouble(world, "health", "no disk")
    world.restart()

    trouble(world, "health")

    assert state(world) == (False, "")


def test_the_jobs_there_are_told_once(world: World) -> None:
    job_id = world.start()
    world.effects.clear()

    trouble(world, "health", "no disk")
    trouble(world, "unkillable 4.0.0", "pid 5")

    assert [(order.job_id, order.signal, order.text) for order in world.took(SignalJob)] == [(job_id, 0, "no disk")]


# Jobs of several users that fail in a row.


def fails(world: World, caller: object, **fields: object) -> None:
    job_id = world.start(caller)  # type: ignore[arg-type]
    world.end_script(job_id, **{"exit_code": 127, "started_at": world.now, "ended_at": world.now + 1} | fields)


@pytest.fixture
def counting(make_world: MakeWorld) -> World:
    return make_world(failing_users_max=2)


def test_jobs_of_different_users_that_fail_in_a_row_set_the_node_aside(counting: World) -> None:
    fails(counting, ANN)
    assert state(counting) == (False, "")

    fails(counting, BOB, exit_code=1)

    expected = (
        "Set aside: jobs of 2 users failed in a row: job 1 of ann exit 127 after 1 s, job 2 of bob exit 1 after 1 s"
    )
    assert state(counting) == (True, expected)


def test_one_users_failures_are_that_users(counting: World) -> None:
    for _ in range(5):
        fails(counting, ANN)

    assert state(counting) == (False, "")


def test_a_job_that_ends_well_clears_the_node(counting: World) -> None:
    fails(counting, ANN)
    counting.end_script(counting.start(ANN))

    fails(counting, BOB)

    assert state(counting) == (False, "")


def test_a_job_that_ran_for_a_while_is_no_sign_of_a_bad_node(counting: World) -> None:
    fails(counting, ANN)
    fails(counting, BOB, ended_at=counting.now + 3600)

    assert state(counting) == (False, "")


def test_a_resumed_node_is_counted_anew(counting: World) -> None:
    fails(counting, ANN)
    fails(counting, BOB)
    counting.update_nodes("n1", State="RESUME")

    fails(counting, ANN)

    assert state(counting) == (False, "")


def test_without_the_setting_nothing_is_counted(world: World) -> None:
    for caller in (ANN, BOB, OPERATOR):
        fails(world, caller)

    assert state(world) == (False, "")
    assert world.node("n1").failures == ()
