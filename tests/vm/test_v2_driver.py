"""The driver for cgroup v2 on a kernel's own hierarchy: limits, fences, and the place where the tree may grow."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from sluiced.cgroup import bpf, devices
from sluiced.cgroup.bpf_program import assemble, encode
from sluiced.cgroup.devices import DeviceFence, DeviceRule
from sluiced.cgroup.interface import GroupName, MemoryBound, Wants
from sluiced.cgroup.limits import Limits
from sluiced.cgroup.v2 import V2Tree

MOUNT = Path("/sys/fs/cgroup")
NAME = GroupName("sluice_t_n1", "job_1.0", "step_0")
MIB = 1024 * 1024
NOBODY = 65534


@pytest.fixture
def tree() -> V2Tree:
    made = V2Tree(str(MOUNT))
    made.prepare()
    return made


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give an empty group of the test's own, whose children may have every controller."""
    (MOUNT / "cgroup.subtree_control").write_text("+memory +pids +cpuset +io")
    made = MOUNT / "test"
    made.mkdir()
    yield made
    (made / "cgroup.kill").write_text("1")
    for below, _, _ in os.walk(made, topdown=False):
        _remove(Path(below))


def _remove(group: Path) -> None:
    while "populated 1" in (group / "cgroup.events").read_text():
        pass
    group.rmdir()


def _run(enter: Callable[[], None], code: str, uid: int | None = None) -> str:
    """Return what Python running *code* says in a process that has entered a group first."""
    return _wait(*_start(enter, code, uid))


def _start(enter: Callable[[], None], code: str, uid: int | None = None) -> tuple[int, int]:
    """Return a forked process and what to read from it; a new interpreter would take an emulated processor seconds."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # The shared agent's controller has a thread, which nothing in the child needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _run_here(writer, enter, code, uid)
    os.close(writer)
    return pid, reader


def _wait(pid: int, reader: int) -> str:
    with open(reader) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said.strip()


def _run_here(writer: int, enter: Callable[[], None], code: str, uid: int | None) -> NoReturn:
    try:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        with open(writer, "w") as sys.stdout:
            enter()
            if uid is not None:
                os.setgid(uid)
                os.setuid(uid)
            exec(code, {})
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(0)


def _into(group: Path) -> Callable[[], None]:
    def enter() -> None:
        (group / "cgroup.procs").write_text("0")

    return enter


def _read(group: Path, *names: str) -> list[str]:
    return [(group / name).read_text().strip() for name in names]


def test_limits_are_in_the_kernels_files(tree: V2Tree) -> None:
    job = Limits(64 * MIB, 96 * MIB, cpus="0-1", processes=40)
    step = Limits(32 * MIB, 32 * MIB, cpus="1")

    group = tree.make_step(NAME, Wants(job, step))

    files = ("memory.max", "memory.swap.max", "cpuset.cpus", "pids.max")
    folder = MOUNT.joinpath(*NAME)
    assert _read(folder.parent, *files) == [str(64 * MIB), str(32 * MIB), "0-1", "40"]
    assert _read(folder, *files) == [str(32 * MIB), "0", "1", "max"]
    assert group.problem == ""
    assert group.memory_bound() == MemoryBound(32 * MIB, 0)
    group.remove()
    assert not (MOUNT / NAME.node).exists()


def test_a_step_that_asked_for_less_than_its_job_is_killed_alone(tree: V2Tree) -> None:
    job, step = Limits(512 * MIB, 512 * MIB), Limits(32 * MIB, 32 * MIB)
    small = tree.make_step(NAME, Wants(job, step))
    large = tree.make_step(NAME._replace(step="step_1"), Wants(job))

    for group, said in ((small, ""), (large, "held")):
        assert _run(group.entry().enter, "x = bytearray(64 << 20); print('held')") == said

    assert (small.oom_kills(), large.oom_kills()) == (1, 0)
    for group in (small, large):
        group.remove()
    assert not (MOUNT / NAME.node).exists()


OPEN_ALL = """
for name in ("null", "zero", "full", "kmsg"):
    try:
        open("/dev/" + name, "rb").close()
        print(name, end=" ")
    except PermissionError:
        pass
