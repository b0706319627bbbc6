"""What a task runs: programs by rank, and the prologs and epilogs around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from sluiced.steps.multi_prog import program_of
from tests.nodeagent.conftest import CONFIG, Cluster
from tests.nodeagent.fake_srun import Srun

_FILE = """# a comment
0 echo %t %o zero
1-2 echo t%t o%o 'a  b' a\\ b "c d"
* sh -c true %x%to
"""


@pytest.mark.parametrize(
    ("rank", "expected"),
    [
        pytest.param(0, ("echo", "0", "0", "zero"), id="a number"),
        pytest.param(2, ("echo", "t2", "o1", "a  b", "a b", '"c', 'd"'), id="a range with quotes"),
        pytest.param(7, ("sh", "-c", "true", "7o"), id="the star takes the rest"),
    ],
)
def test_a_rank_finds_its_program(rank: int, expected: tuple[str, ...]) -> None:
    assert program_of(_FILE, rank) == expected


def test_a_rank_that_no_line_names_has_no_program() -> None:
    assert program_of("0 true\n", 1) == ()


@pytest.mark.system
def test_each_rank_runs_its_own_program(cluster: Cluster) -> None:
    srun = Srun(cluster, ["file"], ntasks=3, multi_prog="0 echo first\n1-2 echo other %o\n").wait_done()

    assert [srun.output(task) for task in range(3)] == ["first\n", "other 0\n", "other 1\n"]


def _script(cluster: Cluster, name: str, text: str) -> str:
    path: Path = cluster.folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.system
def test_a_task_prolog_changes_the_task(cluster: Cluster) -> None:
    lines = "echo export A=from prolog; echo unset B; echo print hello $SLURM_PROCID; echo junk; echo no >&2"
    prolog = _script(cluster, "prolog", lines)

    srun = Srun(cluster, ["sh", "-c", "echo [$A]"], ntasks=2, task_prolog=prolog).wait_done()

    assert [srun.output(task) for task in range(2)] == [f"hello {task}\n[from prolog]\n" for task in range(2)]
    assert srun.output(0, 2) == ""


@pytest.mark.system
def test_a_task_prolog_that_fails_is_the_end_of_the_task(cluster: Cluster) -> None:
    prolog = _script(cluster, "prolog", "echo print so far; exit 5")

    srun = Srun(cluster, ["echo", "ran"], task_prolog=prolog).wait_done()

    assert (srun.exits[0].exit_code, srun.output()) == (5, "so far\n")
    assert srun.output(0, 2) == "slurmstepd-n1: error: --task-prolog failed status=5\n"


@pytest.mark.system
def test_a_task_epilog_follows_the_task(cluster: Cluster) -> None:
    epilog = _script(cluster, "epilog", "echo out; echo after $SLURM_PROCID $SLURM_SCRIPT_CONTEXT >&2; exit 3")

    srun = Srun(cluster, ["sh", "-c", "echo task; exit 4"], task_epilog=epilog).wait_done()

    assert (srun.exits[0].exit_code, srun.output()) == (4, "task\n")
    expected = "after 0 epilog_task\nslurmstepd-n1: error: --task-epilog failed status=768\n"
    assert srun.output(0, 2) == expected


@pytest.mark.system
def test_the_sites_task_hooks_also_surround_a_batch_script(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    prolog = _script(cluster, "prolog", "echo export FROM=site; echo print hello")
    epilog = _script(cluster, "epilog", "echo bye >&2")
    cluster.controller.config = replace(CONFIG, task_prolog=prolog, task_epilog=epilog)
    cluster.start_agent()

    cluster.run("echo $FROM")

    assert cluster.read() == "hello\nsite\nbye\n"
