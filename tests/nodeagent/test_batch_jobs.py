"""Batch jobs on a real agent: what comes of a script, its files, its limits and its environment."""

from __future__ import annotations

import os
import resource

import pytest

from sluice.model.base import BATCH_STEP
from tests.nodeagent.conftest import Cluster, make_job
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def test_a_script_runs_and_its_node_is_clean(cluster: Cluster) -> None:
    result = cluster.run("echo hello; echo trouble >&2")

    assert (result.exit_code, result.exit_signal, result.reason) == (0, 0, "")
    assert result.is_node_clean
    assert result.step_id == BATCH_STEP
    assert cluster.read() == "hello\ntrouble\n"
    assert result.tails[0].tail == b"hello\ntrouble\n"
    wait_until(lambda: os.listdir(cluster.spool / "jobs") == [])


@pytest.mark.parametrize(
    ("script", "code", "signal"),
    [
        pytest.param("exit 7", 7, 0, id="an exit code"),
        pytest.param("kill -9 $$", 0, 9, id="a signal"),
    ],
)
def test_the_end_of_the_script_is_the_result(cluster: Cluster, script: str, code: int, signal: int) -> None:
    result = cluster.run(script)

    assert (result.exit_code, result.exit_signal) == (code, signal)


def test_arguments_and_input_reach_the_script(cluster: Cluster) -> None:
    (cluster.work / "in.txt").write_text("from a file\n")

    cluster.run('echo "$1-$2"; cat', arguments=("a b", "c"), std_in="in.txt")

    assert cluster.read() == "a b-c\nfrom a file\n"


def test_stdin_is_empty_by_default(cluster: Cluster) -> None:
    cluster.run("cat; echo end")

    assert cluster.read() == "end\n"


def test_patterns_name_the_files(cluster: Cluster) -> None:
    cluster.run("echo out; echo err >&2", std_out="%x-%4j-%N.out", std_err="%j.err")

    assert cluster.read("test-0001-n1.out") == "out\n"
    assert cluster.read("1.err") == "err\n"


@pytest.mark.parametrize(
    ("open_mode", "expected"), [pytest.param("a", "old\nnew\n", id="append"), pytest.param("t", "new\n", id="truncate")]
)
def test_open_mode_decides_over_what_was_there(cluster: Cluster, open_mode: str, expected: str) -> None:
    (cluster.work / "out.txt").write_text("old\n")

    result = cluster.run("echo new", open_mode=open_mode)

    assert cluster.read() == expected
    assert result.tails[0].tail == b"new\n"


def test_a_missing_work_directory_is_told_and_replaced(cluster: Cluster) -> None:
    job = make_job(1, "/nonexistent", std_out=str(cluster.work / "out.txt"))

    cluster.launch(job, "#!/bin/sh\npwd\n")

    cluster.result(1)
    assert cluster.read() == (
        "slurmstepd-n1: error: couldn't chdir to `/nonexistent': No such file or directory: going to /tmp instead\n"
        "/tmp\n"
    )


def test_a_missing_interpreter_is_named(cluster: Cluster) -> None:
    cluster.launch(make_job(1, cluster.work), "#!/no/such/interp\ntrue\n")

    assert cluster.result(1).exit_code == 2
    assert cluster.read() == (
        "slurmstepd-n1: error: execve(): bad interpreter(/no/such/interp): No such file or directory\n"
    )


def test_umask_and_limits_are_the_submitters(cluster: Cluster) -> None:
    cluster.run(
        "umask; ulimit -n; ulimit -c; touch made",
        umask=0o027,
        rlimits=(("NOFILE", 123, 123), ("CORE", 0, -1)),
    )

    assert cluster.read() == "0027\n123\n0\n"
    assert (cluster.work / "made").stat().st_mode & 0o777 == 0o640
    assert (cluster.work / "out.txt").stat().st_mode & 0o777 == 0o640


def test_no_limit_is_above_the_agents_own(cluster: Cluster) -> None:
    """Whoever submits says which limits come along, and root sets them."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    cluster.run("ulimit -n; ulimit -Hn", rlimits=(("NOFILE", hard + 1, hard + 2),))

    assert cluster.read() == f"{hard}\n{hard}\n"


def test_the_hard_limits_stay_the_agents(cluster: Cluster) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    cluster.run("ulimit -n; ulimit -Hn", rlimits=(("NOFILE", 64, 128),))

    assert cluster.read() == f"64\n{hard}\n"


def test_signals_are_not_ignored_in_the_script(cluster: Cluster) -> None:
    """Signals 32 and 33 are the C library's own: nobody can reset what they were when the agent was started."""
    cluster.run("grep SigIgn /proc/self/status")

    word, mask = cluster.read().split()
    assert (word, int(mask, 16) & ~(0b11 << 31)) == ("SigIgn:", 0)


def test_usage_counts_children(cluster: Cluster) -> None:
    result = cluster.run('python3 -c "x = bytearray(80_000_000); s = sum(range(2_000_000))"')

    assert result.usage.max_rss_kib > 70_000
    assert result.usage.user_s > 0.01


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_a_job_of_another_user_runs_as_that_user(cluster: Cluster) -> None:
    cluster.work.chmod(0o777)

    result = cluster.run("id -u; id -g; cat $0 | tail -1", uid=65534, gid=65534, user="nobody")

    assert result.exit_code == 0
    assert cluster.read().startswith("65534\n65534\nid -u")
    assert (cluster.work / "out.txt").stat().st_uid == 65534


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_the_login_environment_is_read_as_the_user(cluster: Cluster) -> None:
    cluster.work.chmod(0o777)

    cluster.run("env", uid=65534, gid=65534, user="nobody", export="NONE", environment={"MINE": "1"})

    variables = dict(line.split("=", 1) for line in cluster.read().splitlines())
    assert (variables["LOGNAME"], variables["MINE"], variables["HOSTNAME"]) == ("nobody", "1", "n1")
