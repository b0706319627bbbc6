"""Saying why: the socket of a step tells every notice to every reader, and sluice.job reads it in the job."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sluice import job
from sluice.model.states import Ending
from sluice.wire.messages import SignalJob
from sluiced.steps.notice_board import NoticeBoard
from sluiced.steps.user import load_user
from tests.nodeagent.conftest import NODE, Cluster
from tests.waiting import wait_until

_ROOT = Path(__file__).parents[2]
_REAL_TIME = signal.SIGRTMIN + 3
_ME = load_user(os.getuid(), os.getgid(), "me")

as_root = pytest.mark.skipif(os.getuid() != 0, reason="runs a job as another user, which takes root")


def _connect(path: Path | str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    return connection


def _serve(board: NoticeBoard) -> None:
    """What the step's loop does when a descriptor is ready."""
    for fd in board.poll_events():
        board.on_event(fd)


def _lines(connection: socket.socket) -> list[dict[str, object]]:
    return [json.loads(line) for line in connection.recv(65536).splitlines()]


@pytest.fixture
def make_board() -> Iterator[Callable[[Path, int], NoticeBoard]]:
    with contextlib.ExitStack() as stack:

        def make(folder: Path, restart_count: int = 0) -> NoticeBoard:
            board = NoticeBoard(str(folder / "batch.notice"), _ME, restart_count)
            stack.callback(board.close)
            return board

        yield make


MakeBoard = Callable[..., NoticeBoard]


def test_a_late_reader_is_told_what_came_before(tmp_path: Path, make_board: MakeBoard) -> None:
    board = make_board(tmp_path, 2)
    board.tell("drain", 0, 1.0, None, "disk is dying")
    reader = _connect(tmp_path / "batch.events")
    _serve(board)
    board.tell("time limit", 15, 2.0, 32.0)

    told = _lines(reader)
    reader.close()

    assert [line["reason"] for line in told] == ["drain", "time limit"]
    assert told[0] == {
        "reason": "drain",
        "signal": None,
        "sent_at": 1.0,
        "deadline_at": None,
        "restart_count": 2,
        "text": "disk is dying",
        "limit_at": None,
    }


def test_a_reader_that_does_not_read_is_let_go(tmp_path: Path, make_board: MakeBoard) -> None:
    """The others are told everything all the same."""
    board = make_board(tmp_path)
    deaf, reader = _connect(tmp_path / "batch.events"), _connect(tmp_path / "batch.events")
    _serve(board)
    _serve(board)
    assert len(board.poll_events()) == 3

    told = 0
    while len(board.poll_events()) == 3:
        board.tell("signal", 10, float(told), None, "x" * 5000)
        told += len(_lines(reader))

    board.tell("cancel", 15, 0.0, None)
    assert _lines(reader)[-1]["reason"] == "cancel"
    deaf.close()
    reader.close()


