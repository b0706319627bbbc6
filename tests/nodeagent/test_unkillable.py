"""Processes that KILL does not end: waited for a bounded time, then told with evidence."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from sluice.model.base import BATCH_STEP
from sluice.model.states import Ending
from sluiced.cgroup import detect
from sluiced.cgroup.interface import GroupName, NoTree, StepGroup, Wants
from sluiced.steps.descendants import describe
from sluiced.steps.ending import EndSchedule
from sluiced.steps.launch import EndOrder
from sluiced.steps.warmup import sample_launch
from tests.nodeagent.conftest import NODE


def test_a_step_is_hopeless_some_time_after_its_first_kill() -> None:
    schedule = EndSchedule()
    schedule.begin(EndOrder(ending=Ending.CANCEL, kill_wait_s=5.0), 100.0)
    assert not schedule.is_hopeless(1000.0, 60.0)

    assert schedule.take_kill(105.0)
    assert schedule.take_kill(110.0)

    assert not schedule.is_hopeless(164.9, 60.0)
    assert schedule.is_hopeless(165.0, 60.0)
    assert not schedule.is_hopeless(1000.0, 0.0)


def test_the_evidence_names_process_state_and_command() -> None:
    evidence = describe({os.getpid()})

    assert evidence.startswith(f"pid {os.getpid()} state R command ")
    assert "python" in evidence or "pytest" in evidence


class FullTree(NoTree):
    """Where no more groups can be made."""

    def make_step(self, name: GroupName, wants: Wants) -> StepGroup:
        raise OSError(28, "No space left on device")


def test_a_group_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "find_tree", lambda settings: FullTree("full"))

    group = detect.step_group(replace(sample_launch(BATCH_STEP), node=NODE))

    assert group.problem == "cgroups: a step's group cannot be made: [Errno 28] No space left on device"
