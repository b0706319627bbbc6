"""The disk of a node's spool is full when a step ends."""

import errno
from pathlib import Path

import msgspec
import pytest

from sluice.wire.messages import StepResult
from sluiced import spool
from sluiced.steps import stepd

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
    """The exit status of a job is not lost; what was written in part is written anew."""
    failing[:] = [errno.ENOSPC, errno.EDQUOT, errno.ENOSPC]

    stepd.write_result(str(tmp_path / "0"), RESULT)

    assert msgspec.msgpack.decode((tmp_path / "0.result").read_bytes(), type=StepResult) == RESULT


@pytest.mark.parametrize(
    ("number", "patience_s"), [(errno.EIO, 60.0), (errno.ENOSPC, -1.0)], ids=["broken", "full for too long"]
)
def test_it_does_not_wait_for_ever(
    failing: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, patience_s: float
) -> None:
    monkeypatch.setattr(stepd, "_SPACE_PATIENCE_S", patience_s)
    failing[:] = [number]

    with pytest.raises(OSError, match="no"):
        stepd.write_result(str(tmp_path / "0"), RESULT)
