"""sattach: several listeners of one step, who may type, change nothing by their end, and outlive the agent."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.testing import LocalCluster
from tests.system.running import running, steps

_ECHO = 'while read line; do echo "$SLURM_PROCID $line"; done'


@pytest.fixture
def echo_step(local_cluster: LocalCluster, tmp_path: Path) -> Iterator[str]:
    """A step of two tasks on two nodes that repeat what is typed; its id."""
    with running(local_cluster, "srun", "-N2", "-n2", "sh", "-c", _ECHO, out=tmp_path / "srun.out"):
        local_cluster.wait_until(lambda: steps(local_cluster), "the step runs")
        yield steps(local_cluster)[0]


def test_two_listeners_hear_what_one_of_them_types(local_cluster: LocalCluster, echo_step: str) -> None:
    """One hears all tasks with labels, the other one task alone; srun hears it too."""
    with (
        running(local_cluster, "sattach", "-l", "--input-filter=1", echo_step) as first,
        running(local_cluster, "sattach", "--output-filter=0", echo_step) as second,
    ):
        _type(first, "to one")
        assert first.stdout is not None
        assert first.stdout.readline() == "1: 1 to one\n"
        _type(second, "to all")
        assert second.stdout is not None
        assert second.stdout.readline() == "0 to all\n"
        assert {first.stdout.readline(), first.stdout.readline()} == {"0: 0 to all\n", "1: 1 to all\n"}


def test_the_end_of_a_listener_is_not_the_end_of_its_step(local_cluster: LocalCluster, echo_step: str) -> None:
    with running(local_cluster, "sattach", echo_step) as listener:
        _type(listener, "hello")
        assert listener.stdout is not None
        listener.stdout.readline()
        listener.send_signal(signal.SIGINT)
        assert listener.wait(30) == 130

    with running(local_cluster, "sattach", "--input-filter=0", echo_step) as listener:
        _type(listener, "still here")
        assert listener.stdout is not None
        assert listener.stdout.readline() == "0 still here\n"


def test_a_step_is_attached_to_after_its_agent_was_restarted(local_cluster: LocalCluster, echo_step: str) -> None:
    local_cluster.kill_agent("n1")
    local_cluster.start_agent("n1")
    local_cluster.wait_ready()

    with running(local_cluster, "sattach", "--input-filter=0", echo_step) as listener:
        _type(listener, "again")
        assert listener.stdout is not None
        assert listener.stdout.readline() == "0 again\n"


def test_the_exit_code_is_the_highest_of_the_tasks(local_cluster: LocalCluster, tmp_path: Path) -> None:
    with running(local_cluster, "srun", "-n2", "sh", "-c", "read line; exit $SLURM_PROCID"):
        local_cluster.wait_until(lambda: steps(local_cluster), "the step runs")
        with running(local_cluster, "sattach", steps(local_cluster)[0]) as listener:
            _type(listener, "go")
            assert listener.wait(30) == 1
            assert listener.stderr is not None
            assert listener.stderr.read() == "sattach: error: task 1 exited with exit code 1\n"


def test_the_layout_is_told_without_attaching(local_cluster: LocalCluster, echo_step: str) -> None:
    told = local_cluster.run("sattach", "--layout", echo_step).stdout

    assert told == (
        "Job step layout:\n\t2 tasks, 2 nodes (n[1-2])\n\n\tNode 0 (n1), 1 task(s): 0 \n\tNode 1 (n2), 1 task(s): 1 \n"
    )


def test_an_unknown_job_is_named(local_cluster: LocalCluster) -> None:
    attached = local_cluster.run("sattach", "99999.0", check=False).stderr
    sent = local_cluster.run("sbcast", "-j", "99999", "/etc/hostname", "/tmp/x", check=False).stderr

    assert attached.split("\n")[0] == "sattach: error: job 99999 is not known"
    assert sent.split("\n")[0] == "sbcast: error: job 99999 is not known"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        pytest.param(["99.0"], "Could not get job step info: Invalid job id specified", id="an unknown job"),
        pytest.param(["12"], "Failed to parse stepid from command line options", id="a job without a step"),
        pytest.param(["1.0", "2.0"], "too many parameters", id="two steps"),
    ],
)
def test_what_is_no_step_is_refused(local_cluster: LocalCluster, words: list[str], text: str) -> None:
    done = local_cluster.run("sattach", *words, check=False)

    assert done.returncode == 1
    assert f"sattach: error: {text}\n" in done.stderr


def test_a_batch_script_is_not_attached_to(local_cluster: LocalCluster) -> None:
    job_id = local_cluster.submit("-o", "/dev/null", "--wrap", "sleep 60")
    local_cluster.wait_until(lambda: "batch" in local_cluster.run("squeue", "-s", "-h").stdout, "the script runs")

    done = local_cluster.run("sattach", f"{job_id}.batch", check=False)

    local_cluster.run("scancel", str(job_id))
    assert done.returncode == 1
    assert "a batch script's streams are files" in done.stderr


def _type(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
