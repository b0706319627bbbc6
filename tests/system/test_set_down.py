"""Nodes that are set down while their agents answer: what runs there is ended, and runs nowhere twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sluice.testing import LocalCluster
from sluiced.steps import notice

#: Each run says which it is, and as which process.
_RUN = "echo $SLURM_RESTART_COUNT $$ $SLURMD_NODENAME; exec sleep 300"
#: A script that can do without n3, and asks for steps there when it has lost it.
_STURDY = """srun -N3 -n3 sh -c 'echo $$ > $SLURMD_NODENAME; exec sleep 300'
srun -N2 -n2 sh -c 'echo on $SLURMD_NODENAME'
srun -N1 -n1 -w n3 echo never
"""


def is_alive(pid: str) -> bool:
    return os.path.exists(f"/proc/{pid}")


def state(cluster: LocalCluster, job: str) -> str:
    return cluster.run("sacct", "-n", "-P", "-j", job, "-o", "State").stdout.partition("\n")[0]


def test_a_requeued_job_runs_again_when_nothing_of_its_last_run_is_left(
    local_cluster: LocalCluster, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    job_id = local_cluster.submit("-w", "n1", "--requeue", "--open-mode=append", "-o", str(out), "--wrap", _RUN)
    local_cluster.wait_until(lambda: out.exists() and out.read_text().endswith("n1\n"), "the first run has begun")
    first = out.read_text().split()[1]

    local_cluster.run("scontrol", "update", "NodeName=n1", "State=DOWN", "Reason=disk")
    local_cluster.run("scontrol", "update", "NodeName=n1", "State=RESUME")
    local_cluster.wait_until(lambda: "\n1 " in out.read_text(), "the second run has begun")

    assert not is_alive(first)
    assert "DUE TO NODE FAILURE" in out.read_text()
    local_cluster.run("scancel", str(job_id))
    local_cluster.wait_jobs_ended()


def test_a_step_on_a_node_that_its_job_can_do_without_ends_there(local_cluster: LocalCluster, tmp_path: Path) -> None:
    out, script = tmp_path / "out", tmp_path / "job.sh"
    script.write_text("#!/bin/sh\n" + _STURDY)
    job_id = local_cluster.submit("-N3", "-n3", "--no-kill", "-D", str(tmp_path), "-o", str(out), str(script))
    task = tmp_path / "n3"
    local_cluster.wait_until(lambda: task.exists() and task.read_text().endswith("\n"), "the step runs on n3")

    local_cluster.run("scontrol", "update", "NodeName=n3", "State=DOWN", "Reason=disk")
    try:
        local_cluster.wait_until(lambda: not is_alive(task.read_text().strip()), "its task there has ended")
        local_cluster.run("scancel", f"{job_id}.0", check=False)
        local_cluster.wait_jobs_ended()
    finally:
        local_cluster.run("scontrol", "update", "NodeName=n3", "State=RESUME")

    assert state(local_cluster, f"{job_id}.0") == "NODE_FAIL"
    told = out.read_text()
    assert sorted(line for line in told.splitlines() if line.startswith("on ")) == ["on n1", "on n2"]
    assert f"node n3 was lost while job {job_id} ran" in told
    assert "never" not in told


@pytest.fixture
def impatient() -> Iterator[LocalCluster]:
    """A cluster whose jobs have extern steps, and whose controller gives up silent agents soon."""
    with LocalCluster(nodes=2, settings={"SlurmdTimeout": "3", "PrologFlags": "Contain"}) as cluster:
        yield cluster


def test_an_agent_that_wakes_up_after_it_was_given_up_ends_what_it_still_runs(
    impatient: LocalCluster, tmp_path: Path
) -> None:
    """Its connection has lasted all the time."""
    out = tmp_path / "out"
    job_id = impatient.submit("-w", "n1", "--no-requeue", "-o", str(out), "--wrap", _RUN)
    impatient.wait_until(lambda: out.exists() and out.read_text().endswith("n1\n"), "the job runs")
    assert len(processes(impatient)) == 2
    agent = impatient.pid_of("n1")
    assert agent is not None
    os.kill(agent, signal.SIGSTOP)
    try:
        impatient.wait_until(lambda: state(impatient, str(job_id)) == "NODE_FAIL", "the node is given up")
    finally:
        os.kill(agent, signal.SIGCONT)

    impatient.wait_until(lambda: not processes(impatient), "the script and the extern step have ended")
    impatient.run("scontrol", "update", "NodeName=n1", "State=RESUME", check=False)
    assert impatient.run("srun", "-w", "n1", "hostname").stdout


def test_nothing_new_starts_beside_what_a_node_that_was_given_up_still_runs(tmp_path: Path) -> None:
    """The old script does not hear TERM and so lives for KillWait after its agent is back."""
    settings = {"SlurmdTimeout": "3", "ReturnToService": "2", "KillWait": "3"}
    old, new = tmp_path / "old", tmp_path / "new"
    with LocalCluster(nodes=1, settings=settings) as cluster:
        deaf = "trap '' TERM; echo $$; while :; do sleep 0.1; done"
        job_id = cluster.submit("--no-requeue", "-o", str(old), "--wrap", deaf)
        cluster.wait_until(lambda: old.exists() and old.read_text().endswith("\n"), "the job runs")
        cluster.kill_agent("n1")
        cluster.wait_until(lambda: state(cluster, str(job_id)) == "NODE_FAIL", "the node is given up")
        pid = old.read_text().strip()
        assert is_alive(pid)

        cluster.submit("-o", str(new), "--wrap", f"[ -e /proc/{pid} ] && echo beside it || echo after it")
        cluster.start_agent("n1")
        cluster.wait_jobs_ended()

    assert new.read_text() == "after it\n"


def processes(cluster: LocalCluster) -> list[str]:
    """Return the processes of the cluster's jobs and of their extern steps."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            if f"{notice.VARIABLE}={cluster.folder}/".encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(name)
    return found
