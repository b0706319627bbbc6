"""The driver for cgroup v1 on the machine's own hierarchies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sluice.model.confinement import CgroupSettings
from sluiced.cgroup import detect, devices
from sluiced.cgroup.devices import DeviceFence, DeviceRule
from sluiced.cgroup.interface import GroupName, MemoryBound, Wants
from sluiced.cgroup.limits import Limits
from sluiced.cgroup.v1 import CONTROLLERS, V1Tree

_TREE = detect.find_tree(CgroupSettings())
_WHY_NOT = next(iter(_TREE.gaps().values()), "the machine has cgroup v2") if not isinstance(_TREE, V1Tree) else ""

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(_WHY_NOT), reason=f"needs root and cgroup v1: {_WHY_NOT}")]

MOUNT = Path("/sys/fs/cgroup")
NAME = GroupName(f"sluice_driver{os.getpid()}_n1", "job_1.0", "step_0")
MIB = 1024 * 1024


@pytest.fixture
def tree() -> Iterator[V1Tree]:
    made = V1Tree(str(MOUNT))
    yield made
    made.kill_job(NAME.node, NAME.job)
    assert [path for name in CONTROLLERS if (path := MOUNT / name / NAME.node).exists()] == []


def _run(enter: Callable[[], None], code: str) -> str:
    """Return what Python running *code* says, the process having entered a group first."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], preexec_fn=enter, text=True, capture_output=True, check=False
    )
    return done.stdout.strip()


def _read(controller: str, folder: GroupName | tuple[str, ...], *names: str) -> list[str]:
    return [(MOUNT.joinpath(controller, *folder) / name).read_text().strip() for name in names]


def test_limits_are_in_the_kernels_files(tree: V1Tree) -> None:
    job = Limits(64 * MIB, 96 * MIB, cpus="0", processes=40)
    step = Limits(32 * MIB, 32 * MIB, cpus="0")

    group = tree.make_step(NAME, Wants(job, step, swappiness=0))

    memory = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    assert _read("memory", NAME[:2], *memory) == [str(64 * MIB), str(96 * MIB)]
    assert _read("memory", NAME, *memory, "memory.swappiness") == [str(32 * MIB), str(32 * MIB), "0"]
    assert [_read("cpuset", name, "cpuset.cpus") for name in (NAME[:2], NAME)] == [["0"], ["0"]]
    assert [_read("pids", name, "pids.max") for name in (NAME[:2], NAME)] == [["40"], ["max"]]
    assert group.problem == ""
    assert group.memory_bound() == MemoryBound(32 * MIB, 0)
    group.remove()


def test_a_step_that_is_not_constrained_has_no_group(tree: V1Tree) -> None:
    group = tree.make_step(NAME, Wants())

    assert not group.holds_all
    assert not any((MOUNT / name / NAME.node).exists() for name in CONTROLLERS)


def test_a_step_that_asked_for_less_than_its_job_is_killed_alone(tree: V1Tree) -> None:
    job, step = Limits(512 * MIB, 512 * MIB), Limits(32 * MIB, 32 * MIB)
    small = tree.make_step(NAME, Wants(job, step))
    large = tree.make_step(NAME._replace(step="step_1"), Wants(job))

    for group, said in ((small, ""), (large, "held")):
        assert _run(group.entry().enter, "x = bytearray(64 << 20); print('held')") == said

    assert (small.oom_kills(), large.oom_kills()) == (1, 0)
    small.remove()
    large.remove()


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
        pytest.param(DeviceFence((DeviceRule("c", 1, 5, "w"),), False), "null zero full kmsg", id="shut for writing"),
        pytest.param(DeviceFence((DeviceRule("b", 1, 5),), False), "null zero full kmsg", id="another kind is shut"),
    ],
)
def test_a_fence_lets_through_what_it_says(tree: V1Tree, fence: DeviceFence | None, opened: str) -> None:
    group = tree.make_step(NAME, Wants(fence=fence))

    assert _run(group.entry().enter, OPEN_ALL) == opened
    assert group.problem == ""
    group.remove()


def test_a_tasks_fence_stands_inside_its_steps(tree: V1Tree) -> None:
    """Both must allow: what the step may not, the task cannot; what the task may not, its neighbour can."""
    group = tree.make_step(NAME, Wants(fence=DeviceFence((DeviceRule("c", 1, 11),), False)))
    fenced = group.task_entry(0, DeviceFence((DeviceRule("c", 1, 5),), False))
    free = group.entry()

    assert _run(fenced.enter, OPEN_ALL) == "null full"
    assert _run(free.enter, OPEN_ALL) == "null zero full"
    group.remove()


def test_what_is_read_and_written_is_counted(tree: V1Tree, tmp_path: Path) -> None:
    group = tree.make_step(NAME, Wants(is_accounted=True))

    # What is written back later is nobody's in v1.
    code = (
        f"import mmap, os; f = os.open({str(tmp_path / 'file')!r}, os.O_CREAT | os.O_WRONLY | os.O_DIRECT)\n"
        "os.write(f, mmap.mmap(-1, 4 << 20))"
    )
    _run(group.entry().enter, code)

    usage = group.usage()
    if usage.written_bytes == 0:
        # Since Linux 6.10 it counts only where some group is throttled.
        pytest.skip("this kernel keeps no account of disks in v1")
    assert usage.written_bytes is not None
    assert usage.written_bytes >= 4 * MIB
    group.remove()


def test_steps_that_come_while_others_go_find_their_groups(tree: V1Tree) -> None:
    """The last step of a job takes the job's group along; a new one makes it again, whenever that happens."""
    code = f"""
from sluiced.cgroup.interface import GroupName, Wants
from sluiced.cgroup.limits import Limits
from sluiced.cgroup.v1 import V1Tree
import sys
for number in range(100):
    name = GroupName({NAME.node!r}, "job_1.0", "step_" + sys.argv[1])
    group = V1Tree("/sys/fs/cgroup").make_step(name, Wants(Limits(64 << 20, cpus="0"), Limits(cpus="0")))
    assert not group.problem, group.problem
    group.remove()
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    racers = [subprocess.Popen([sys.executable, "-c", code, str(number)], env=environment) for number in range(3)]

    assert [racer.wait() for racer in racers] == [0, 0, 0]
