"""A task that is started without a copy of the step daemon is what it is after a fork, to the last descriptor."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sluiced.binding.plan import TaskBinding
from sluiced.cgroup.interface import Entry, NoGroup
from sluiced.native.library import lib
from sluiced.steps.fork import fork
from sluiced.steps.spawn import spawn
from sluiced.steps.task import TaskPlan, run_task
from sluiced.steps.task_hooks import TaskHooks
from sluiced.steps.tasks import Tasks
from sluiced.steps.user import User, load_user

pytestmark = [
    pytest.mark.skipif(lib is None, reason="native/spawn.c is not compiled here"),
    pytest.mark.skipif(os.uname().machine not in ("x86_64", "aarch64"), reason="spawn.c knows two machines"),
]
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")

_TOLD = (
    "grep -E '^(SigBlk|SigIgn|SigPnd|Uid|Gid|Groups|Umask|Cpus_allowed|CapEff|Seccomp|NoNewPrivs)' /proc/self/status;"
    "ulimit -aH; ulimit -aS; pwd; env | sort; echo $0 $#; readlink /proc/$$/exe; nice; ls /proc/$$/fd;"
    "cut -d' ' -f4,5,7,8 /proc/$$/stat; [ $SLURM_TASK_PID = $$ ] && echo pid"
)


def _me() -> User:
    return load_user(os.geteuid(), os.getegid(), "me")


def _plan(folder: Path, out: int, **fields: Any) -> TaskPlan:
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    values: dict[str, Any] = {
        "rank": 0,
        "local_id": 0,
        "argv": ("sh", "-c", _TOLD),
        "environment": {"PATH": "/nowhere:/usr/bin:/bin", "WORD": "ä=\udcff b"},
        "descriptors": (null, out, out),
        "work_dir": str(folder),
        "fallback_dir": "/tmp",
        "umask": 0o022,
        "rlimits": (),
        "user": _me(),
        "node": "n1",
    }
    return TaskPlan(**values | fields)


def _forked(plan: TaskPlan) -> int:
    pid = fork()
    if pid == 0:
        run_task(plan, None)
    return pid


def _said(folder: Path, start: Any, **fields: Any) -> tuple[str, int]:
    """Return what the task wrote, and its status; numbers of process groups that are its own are told as OWN."""
    path = folder / "out"
    out = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    plan = _plan(folder, out, **fields)
    pid = start(plan)
    assert pid, "it was not started"
    status = os.waitpid(pid, 0)[1]
    os.close(out)
    os.close(plan.descriptors[0])
    return re.sub(rf"\b{pid}\b", "OWN", path.read_text(errors="surrogateescape")), status


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give a folder that everybody may use, by way of a link."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir(mode=0o777)
    real.chmod(0o777)
    link.symlink_to(real)
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.owner() == tmp_path.owner() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    return link


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="as it comes"),
        pytest.param({"umask": 0o077, "nice": 5}, id="with a umask and a nice value"),
        pytest.param(
            {"rlimits": (("NOFILE", 64, 128), ("CORE", 0, 0), ("STACK", -1, -1), ("NONE", 1, 1))}, id="with limits"
        ),
        pytest.param({"binding": TaskBinding(mask=min(os.sched_getaffinity(0)) + 1)}, id="on one CPU"),
        pytest.param(
            {"user": User(65534, 65534, "nobody", (65534, 7), "/", "/bin/sh")}, id="as another", marks=as_root
        ),
        pytest.param({"argv": ("/bin/sh", "-c", _TOLD, "name", "more")}, id="by its path"),
    ],
)
def test_it_is_what_a_forked_one_is(place: Path, fields: dict[str, Any]) -> None:
    # Neither handlers of the step daemon nor what it has blocked may go along.
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
    try:
        told = _said(place, lambda plan: spawn(plan, Entry()), **fields)
        forked = _said(place, _forked, **fields)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
        signal.signal(signal.SIGUSR1, before)

    assert "pid\n" in told[0]
    assert told[0].splitlines() == forked[0].splitlines()
    assert told[1] == forked[1] == 0


def test_more_descriptors_become_the_next_numbers(place: Path) -> None:
    reader, writer = os.pipe()
    try:
        said, _ = _said(
            place,
            lambda plan: spawn(plan, Entry()),
            argv=("sh", "-c", "echo four >&4; ls /proc/$$/fd"),
            inherited=(reader, writer),
        )
        assert os.read(reader, 100) == b"four\n"
    finally:
        os.close(reader)
        os.close(writer)
    assert said.split() == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"argv": ("no-such-program",)}, id="a program that is not there"),
        pytest.param({"argv": ("/etc/passwd",)}, id="one that may not be executed"),
        pytest.param({"work_dir": "/nowhere"}, id="a folder that is not there"),
        pytest.param({"environment": {"PATH": "bin:/bin"}}, id="a search in the task's own folder"),
        pytest.param({"hooks": TaskHooks(prologs=(("TaskProlog", "/bin/true"),))}, id="a prolog"),
        pytest.param({"binding": TaskBinding(notes=("a line",))}, id="something to be told"),
        pytest.param({"environment": {"PATH": "/bin", "A": "b\0c"}}, id="a variable that is none"),
        pytest.param({"argv": ("sh", "-c", "true\0")}, id="a word that is none"),
        pytest.param({"has_terminal": True}, id="a terminal"),
        pytest.param({"namespace": 0}, id="a namespace that is none"),
    ],
)
def test_what_needs_words_is_left_to_the_fork(place: Path, fields: dict[str, Any]) -> None:
    before = _children()
    out = os.open(place / "out", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    plan = _plan(place, out, **fields)

    assert spawn(plan, Entry()) is None

    assert (place / "out").read_bytes() == b""
    os.close(out)
    os.close(plan.descriptors[0])
    assert _children() == before


def _children() -> str:
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()


def test_a_group_that_cannot_be_entered_is_no_start(place: Path) -> None:
    out = os.open(place / "out", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    plan = _plan(place, out)

    assert spawn(plan, Entry(("/nowhere/cgroup.procs",))) is None

    os.close(out)
    os.close(plan.descriptors[0])


def test_one_that_does_not_get_to_its_program_is_left_to_the_fork(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that nobody reads stands for a file system that does not answer."""
    monkeypatch.setattr("sluiced.steps.spawn.PATIENCE_MS", 50)
    os.mkfifo(place / "fifo")
    out = os.open(place / "out", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    plan = _plan(place, out)
    before = _children()

    assert spawn(plan, Entry((str(place / "fifo"),))) is None

    assert _children() == before
    os.close(out)
    os.close(plan.descriptors[0])


def test_only_the_first_late_task_of_a_step_makes_its_daemon_wait(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is done for the step meanwhile: with a file system that stands still that would add up."""
    tried = []

    def count(plan: TaskPlan, entry: Entry) -> int | None:
        tried.append(plan.rank)
        return spawn(plan, entry)

    monkeypatch.setattr("sluiced.steps.spawn.PATIENCE_MS", 50)
    monkeypatch.setattr("sluiced.steps.tasks.spawn", count)
    os.mkfifo(place / "fifo")
    out = os.open(place / "out", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    plans = [_plan(place, out, rank=rank, local_id=rank) for rank in range(3)]
    tasks = Tasks(None, None, _Slow(str(place / "fifo")))  # type: ignore[arg-type]

    tasks.fork(SimpleNamespace(files={}, plans=plans))  # type: ignore[arg-type]

    assert (tried, len(tasks.ranks)) == ([0], 3)
    for pid in tasks.ranks:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(out)
    for plan in plans:
        os.close(plan.descriptors[0])


class _Slow(NoGroup):
    """A group that is not entered until somebody reads a pipe, and nobody does."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def entry(self) -> Entry:
        return Entry((self._path,))


def test_a_program_outlives_the_patience_for_its_start(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluiced.steps.spawn.PATIENCE_MS", 50)

    assert _said(place, lambda plan: spawn(plan, Entry()), argv=("sh", "-c", "sleep 0.3; echo on")) == ("on\n", 0)


def test_the_group_is_entered_before_the_program_runs(place: Path) -> None:
    """A plain file stands for the control file; it holds what the kernel would be told."""
    control = place / "cgroup.procs"
    control.touch()

    _, status = _said(place, lambda plan: spawn(plan, Entry((str(control),))), argv=("test", "-s", str(control)))

    assert status == 0
    assert control.read_text() == "0"
