"""Interactive work on a node feels local: srun --pty and salloc's shell on the first node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sluice.testing import LocalCluster
from tests.system.terminal import Terminal

_CTRL_C, _CTRL_D, _CTRL_Z = "\x03", "\x04", "\x1a"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster whose salloc gives a shell on the first node."""
    with LocalCluster(nodes=2, cpus=4, settings={"LaunchParameters": "use_interactive_step"}) as running:
        yield running


def test_a_shell_has_job_control(cluster: LocalCluster) -> None:
    """Ctrl-C ends what runs in front, Ctrl-Z stops it, fg goes on with it; the shell outlives both."""
    with Terminal(cluster, "srun", "--pty", "bash", "--norc", "-i") as terminal:
        terminal.wait_said("$ ")
        terminal.type("sleep 600\n")
        terminal.wait_said("sleep 600")
        _wait_running(cluster, "sleep 600")
        terminal.type(_CTRL_C)
        terminal.wait_said("$ ")
        terminal.type("echo $?\n")
        terminal.wait_said("\n130\r\n")
        terminal.type("sleep 601\n")
        _wait_running(cluster, "sleep 601")
        terminal.type(_CTRL_Z)
        terminal.wait_said("Stopped")
        terminal.type("jobs; fg\n")
        terminal.wait_said("Stopped")
        terminal.wait_said("sleep 601")
        terminal.type(_CTRL_C)
        terminal.wait_said("$ ")
        terminal.type("exit 7\n")
        assert terminal.wait_ended() == 7


def test_the_window_has_the_users_size_and_follows_it(cluster: LocalCluster) -> None:
    script = "read begin; stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"
    with Terminal(cluster, "sh", "-c", f'stty rows 33 columns 101; exec srun --pty sh -c "{script}"') as terminal:
        terminal.type("\n")
        assert "33 101" in terminal.wait_said("ready")
        terminal.resize(50, 132)
        terminal.wait_said("50 132")
        assert terminal.wait_ended() == 0


def test_the_end_of_typed_input_is_seen(cluster: LocalCluster) -> None:
    with Terminal(cluster, "srun", "--pty", "cat") as terminal:
        terminal.type("hello\n")
        terminal.wait_said("hello\r\nhello\r\n")
        terminal.type(_CTRL_D)
        assert terminal.wait_ended() == 0


def test_a_terminal_that_is_hung_up_ends_the_step(cluster: LocalCluster) -> None:
    with Terminal(cluster, "srun", "--pty", "sleep", "602"):
        _wait_running(cluster, "sleep 602")

    cluster.wait_jobs_ended()
    cluster.wait_until(lambda: not _is_running(cluster, "sleep 602"), "the task is gone")


def test_salloc_gives_a_shell_on_the_first_node(cluster: LocalCluster) -> None:
    """There srun uses the whole allocation, and the shell's exit code is salloc's; it is listed as a step."""
    with Terminal(cluster, "salloc", "-N2", env={"SHELL": "/bin/sh"}) as terminal:
        terminal.wait_said("$ ")
        terminal.type(
            "echo $SLURMD_NODENAME step $SLURM_STEP_ID; squeue -s -h -o %i; srun -l printenv SLURMD_NODENAME\n"
        )
        told = terminal.wait_said("1: n2")
        assert "n1 step 4294967290" in told
        assert ".interactive" in told
        # Until srun has ended it takes what is typed, for its tasks.
        terminal.wait_said("$ ")
        terminal.type("exit 5\n")
        terminal.wait_ended()

    cluster.wait_jobs_ended()
    assert "Relinquishing job allocation" in terminal.rest
    job_id = terminal.rest.rpartition("Relinquishing job allocation ")[2].split()[0]
    told = cluster.run("sacct", "-n", "-P", "-j", job_id, "-o", "JobID,State,ExitCode").stdout.splitlines()
    assert f"{job_id}.interactive|FAILED|5:0" in told


def test_a_command_of_salloc_still_runs_here(cluster: LocalCluster) -> None:
    assert cluster.run("salloc", "sh", "-c", "echo ${SLURMD_NODENAME-here}").stdout == "here\n"


def _is_running(cluster: LocalCluster, words: str) -> bool:
    return cluster.run("pgrep", "-fx", words, check=False).returncode == 0


def _wait_running(cluster: LocalCluster, words: str) -> None:
    cluster.wait_until(lambda: _is_running(cluster, words), f"{words} runs")
