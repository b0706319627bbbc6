"""The disk of a node's spool is full when a step ends."""

import errno
from pathlib import Path

import msgspec
import pytest

from sluice.model.base import BATCH_STEP
from sluice.model.reason import Reason
from sluice.model.states import Ending
from sluice.wire.messages import StepResult
from sluiced import control_socket, spool
from sluiced.processes import StepProcesses
from sluiced.steps import stepd
from sluiced.steps.launch import EndOrder
from sluiced.steps.launcher import Launcher

RESULT = StepResult(node="n1", job_id=7, attempt=0, step_id=0, started_at=1.0, ended_at=2.0, exit_code=3)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The error numbers of the next writes; when there are none left, the disk has space."""
    numbers: list[int] = []
    write = spool.write_file

    def fail_or_write(path: str, data: bytes) -> None:
        if numbers:
            write(path, data[:5])
            raise OSError(numbers.pop(0), "no")
        write(path, data)

    monkeypatch.setattr(spool, "write_file", fail_or_write)
    monkeypatch.setattr(stepd, "_SPACE_PAUSE_S", 0.0)
    return numbers


def test_the_result_waits_for_space(failing: list[int], tmp_path: Path) -> None:
    """The exit status of a job is not lost; what was written in part is written anew.

    Orders are read meanwhile: it is no step daemon that hangs.
    """
    failing[:] = [errno.ENOSPC, errno.EDQUOT, errno.ENOSPC]
    step_path = str(tmp_path / "0")

    with control_socket.bind(step_path) as control:
        order = control_socket.ask(step_path, EndOrder(ending=Ending.CANCEL, kill_wait_s=30.0))
        stepd.write_result(step_path, RESULT, control.fileno())

    assert order is not None
    assert order.is_read()
    order.close()
    assert msgspec.msgpack.decode((tmp_path / "0.result").read_bytes(), type=StepResult) == RESULT


@pytest.mark.parametrize(
    ("number", "patience_s"), [(errno.EIO, 60.0), (errno.ENOSPC, -1.0)], ids=["broken", "full for too long"]
)
def test_it_does_not_wait_for_ever(
    failing: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, patience_s: float
) -> None:
    monkeypatch.setattr(stepd, "_SPACE_PATIENCE_S", patience_s)
    failing[:] = [number]

    with control_socket.bind(str(tmp_path / "0")) as control, pytest.raises(OSError, match="no"):
        stepd.write_result(str(tmp_path / "0"), RESULT, control.fileno())


@pytest.mark.parametrize(("step_id", "exit"), [(0, (1, 0)), (BATCH_STEP, (0, 53))], ids=["a step", "a script"])
def test_what_could_not_be_written_has_failed(tmp_path: Path, step_id: int, exit: tuple[int, int]) -> None:
    """There is no launch record, and the reason is told all the same."""
    told: list[StepResult] = []
    own = spool.Spool(str(tmp_path))
    launcher = Launcher(own.lock)

    def on_ended(key: spool.StepKey, result: StepResult, is_own: bool) -> None:
        told.append(result)

    processes = StepProcesses(own, launcher, lambda key: None, on_ended, lambda key, found: None)

    processes.fail(spool.StepKey(7, 0, step_id), "spool '/spool': No space left on device", 5.0)

    (result,) = told
    assert (result.exit_code, result.exit_signal) == exit
    assert (result.reason, result.ended_at) == (Reason.JOB_LAUNCH_FAILURE.value, 5.0)
    assert result.reason_text == "spool '/spool': No space left on device"
