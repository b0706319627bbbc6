"""--signal: whom the warning reaches, when, and that it comes once."""

from typing import Any

import pytest

from sluice.model.request import WarnSignal
from sluice.wire.messages import SignalJob
from tests.engine_builder import ROOT, World


def warned(world: World) -> list[Any]:
    return world.took(SignalJob)


def test_the_steps_are_warned_before_the_limit(world: World) -> None:
    job_id = world.start(nodes=2, limit_s=600, warn_signal=WarnSignal(number=10, before_s=60))
    world.pass_time(539)
    assert warned(world) == []

    world.pass_time(1)

    signals = warned(world)
    assert [(signal.node, signal.signal, signal.to_batch, signal.to_steps) for signal in signals] == [
        ("n1", 10, False, True),
        ("n2", 10, False, True),
    ]
    assert {(signal.reason, signal.deadline_at) for signal in signals} == {
        ("time limit", (world.job(job_id).started_at or 0) + 600)
    }


def test_the_shell_alone_is_warned_when_asked_for(world: World) -> None:
    world.start(nodes=2, limit_s=600, warn_signal=WarnSignal(number=12, before_s=60, to_batch_only=True))
    world.pass_time(540)

    assert [(signal.node, signal.to_batch, signal.to_steps) for signal in warned(world)] == [("n1", True, False)]


def test_a_longer_limit_moves_the_warning(world: World) -> None:
    job_id = world.start(limit_s=600, warn_signal=WarnSignal(number=10, before_s=60))
    world.update(job_id, ROOT, TimeLimit="20")
    world.effects.clear()
    world.pass_time(1139)
    assert warned(world) == []

    world.pass_time(1)

    assert len(warned(world)) == 1


def test_the_warning_comes_once_over_a_restart(world: World) -> None:
    world.start(limit_s=600, warn_signal=WarnSignal(number=10, before_s=60))
    world.pass_time(550)
    assert len(warned(world)) == 1
    world.restart()
    world.pass_time(40)

    assert warned(world) == []


def test_a_warning_that_was_due_while_the_controller_was_away_comes_late(world: World) -> None:
    job_id = world.start(limit_s=600, warn_signal=WarnSignal(number=10, before_s=60))
    world.now += 560
    world.restart()
    world.pass_time(0)
    assert warned(world) == [], "the agent is not there yet"

    world.register("n1", running=(world.running_step(job_id),))

    assert len(warned(world)) == 1


def test_the_next_run_is_warned_too(world: World) -> None:
    job_id = world.start(limit_s=600, warn_signal=WarnSignal(number=10, before_s=60))
    world.pass_time(550)
    world.change("requeue", job_id)
    world.clean(job_id)
    world.pass_()
    warned(world)
    world.pass_time(540)

    assert len(warned(world)) == 1


def test_a_node_whose_agent_is_away_is_warned_when_it_is_back_and_once(world: World) -> None:
    job_id = world.start(nodes=2, limit_s=600, warn_signal=WarnSignal(number=10, before_s=60))
    world.lose("n2", is_final=False)
    world.pass_time(540)
    assert [signal.node for signal in warned(world)] == ["n1"]
    world.effects.clear()

    world.register("n1", "n2", running=(world.running_step(job_id),))
    world.register("n2", running=(world.running_step(job_id),))

    assert [(signal.node, signal.signal, signal.is_exact) for signal in warned(world)] == [("n2", 10, True)]


@pytest.mark.parametrize("before_s", [600, 900])
def test_a_warning_longer_than_the_limit_comes_at_the_start(world: World, before_s: int) -> None:
    world.start(limit_s=600, warn_signal=WarnSignal(number=10, before_s=before_s))
    world.pass_time(0)

    assert len(warned(world)) == 1


def test_every_program_is_told_of_a_new_limit() -> None:
    world = World(nodes=2)
    job_id = world.start(nodes=2, limit_s=600)
    started_at = world.now
    world.pass_time(100)
    world.effects.clear()

    world.update(job_id, ROOT, TimeLimit="20")

    told = warned(world)
    assert [(order.node, order.full, order.signal) for order in told] == [("n1", True, 0), ("n2", True, 0)]
    assert [(order.reason, order.limit_at, order.deadline_at) for order in told] == [
        ("new limit", started_at + 1200, None)
    ] * 2
    assert told[0].text == "by root"


def test_an_unlimited_job_is_told_that_nothing_ends_it(world: World) -> None:
    job_id = world.start(limit_s=600)
    world.effects.clear()

    world.update(job_id, ROOT, TimeLimit="UNLIMITED")

    assert [(order.reason, order.limit_at) for order in warned(world)] == [("new limit", None)]


def test_a_job_that_waits_is_told_nothing(world: World) -> None:
    job_id = world.submit(limit_s=600)
    world.update(job_id, ROOT, TimeLimit="5")

    assert warned(world) == []


def test_a_suspended_job_is_told_why_and_when_it_goes_on_how_long_it_has(world: World) -> None:
    job_id = world.start(limit_s=600)
    started_at = world.now
    world.effects.clear()
    world.change("suspend", job_id, caller=ROOT)
    assert [(order.reason, order.text) for order in warned(world)] == [("suspend", "by root")]
    world.effects.clear()
    world.update(job_id, ROOT, TimeLimit="20")
    assert warned(world) == [], "nobody reads it now"

    world.pass_time(300)
    world.change("resume", job_id, caller=ROOT)

    assert [(order.reason, order.limit_at) for order in warned(world)] == [("resume", started_at + 300 + 1200)]


def test_an_agent_that_was_away_learns_the_limit_when_it_registers(world: World) -> None:
    job_id = world.start(limit_s=600)
    told_at = world.job(job_id).limit_at
    world.update(job_id, ROOT, TimeLimit="20")
    world.effects.clear()

    world.register("n1", running=(world.running_step(job_id),), limits=((job_id, 0, told_at),))

    told = warned(world)
    assert [(order.reason, order.limit_at, order.text) for order in told] == [
        ("new limit", world.job(job_id).limit_at, "")
    ]


def test_an_agent_that_knows_the_limit_is_not_told_again(world: World) -> None:
    job_id = world.start(limit_s=600)

    world.register("n1", running=(world.running_step(job_id),), limits=((job_id, 0, world.job(job_id).limit_at),))

    assert warned(world) == []


def test_one_that_missed_a_suspension_learns_that_the_job_goes_on_and_until_when(world: World) -> None:
    job_id = world.start(limit_s=600)
    world.change("suspend", job_id, caller=ROOT)
    world.pass_time(300)
    world.change("resume", job_id, caller=ROOT)
    world.effects.clear()

    world.register("n1", running=(world.running_step(job_id),))

    assert [(order.reason, order.limit_at) for order in warned(world)] == [("resume", world.job(job_id).limit_at)]
