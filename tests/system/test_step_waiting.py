"""Steps that wait for others of their job: through a restart of the controller, and when one of them is killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sluice.testing import LocalCluster
from tests.system.running import running, steps


@pytest.fixture
def full_job(local_cluster: LocalCluster) -> Iterator[str]:
    """A job of two CPUs whose first step has both until it reads a line; its id."""
    with running(local_cluster, "salloc", "-N1", "-n2", "sh", "-c", "echo $SLURM_JOB_ID; read end") as salloc:
        assert salloc.stdout is not None
        yield salloc.stdout.readline().strip()


def test_a_step_that_waits_outlives_the_controller_and_begins_once(local_cluster: LocalCluster, full_job: str) -> None:
    job = f"--jobid={full_job}"
    with running(local_cluster, "srun", job, "-n2", "cat") as first:
        local_cluster.wait_until(lambda: steps(local_cluster) == [f"{full_job}.0"], "the first step runs")
        with running(local_cluster, "srun", "-v", job, "-n1", "echo", "mine") as second:
            assert second.stderr is not None
            assert "step creation temporarily disabled" in second.stderr.readline()
            assert f"step {full_job}.0 (cat) has 2" in second.stderr.readline()
            local_cluster.kill_controller()
            local_cluster.start_controller()
            assert first.stdin is not None
            first.stdin.close()
            first.stdin = None
            assert second.stdout is not None
            assert second.stdout.read() == "mine\n"
            assert second.wait(30) == 0

    told = local_cluster.run("sacct", "-n", "-P", "-j", full_job, "-o", "JobID,State").stdout.split()
    assert [line for line in told if "." in line] == [f"{full_job}.0|COMPLETED", f"{full_job}.1|COMPLETED"]


def test_who_is_killed_while_it_waits_gets_no_step(local_cluster: LocalCluster, full_job: str) -> None:
    job = f"--jobid={full_job}"
    with running(local_cluster, "srun", job, "-n2", "cat") as first:
        local_cluster.wait_until(lambda: steps(local_cluster) == [f"{full_job}.0"], "the first step runs")
        with running(local_cluster, "srun", job, "-n2", "echo", "never") as second:
            assert second.stderr is not None
            assert "step creation temporarily disabled" in second.stderr.readline()
            second.kill()
            second.wait(30)
        assert first.stdin is not None
        first.stdin.close()
        first.stdin = None
        assert first.wait(30) == 0

    assert local_cluster.run("srun", job, "-n2", "echo", "free").stdout == "free\nfree\n"


def test_the_cpus_of_an_srun_that_is_killed_are_free_again(local_cluster: LocalCluster, full_job: str) -> None:
    job = f"--jobid={full_job}"
    with running(local_cluster, "srun", job, "-n2", "sh", "-c", "echo up; exec sleep 600") as holder:
        assert holder.stdout is not None
        # A step whose srun goes before the tasks run is given up later.
        assert [holder.stdout.readline(), holder.stdout.readline()] == ["up\n", "up\n"]
        holder.kill()

        assert local_cluster.run("srun", job, "-n2", "echo", "free").stdout == "free\nfree\n"