"""


@pytest.mark.parametrize(
    ("fence", "opened"),
    [
        pytest.param(None, "null zero full kmsg", id="no fence"),
        pytest.param(devices.closed_fence([]), "null zero full", id="closed"),
        pytest.param(devices.closed_fence(["/dev/kmsg"]), "null zero full kmsg", id="closed but for one"),
        pytest.param(DeviceFence((DeviceRule("c", 1, 5),), False), "null full kmsg", id="open but for one"),
        pytest.param(DeviceFence((DeviceRule("c", 1),), False), "", id="a whole major number is shut"),
        pytest.param(DeviceFence((DeviceRule("c", 1, 5, "w"),), False), "null zero full kmsg", id="shut for writing"),
        pytest.param(DeviceFence((DeviceRule("b", 1, 5),), False), "null zero full kmsg", id="another kind is shut"),
    ],
)
def test_a_fence_lets_through_what_it_says(tree: V2Tree, fence: DeviceFence | None, opened: str) -> None:
    group = tree.make_step(NAME, Wants(fence=fence))

    assert _run(group.entry().enter, OPEN_ALL) == opened
    assert group.problem == ""
    group.remove()


def test_a_tasks_fence_stands_inside_its_steps(tree: V2Tree) -> None:
    """Both must allow: what the step may not, the task cannot; what the task may not, its neighbour can."""
    step = DeviceFence((DeviceRule("c", 1, 11),), False)
    group = tree.make_step(NAME, Wants(fence=step))
    fenced = group.task_entry(0, DeviceFence((DeviceRule("c", 1, 5),), False))
    free = group.entry()

    assert _run(fenced.enter, OPEN_ALL) == "null full"
    assert _run(free.enter, OPEN_ALL) == "null zero full"
    group.remove()
    assert not (MOUNT / NAME.node).exists()


BORN = """
import os, signal, sys
from sluiced.steps.fork import fork_into
folder = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
pid, is_inside = fork_into(folder)
if pid == 0:
    assert is_inside
    assert open("/proc/self/cgroup").read().endswith("/test\\n")
    # The C library sends it to the thread whose id it remembers.
    signal.raise_signal(signal.SIGUSR1)
    os._exit(1)
print(os.waitpid(pid, 0)[1] == signal.SIGUSR1)
"""


def test_a_child_is_born_in_a_group_and_knows_its_own_thread(folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", BORN, str(folder)], env=environment, text=True, capture_output=True, check=False
    )

    assert (done.stdout, done.stderr) == ("True\n", "")


def test_the_verifier_takes_every_program() -> None:
    rng = random.Random(7)
    for count in (0, 1, 2, 5, 20, 200):
        for is_closed in (False, True):
            rules = tuple(
                DeviceRule(
                    rng.choice("bc"),
                    rng.randrange(4096),
                    rng.choice((None, rng.randrange(1 << 20))),
                    "".join(rng.sample("rwm", rng.randint(1, 3))),
                )
                for _ in range(count)
            )
            os.close(bpf.load(encode(assemble(DeviceFence(rules, is_closed)))))


def test_a_program_that_is_none_is_refused_with_the_verifiers_words() -> None:
    with pytest.raises(OSError, match=r"unreachable|exit|insn|R0"):
        bpf.load(b"\0" * 8)


# Where the tree grows.

PREPARE = """
from sluiced.cgroup import bpf
from sluiced.cgroup.interface import GroupName, Wants
from sluiced.cgroup.limits import Limits
from sluiced.cgroup.v2 import V2Tree
bpf.why_not.cache_clear()
try:
    V2Tree("/sys/fs/cgroup").prepare()
    tree = V2Tree("/sys/fs/cgroup")
    print(tree.gaps())
    group = tree.make_step(GroupName("sluice_t_n1", "job_1.0", "step_0"), Wants(Limits(64 << 20, processes=5)))
    print(group.problem, open("/proc/self/cgroup").read().strip())
except OSError as error:
    print(error)
