"""Which process a pid means, and ending it."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from sluice.local import process
from sluice.local.process import ProcessId


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ignores TERM, and says so when it does."""
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        yield started
        started.kill()


def identity(child: subprocess.Popen[bytes]) -> ProcessId:
    found = process.identify(child.pid)
    assert found is not None
    return found


def test_a_process_is_known_by_pid_and_start(child: subprocess.Popen[bytes]) -> None:
    assert process.is_alive(identity(child))


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "another"}])
def test_a_pid_that_was_used_again_is_left_alone(child: subprocess.Popen[bytes], change: dict[str, object]) -> None:
    """The record is of an earlier process of that number: nothing is sent."""
    earlier = msgspec.structs.replace(identity(child), **change)

    process.end([earlier], 0.0, signal.SIGKILL)

    assert not process.is_alive(earlier)
    assert process.is_alive(identity(child))


def test_who_ignores_term_is_killed_after_the_grace(child: subprocess.Popen[bytes]) -> None:
    ours = identity(child)

    process.end([ours], 0.05, signal.SIGTERM)

    assert not process.is_alive(ours)


def test_a_process_that_only_waits_to_be_reaped_is_gone() -> None:
    with subprocess.Popen(["true"]) as ended:
        process.wait_gone([ProcessId(ended.pid, 0, "")], 0.0)
        while process.identify(ended.pid) is not None:
            pass
        assert process.identify(ended.pid) is None
