"""Which step a process on a GPU belongs to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from sluiced.gpu.owners import find_step, read_groups

V1 = "5:memory:/sluice_c_n1_0/job_1.0/step_1\n0::/\n"
V2 = "0::/sluice_c_n1_0/job_1.0/step_1/task_3\n"


@pytest.fixture
def grandchild() -> Iterator[int]:
    """Yield the pid of a process that a shell below this process has started."""
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        pid = int(shell.stdout.readline())
        yield pid
        subprocess.run(["kill", str(pid)], check=True)


def test_what_a_step_started_is_below_its_daemon(grandchild: int) -> None:
    parents = {10: 5, 5: 3, 3: 1}

    assert find_step(10, {3: "a"}, {}, lambda pid: parents.get(pid, 0)) == "a"
    assert find_step(10, {4: "a"}, {}, lambda pid: parents.get(pid, 0), lambda pid: "") is None


def test_the_nearest_daemon_counts() -> None:
    parents = {10: 5, 5: 3, 3: 1}

    assert find_step(10, {3: "outer", 5: "inner"}, {}, lambda pid: parents.get(pid, 0)) == "inner"


@pytest.mark.parametrize("groups", [V1, V2], ids=["v1", "v2"])
def test_what_came_to_a_step_is_in_its_group(groups: str) -> None:
    known = {"sluice_c_n1_0/job_1.0/step_1": "a"}

    assert find_step(10, {}, known, lambda pid: 1, lambda pid: groups) == "a"


def test_another_group_whose_name_begins_alike_is_another_step() -> None:
    known = {"sluice_c_n1_0/job_1.0/step_1": "a"}

    assert find_step(10, {}, known, lambda pid: 1, lambda pid: V2.replace("step_1", "step_10")) is None


def test_a_real_process_is_found_below_a_real_one(grandchild: int) -> None:
    assert find_step(grandchild, {os.getpid(): "tests"}, {}) == "tests"
    assert read_groups(grandchild) == read_groups(os.getpid())


def test_a_process_that_is_gone_is_nobodys() -> None:
    assert find_step(2**22 + 1, {1: "a"}, {"a": "a"}) is None
