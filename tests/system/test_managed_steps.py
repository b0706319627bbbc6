"""Steps that the agent of their job's first node makes: by the hundred, without the controller, through kills."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sluice.testing import LocalCluster
from tests.system.running import running, steps

#: A loop of steps on both nodes, one of which fails.
_LOOP = """#!/bin/sh
for i in 1 2 3 4 5 6 7 8 9; do srun -n1 -N1 sh -c "echo $i on \\$SLURMD_NODENAME; exit $((i == 5))"; done
srun -N2 -n2 sh -c 'srun --overlap -N1 -n1 echo nested by $SLURM_PROCID'
"""

_SRUN = ("srun", "-N2", "-n2", "sh", "-c")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "job.sh"
    path.write_text(_LOOP)
    return path


def exits(cluster: LocalCluster, job_id: int | str) -> dict[str, str]:
    """Return state and exit code of the job's numbered steps."""
    told = cluster.run("sacct", "-n", "-P", "-j", str(job_id), "-o", "JobID,State,ExitCode").stdout.split()
    rows = [line.partition("|") for line in told]
    return {name: rest for name, _, rest in rows if name.rpartition(".")[2].isdecimal() and "." in name}


def is_managed(cluster: LocalCluster, job_id: int | str, node: str) -> bool:
    return f"job {job_id}: its steps are managed here" in cluster.log_of(node)