def test_a_board_with_a_very_long_name_is_found(
    tmp_path: Path, make_board: MakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("a" * 120)
    folder.mkdir()
    board = make_board(folder)
    monkeypatch.setenv("SLUICE_NOTICE_SOCKET", str(folder / "batch.events"))
    board.tell("cancel", 15, 1.0, 2.0)
    stream = job.notices()
    _accept_soon(board)

    assert next(stream).reason == "cancel"
    stream.close()


def _accept_soon(board: NoticeBoard) -> None:
    """Serve until a reader has come; the generator connects at its first step."""

    def serve() -> None:
        wait_until(lambda: _serve(board) or len(board.poll_events()) > 1)

    threading.Thread(target=serve, daemon=True).start()


# In jobs.


@pytest.mark.system
def test_every_reader_in_a_job_is_told_before_the_signal(cluster: Cluster) -> None:
    """Two readers wait; TERM comes when both could have read."""
    program = """
        import signal, sys
        from sluice import job
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stream = job.notices()
        print("ready", flush=True)
        notice = next(stream)
        wait_s = round(notice.deadline_at - notice.sent_at)
        print(notice.reason, notice.signal, notice.restart_count, wait_s, notice.text)
    """
    job_id = _submit_python(cluster, program, copies=2)
    _wait_ready(cluster, job_id, 2)

    cluster.end(job_id, Ending.PREEMPTION, kill_wait_s=30)

    cluster.result(job_id)
    for copy in range(2):
        assert cluster.read(f"said.{copy}") == "ready\npreemption 15 0 30 \n"


@pytest.mark.system
def test_a_program_waits_for_a_notice_with_a_timeout(cluster: Cluster) -> None:
    """Without notice the wait ends with nothing; then each is given once, and a callback hears the same."""
    program = """
        from sluice import job
        heard = []
        print(job.wait_for_notice(0), job.reason(), flush=True)
        thread = job.on_notice(heard.append)
        print("ready", flush=True)
        notice = job.wait_for_notice(60)
        print(notice.reason, notice.deadline_at, notice.text, job.deadline(), job.reason())
        print(job.wait_for_notice(0))
        while not heard:
            thread.join(0.01)
        print(heard == [notice])
    """
    job_id = _submit_python(cluster, program)
    _wait_ready(cluster, job_id, 1)

    order = SignalJob(
        node=NODE,
        epoch=1,
        job_id=job_id,
        attempt=0,
        signal=0,
        to_batch=True,
        full=True,
        reason="drain",
        deadline_at=4102444800.0,
        text="new kernel",
    )
    cluster.controller.order(signals=(order,))

    assert cluster.result(job_id).exit_code == 0
    told = "drain 4102444800.0 new kernel 4102444800.0 drain"
    assert cluster.read("said.0") == f"None None\nready\n{told}\nNone\nTrue\n"


@as_root
@pytest.mark.system
def test_notices_are_the_users_own(cluster: Cluster) -> None:
    """The job's user may connect and read the file, another one may do neither."""
    cluster.work.chmod(0o777)
    job_id = cluster.submit("echo $SLUICE_NOTICE_SOCKET > name; echo $$ > pid; sleep 300", uid=65534, gid=65534)
    wait_until(lambda: (cluster.work / "pid").exists() and (cluster.work / "pid").read_text())
    path = (cluster.work / "name").read_text().strip()
    probe = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"

    assert _python(probe, uid=65534) == 0
    assert _python(probe, uid=1) != 0

    cluster.end(job_id)
    cluster.result(job_id)


def test_outside_of_a_job_nothing_is_known_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLUICE_NOTICE_FILE", "SLUICE_NOTICE_SOCKET", "SLURM_JOB_END_TIME", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    assert (job.wait_for_notice(), job.reason(), job.deadline(), job.restart_count()) == (None, None, None, 0)
    assert list(job.notices()) == []


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGUSR1, _REAL_TIME], ids=["USR1", "a real-time signal"])
def test_a_users_signal_is_announced(cluster: Cluster, number: int) -> None:
    program = f"""
        import signal, sys
        from sluice import job
        def handle(*_):
            notice = job.last_notice()
            print(notice.reason, notice.signal == {int(number)}, notice.deadline_at, flush=True)
            sys.exit(0)
        signal.signal({int(number)}, handle)
        print("ready", flush=True)
        while True:
            signal.pause()
    """
    job_id = _submit_python(cluster, program)
    _wait_ready(cluster, job_id, 1)

    order = SignalJob(node=NODE, epoch=1, job_id=job_id, attempt=0, signal=int(number), to_batch=True, full=True)
    cluster.controller.order(signals=(order,))

    cluster.result(job_id)
    assert cluster.read("said.0") == "ready\nsignal True None\n"


def _submit_python(cluster: Cluster, program: str, copies: int = 1) -> int:
    (cluster.work / "program.py").write_text(textwrap.dedent(program))
    starts = "\n".join(f"{sys.executable} program.py > said.{copy} &" for copy in range(copies))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT)}
    # The shell that waits is meant by every signal of the tests as well, and its end would be the job's.
    ignored = f"trap '' TERM USR1 {_REAL_TIME:d}"
    return cluster.submit(f"{ignored}\n{starts}\nwait", environment=environment)


def _wait_ready(cluster: Cluster, job_id: int, copies: int) -> None:
    files = [cluster.work / f"said.{copy}" for copy in range(copies)]
    wait_until(lambda: all(file.exists() and "ready" in file.read_text() for file in files), 20)


def _python(program: str, uid: int) -> int:
    return subprocess.run(
        ["/usr/bin/python3", "-c", program], user=uid, group=uid, capture_output=True, check=False
    ).returncode
