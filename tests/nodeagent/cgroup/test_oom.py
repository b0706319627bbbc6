"""Reading the kernel's log for the victim, and the line that users see."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiced.cgroup.interface import GroupName, MemoryBound
from sluiced.cgroup.oom import Victim, find_victim, oom_text

NAME = GroupName("sluice_c_n1", "job_7.0", "step_batch")
MIB = 1024 * 1024


def _kill(group: str, command: str = "python3", pid: int = 25155) -> list[str]:
    return [
        f"6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/x,"
        f"task_memcg={group},task={command},pid={pid},uid=0",
        "6,2,3,-;[  25155]     0 25155    77385    27164",
        f"3,4,5,-;Memory cgroup out of memory: Killed process {pid} ({command}) total-vm:309540kB, "
        "anon-rss:102016kB, file-rss:6640kB, shmem-rss:0kB, UID:0 pgtables:252kB oom_score_adj:0",
    ]


@pytest.mark.parametrize(
    ("records", "victim"),
    [
        pytest.param(_kill(f"/{NAME}"), Victim("python3", 25155, 102016), id="in the step's group"),
        pytest.param(_kill(f"/docker/ab/{NAME}"), Victim("python3", 25155, 102016), id="below a container's"),
        pytest.param(_kill(f"/{NAME}/task_3"), Victim("python3", 25155, 102016), id="in a task's group"),
        pytest.param(_kill(f"/{NAME}")[:1], Victim("python3", 25155), id="its size was not told"),
        pytest.param(_kill(f"/{NAME}", "a,b=c, d"), Victim("a,b=c, d", 25155, 102016), id="a name like a list"),
        pytest.param(_kill(f"/{NAME}0"), None, id="another step's"),
        pytest.param(_kill(f"/{NAME}", pid=1) + _kill(f"/{NAME}", pid=2), Victim("python3", 2, 102016), id="the last"),
        pytest.param(
            _kill(f"/{NAME}", pid=1) + [each.replace("102016", "14336") for each in _kill(f"/{NAME}", pid=2)],
            Victim("python3", 1, 102016),
            id="the largest",
        ),
        pytest.param([], None, id="an empty log"),
    ],
)
def test_the_victim_is_found(records: list[str], victim: Victim | None) -> None:
    assert find_victim(records, NAME) == victim


@given(st.lists(st.text()))
def test_no_log_makes_it_fail(records: list[str]) -> None:
    """find_victim(anything) is None, or somebody in the step's group"""
    assert find_victim(records, NAME) is None


@pytest.mark.parametrize(
    ("bound", "victim", "text"),
    [
        pytest.param(
            MemoryBound(100 * MIB, 99 * MIB),
            Victim("python3", 12, 100_000),
            "out of memory on n1: limit 100 MiB, peak 99 MiB; killed python3 (pid 12, 97 MiB); try --mem=150M or more",
            id="all is known",
        ),
        pytest.param(
            MemoryBound(100 * MIB, None),
            None,
            "out of memory on n1: limit 100 MiB; try --mem=150M or more",
            id="a log that may not be read, a kernel that keeps no peak",
        ),
        pytest.param(None, Victim("a", 1), "out of memory on n1; killed a (pid 1)", id="the machine's own memory"),
    ],
)
def test_the_story_names_what_is_known(bound: MemoryBound | None, victim: Victim | None, text: str) -> None:
    assert oom_text("n1", bound, victim) == text