"""


def _delegate(folder: Path, uid: int) -> None:
    for path in (folder, *(folder / name for name in ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads"))):
        os.chown(path, uid, uid)


def _job_limits(folder: Path) -> list[str]:
    return _read(folder / "sluice_t_n1" / "job_1.0", "memory.max", "pids.max")


def test_a_user_with_a_delegated_group_limits_his_own_jobs(folder: Path) -> None:
    _delegate(folder, NOBODY)

    said = _run(_into(folder), PREPARE, NOBODY)

    # Device programs are for the privileged.
    assert said == "{'devices': 'bpf: Operation not permitted'}\n 0::/test/sluice_agent"
    assert _job_limits(folder) == [str(64 * MIB), "5"]


def test_a_user_without_one_is_told_so(folder: Path) -> None:
    said = _run(_into(folder), PREPARE, NOBODY)

    assert "not permitted (the agent does not run as root, and /test is not delegated to it)" in said


def test_what_the_kernel_does_not_enable_is_told_with_its_reason(folder: Path) -> None:
    _delegate(folder, NOBODY)
    stranger = subprocess.Popen(["sleep", "300"], preexec_fn=_into(folder))

    said = _run(_into(folder), PREPARE, NOBODY)

    # He may not say on which CPUs another user's process runs.
    assert "the cpuset controller cannot be enabled in /sys/fs/cgroup/test: Operation not permitted" in said
    assert _job_limits(folder) == [str(64 * MIB), "5"]
    stranger.kill()
    stranger.wait()


def test_an_agent_that_was_started_in_a_group_of_its_own_grows_the_tree_beside_it(folder: Path) -> None:
    """As systemd does with Delegate=yes and DelegateSubgroup=sluice_agent."""
    (folder / "sluice_agent").mkdir()

    said = _run(_into(folder / "sluice_agent"), PREPARE)

    assert said == "{}\n 0::/test/sluice_agent"
    assert _job_limits(folder) == [str(64 * MIB), "5"]


def test_ignoring_systemd_the_tree_grows_at_the_top(folder: Path) -> None:
    (folder / "sluice_agent").mkdir()
    code = PREPARE.replace('V2Tree("/sys/fs/cgroup")', 'V2Tree("/sys/fs/cgroup", ignores_delegation=True)')

    _run(_into(folder / "sluice_agent"), code)

    assert _job_limits(MOUNT) == [str(64 * MIB), "5"]
    V2Tree(str(MOUNT), True).kill_job("sluice_t_n1", "job_1.0")
    assert not (MOUNT / "sluice_t_n1").exists()


CONTAINER = """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWCGROUP, MS_REC, MS_PRIVATE = 0x20000, 0x2000000, 0x4000, 1 << 18
assert libc.unshare(CLONE_NEWNS | CLONE_NEWCGROUP) == 0
assert libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
assert libc.umount(b"/sys/fs/cgroup") == 0
assert libc.mount(b"cgroup2", b"/sys/fs/cgroup", b"cgroup2", 0, None) == 0
sleeper = subprocess.Popen(["sleep", "300"])
"""


def test_in_a_container_everything_moves_aside(folder: Path) -> None:
    said = _run(_into(folder), CONTAINER + PREPARE + "sleeper.kill(); sleeper.wait()")

    assert said == "{}\n 0::/sluice_agent"
    assert _job_limits(folder) == [str(64 * MIB), "5"]


def test_a_controller_that_is_missing_is_told_and_the_others_work(folder: Path) -> None:
    (folder / "cgroup.subtree_control").write_text("+pids +cpuset")
    inner = folder / "inner"
    (inner / "sluice_agent").mkdir(parents=True)

    said = _run(_into(inner / "sluice_agent"), PREPARE)

    gaps, _, rest = said.partition("\n")
    assert gaps == "{'memory': 'no memory controller in /sys/fs/cgroup/test/inner'}"
    assert "ConstrainRAMSpace" in rest
    assert "writing '67108864'" in rest
    assert _read(inner / "sluice_t_n1" / "job_1.0", "pids.max") == ["5"]


def test_controllers_are_enabled_from_the_top_where_the_site_wants_it(folder: Path) -> None:
    inner = folder / "inner"
    (inner / "sluice_agent").mkdir(parents=True)
    code = PREPARE.replace('V2Tree("/sys/fs/cgroup").pre', 'V2Tree("/sys/fs/cgroup", enables_above=True).pre')

    said = _run(_into(inner / "sluice_agent"), code)

    assert said == "{}\n 0::/test/inner/sluice_agent"
    assert _job_limits(inner) == [str(64 * MIB), "5"]


RACE = """
from sluiced.cgroup.interface import GroupName, Wants
from sluiced.cgroup.limits import Limits
from sluiced.cgroup.v2 import V2Tree
for number in range(100):
    group = V2Tree("/sys/fs/cgroup").make_step(GroupName("sluice_t_n1", "job_1.0", STEP), Wants(Limits(64 << 20)))
    assert not group.problem, group.problem
    group.remove()
print("done")
"""


def test_steps_that_come_while_others_go_find_their_groups(tree: V2Tree) -> None:
    """The last step of a job takes the job's group along; a new one makes it again, whenever that happens."""
    racers = [_start(lambda: None, RACE.replace("STEP", f"'step_{number}'")) for number in range(3)]

    assert [_wait(*racer) for racer in racers] == ["done"] * 3
    assert not (MOUNT / NAME.node).exists()