def test_a_scripts_steps_are_made_by_its_own_agent_and_all_accounted_for(
    local_cluster: LocalCluster, script: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    job_id = local_cluster.submit("-N2", "-n2", "--wait", "-o", str(out), str(script))

    lines = out.read_text().splitlines()
    # Whoever comes after a step finds its CPUs free again, and stays on the first node.
    assert [line for line in lines if " on " in line] == [f"{number} on n1" for number in range(1, 10)]
    assert sorted(line for line in lines if "nested" in line) == ["nested by 0", "nested by 1"]
    assert is_managed(local_cluster, job_id, "n1")
    local_cluster.wait_until(lambda: len(exits(local_cluster, job_id)) == 12, "all steps are in the accounts")
    told = exits(local_cluster, job_id)
    assert told.pop(f"{job_id}.4") == "FAILED|1:0"
    assert set(told.values()) == {"COMPLETED|0:0"}


def test_steps_run_while_the_controller_is_down(local_cluster: LocalCluster, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("srun -n1 -N1 echo first </dev/null\nread go\nsrun -N2 -n2 echo more\nsrun -n1 -N1 false\n")
    with running(local_cluster, "salloc", "-N2", "-n2", "sh", "-c", f"echo $SLURM_JOB_ID; . {script}") as salloc:
        assert salloc.stdout is not None
        assert salloc.stdin is not None
        job_id = salloc.stdout.readline().strip()
        assert salloc.stdout.readline() == "first\n"
        local_cluster.kill_controller()
        try:
            salloc.stdin.write("go\n")
            salloc.stdin.flush()
            assert [salloc.stdout.readline(), salloc.stdout.readline()] == ["more\n", "more\n"]
        finally:
            local_cluster.start_controller()
        assert salloc.wait(60) == 1

    assert is_managed(local_cluster, job_id, "n1")
    expected = {
        f"{job_id}.0": "COMPLETED|0:0",
        f"{job_id}.1": "COMPLETED|0:0",
        f"{job_id}.2": "FAILED|1:0",
    }
    local_cluster.wait_until(lambda: exits(local_cluster, job_id) == expected, "all steps are in the accounts")


def test_a_step_that_an_srun_outside_asks_for_is_made_by_the_same_agent(local_cluster: LocalCluster) -> None:
    with running(
        local_cluster, "salloc", "-N1", "-n2", "sh", "-c", "echo $SLURM_JOB_ID; srun -n1 echo in; read end"
    ) as job:
        assert job.stdout is not None
        job_id = job.stdout.readline().strip()
        assert job.stdout.readline() == "in\n"
        outside = local_cluster.run("srun", f"--jobid={job_id}", "-n1", "sh", "-c", "echo $SLURM_STEP_ID")
        assert outside.stdout == "1\n"


def test_an_agent_that_is_killed_among_steps_makes_none_twice_and_loses_none(
    local_cluster: LocalCluster, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    loop = f'for i in $(seq 40); do srun -n1 sh -c "echo \\$SLURM_STEP_ID >> {log}"; done; echo done'
    with running(local_cluster, "salloc", "-w", "n1", "-n1", "sh", "-c", f"echo $SLURM_JOB_ID; {loop}") as salloc:
        assert salloc.stdout is not None
        job_id = salloc.stdout.readline().strip()
        for count in (5, 15, 25):
            local_cluster.wait_until(
                lambda count=count: log.exists() and len(log.read_text().split()) >= count, f"{count} steps"
            )
            local_cluster.kill_agent("n1")
            local_cluster.start_agent("n1")
        assert salloc.stdout.readline() == "done\n"

    ran = log.read_text().split()
    assert len(set(ran)) == len(ran)
    local_cluster.wait_until(lambda: "RUNNING" not in str(exits(local_cluster, job_id)), "all have ended")
    told = exits(local_cluster, job_id)
    completed = {name.rpartition(".")[2] for name, state in told.items() if state == "COMPLETED|0:0"}
    # An srun whose connection went with the agent has failed, and its step with it: it is told as such.
    assert completed <= set(ran)
    assert set(ran) <= {name.rpartition(".")[2] for name in told}
    assert len(ran) >= 35


def test_a_managed_step_can_be_cancelled_and_listed(local_cluster: LocalCluster) -> None:
    with running(
        local_cluster, "salloc", "-N1", "-n1", "sh", "-c", "echo $SLURM_JOB_ID; srun sleep 600; echo over"
    ) as job:
        assert job.stdout is not None
        step = f"{job.stdout.readline().strip()}.0"
        local_cluster.wait_until(
            lambda: step in local_cluster.run("squeue", "-s", "-h", "-o", "%i").stdout.split(), "the step is listed"
        )
        local_cluster.run("scancel", step)
        assert job.stdout.readline() == "over\n"


def test_a_step_daemon_that_is_killed_is_told_as_such_and_fails_its_step(
    local_cluster: LocalCluster, tmp_path: Path
) -> None:
    """Not the node, and nobody has cancelled the step."""
    task = f"echo $PPID > {tmp_path}/daemon.$SLURM_NODEID; exec sleep 600"
    with running(
        local_cluster, "salloc", "-N2", "-n2", "sh", "-c", 'echo $SLURM_JOB_ID; "$@"', "sh", *_SRUN, task
    ) as job:
        assert job.stdout is not None
        assert job.stderr is not None
        job_id = job.stdout.readline().strip()
        written = tmp_path / "daemon.1"
        local_cluster.wait_until(lambda: written.exists() and written.read_text().endswith("\n"), "the tasks run")
        os.kill(int(written.read_text()), signal.SIGKILL)
        said = job.stderr.read()
    assert f"StepId={job_id}.0: the step's daemon on node n2 ended unexpectedly, and its tasks there with it" in said
    assert "Node failure" not in said
    local_cluster.wait_until(lambda: exits(local_cluster, job_id) == {f"{job_id}.0": "FAILED|1:15"}, "the step failed")
    local_cluster.wait_idle()


def _prolog_until_srun_goes(folder: Path) -> Path:
    """Return the --prolog of an srun that is to be killed before it launches its step."""
    prolog = folder / "prolog"
    prolog.write_text(f"#!/bin/sh\ntouch {folder}/begun\nwhile kill -0 $PPID; do sleep 0.1; done 2>&-\n")
    prolog.chmod(0o755)
    return prolog


def test_a_step_whose_srun_is_killed_before_its_tasks_start_gives_its_cpus_back(
    local_cluster: LocalCluster, tmp_path: Path
) -> None:
    prolog = _prolog_until_srun_goes(tmp_path)
    with running(local_cluster, "salloc", "-N2", "-n2", "sh", "-c", "echo $SLURM_JOB_ID; read end") as job:
        assert job.stdout is not None
        inside = f"--jobid={job.stdout.readline().strip()}"
        with running(local_cluster, "srun", inside, "-n2", f"--prolog={prolog}", "true") as srun:
            local_cluster.wait_until(lambda: (tmp_path / "begun").exists(), "the prolog runs")
            srun.kill()
            srun.wait(30)
        assert local_cluster.run("srun", inside, "-n2", "echo", "free").stdout == "free\nfree\n"


def test_a_program_is_put_on_the_nodes_of_a_managed_step(local_cluster: LocalCluster, tmp_path: Path) -> None:
    there = tmp_path / "there"
    script = f"srun -n1 true; srun -N2 -n2 --bcast={there} sh -c 'readlink /proc/$$/exe'"
    done = local_cluster.run("salloc", "-N2", "-n2", "sh", "-c", script)
    assert done.stdout.split() == [str(there), str(there)]


def test_the_first_step_of_a_job_waits_for_a_controller_that_is_away(
    local_cluster: LocalCluster, tmp_path: Path
) -> None:
    with running(local_cluster, "salloc", "-N1", "-n1", "sh", "-c", "echo ready; read go; srun echo mine") as salloc:
        assert salloc.stdout is not None
        assert salloc.stdin is not None
        assert salloc.stdout.readline() == "ready\n"
        local_cluster.kill_controller()
        try:
            salloc.stdin.write("go\n")
            salloc.stdin.flush()
            assert salloc.stderr is not None
            said = iter(salloc.stderr.readline, "")
            assert any(line.startswith("srun: ") and "retrying for up to 60 seconds" in line for line in said)
        finally:
            local_cluster.start_controller()
        assert salloc.stdout.readline() == "mine\n"


@pytest.mark.slow
@pytest.mark.parametrize("node", ["n1", "n2"], ids=["the manager's", "another"])
def test_a_killed_agents_successor_gives_the_cpus_back_of_a_step_whose_srun_is_killed_meanwhile(
    local_cluster: LocalCluster, tmp_path: Path, node: str
) -> None:
    """Neither the agent that was there to see the srun go nor a launch tells the new one of the step."""
    prolog = _prolog_until_srun_goes(tmp_path)
    with running(local_cluster, "salloc", "-N2", "-n2", "sh", "-c", "echo $SLURM_JOB_ID; read end") as job:
        assert job.stdout is not None
        inside = f"--jobid={job.stdout.readline().strip()}"
        with running(local_cluster, "srun", inside, "-n2", f"--prolog={prolog}", "true") as srun:
            local_cluster.wait_until((tmp_path / "begun").exists, "srun's prolog has begun")
            local_cluster.kill_agent(node)
            srun.kill()
            local_cluster.start_agent(node)
            # The controller gives a step up that nobody has launched after a minute.
            local_cluster.wait_until(lambda: steps(local_cluster) == [], "the step is over", limit_s=30)
        assert local_cluster.run("srun", inside, "-n2", "echo", "here").stdout == "here\nhere\n"
