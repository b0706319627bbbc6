"""Reading the kernel's accounts, in the words of its files (Documentation/admin-guide/cgroup-v1 and cgroup-v2)."""

from __future__ import annotations

from pathlib import Path

from sluiced.cgroup.interface import GroupName, GroupUsage, MemoryBound
from sluiced.cgroup.v1_group import V1Group
from sluiced.cgroup.v2 import V2Group

NAME = GroupName("sluice_c_n1", "job_1.0", "step_0")


def _fill(folder: Path, **texts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_the_account_of_v2(tmp_path: Path) -> None:
    step = tmp_path.joinpath(*NAME)
    _fill(
        step,
        cpu__stat="usage_usec 3500000\nuser_usec 2000000\nsystem_usec 1500000\nnr_periods 0\n",
        io__stat="8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n259:0 rbytes=1 wbytes=2\n",
        memory__peak="1048576\n",
        memory__max="max\n",
        memory__events="low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\noom_group_kill 0\n",
    )
    _fill(step.parent, memory__max="2097152\n", memory__peak="2000000\n")

    group = V2Group(str(step), 3)

    assert group.usage() == GroupUsage(1048576, 2.0, 1.5, 4097, 8194)
    assert group.oom_kills() == 2
    assert group.memory_bound() == MemoryBound(2097152, 2000000)


def test_a_kernel_that_counts_less_leaves_it_open(tmp_path: Path) -> None:
    step = tmp_path.joinpath(*NAME)
    _fill(step, cpu__stat="usage_usec 3\n")

    group = V2Group(str(step), 3)

    assert group.usage() == GroupUsage()
    assert (group.oom_kills(), group.memory_bound()) == (0, None)


def test_the_account_of_v1(tmp_path: Path) -> None:
    group = V1Group(str(tmp_path), NAME, can_freeze=False)
    for controller in ("memory", "cpuacct", "blkio"):
        (tmp_path / controller).mkdir()
        group.make(controller)
    below = {name: tmp_path.joinpath(name, *NAME) for name in ("memory", "cpuacct", "blkio")}
    _fill(
        below["memory"],
        memory__limit_in_bytes="9223372036854771712\n",
        memory__max_usage_in_bytes="1048576\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
    )
    _fill(below["memory"].parent, memory__limit_in_bytes="2097152\n", memory__max_usage_in_bytes="2000000\n")
    _fill(below["cpuacct"], cpuacct__usage_user="2000000000\n", cpuacct__usage_sys="1500000000\n")
    _fill(
        below["blkio"],
        blkio__throttle__io_service_bytes_recursive="8:0 Read 4096\n8:0 Write 8192\n8:0 Total 12288\n"
        "259:0 Read 1\n259:0 Write 2\nTotal 12291\n",
    )

    assert group.usage() == GroupUsage(1048576, 2.0, 1.5, 4097, 8194)
    assert group.oom_kills() == 3
    assert group.memory_bound() == MemoryBound(2097152, 2000000)
