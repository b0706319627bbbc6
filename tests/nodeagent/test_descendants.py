"""Signals to everything below a process, while it goes on forking."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sluiced.steps import descendants
from tests.waiting import wait_until

#: Starts a child when it is told to end, as a script does that cleans up.
CLEANING = """
import os, signal, subprocess
def clean(number, frame):
    child = subprocess.Popen(["sleep", "300"])
    print(child.pid, flush=True)
signal.signal(signal.SIGTERM, clean)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def cleaning() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", CLEANING], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    descendants.signal_descendants(os.getpid(), signal.SIGKILL)
    process.wait()
    process.stdout.close()


def _looks(monkeypatch: pytest.MonkeyPatch, cleaning: subprocess.Popen[str]) -> list[int]:
    """Let each look over the tree but the first wait until the cleanup has been started; return whom it found."""
    children: list[int] = []
    is_first = iter([True])
    look = descendants.descendants

    def wait_and_look(root: int) -> set[int]:
        if not next(is_first, False) and not children:
            assert cleaning.stdout is not None
            children.append(int(cleaning.stdout.readline()))
        return look(root)

    monkeypatch.setattr(descendants, "descendants", wait_and_look)
    return children


def _is_alive(pid: int) -> bool:
    state = descendants.process_id.stat_fields(pid)
    return bool(state) and state[0] != b"Z"


def test_what_a_program_starts_to_clean_up_is_not_told_to_end_itself(
    monkeypatch: pytest.MonkeyPatch, cleaning: subprocess.Popen[str]
) -> None:
    children = _looks(monkeypatch, cleaning)

    reached = descendants.signal_descendants(os.getpid(), signal.SIGCONT, signal.SIGTERM)

    assert reached == 1
    assert _is_alive(children[0])


def test_killing_leaves_nothing_that_came_meanwhile(
    monkeypatch: pytest.MonkeyPatch, cleaning: subprocess.Popen[str]
) -> None:
    cleaning.send_signal(signal.SIGTERM)
    assert cleaning.stdout is not None
    child = int(cleaning.stdout.readline())

    assert descendants.signal_descendants(cleaning.pid, signal.SIGKILL) == 1
    os.kill(cleaning.pid, signal.SIGKILL)
    cleaning.wait()
    wait_until(lambda: not _is_alive(child))
