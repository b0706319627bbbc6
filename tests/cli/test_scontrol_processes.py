"""scontrol listpids and pidinfo: the processes of this cluster's jobs on this host."""

import subprocess

import pytest

from sluice_cli.scontrol import main


@pytest.fixture
def process(dead_cluster):
    """Start processes as a job has them; the test's cluster is called "test" and has port 1."""
    started = []

    def start(working_cluster, **variables):
        environment = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
        if working_cluster:
            environment["SLURM_WORKING_CLUSTER"] = working_cluster
        started.append(subprocess.Popen(["/bin/sleep", "60"], env=environment | variables))
        return started[-1].pid

    yield start
    for each in started:
        each.kill()
        each.wait()


def test_only_processes_of_this_clusters_jobs_are_listed(process, capfd):
    """Several clusters on one host number their jobs alike."""
    own = process("test:127.0.0.1:1:9728:109")
    for other in ("test:127.0.0.1:2:9728:109", "another:127.0.0.1:1:9728:109", ""):
        process(other)

    assert main(["listpids"]) == 0
    assert capfd.readouterr().out.split("\n") == [
        "PID      JOBID    STEPID   LOCALID GLOBALID",
        f"{own:<8} 7        0        1       3       ",
        "",
    ]


def test_a_host_without_processes_of_the_job(process, capfd):
    process("another:127.0.0.1:1:9728:109")

    assert main(["listpids", "7"]) == 1
    assert capfd.readouterr().err == "scontrol: error: No job steps exist on this node for JobId=7.\n"


def test_the_job_of_another_clusters_process_is_not_told(process, capfd):
    pid = process("another:127.0.0.1:1:9728:109")

    assert main(["pidinfo", str(pid)]) == 1
    assert capfd.readouterr().err == "Failed to locate job for requested pid\n"
