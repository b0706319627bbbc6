"""PrologFlags=Contain on a live cluster: the extern step in every listing, and a login that PAM has a job adopt."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.model.confinement import CgroupSettings
from sluice.testing import LocalCluster
from sluiced.cgroup import detect
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root submits for others and lets them in"),
]
needs_groups = pytest.mark.skipif(
    os.geteuid() == 0 and "freezing" in detect.find_tree(CgroupSettings()).gaps(),
    reason="no control groups can be made here",
)
needs_pam = pytest.mark.skipif(
    not list(Path("/").glob("lib/*/security/pam_exec.so")) + list(Path("/").glob("usr/lib*/security/pam_exec.so")),
    reason="pam_exec is not installed (libpam-modules)",
)
USER = "nobody"
PAM_CLIENT = Path(__file__).with_name("pam_client.py")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2, cpus=4, settings={"PrologFlags": "Contain", "KillWait": "1"}) as running:
        yield running


@pytest.fixture
def job_id(cluster: LocalCluster) -> Iterator[int]:
    """A job of the user on both nodes."""
    number = cluster.submit("-N2", "--uid", USER, "-o/dev/null", "--wrap", "sleep 1000", cwd="/tmp")
    cluster.wait_until(lambda: _state(cluster, number) == "R", "the job runs")
    yield number
    cluster.run("scancel", str(number))
    cluster.wait_jobs_ended()


def _state(cluster: LocalCluster, job_id: int) -> str:
    return cluster.run("squeue", "-h", "-j", str(job_id), "-o", "%t").stdout.strip()


def test_the_step_is_listed_as_slurm_lists_it(cluster: LocalCluster, job_id: int) -> None:
    """Columns and values as Debian's 22.05 prints them for a job on two nodes."""
    rows = [line.split() for line in cluster.run("squeue", "-s", "-h", "-o", "%i %j %N %A").stdout.splitlines()]
    shown = cluster.run("scontrol", "show", "step", f"{job_id}.extern").stdout

    assert rows == [[f"{job_id}.batch", "batch", "n1", "1"], [f"{job_id}.extern", "extern", "n[1-2]", "2"]]
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    assert lines[0].startswith(f"StepId={job_id}.extern UserId=65534 StartTime=")
    assert lines[0].endswith("TimeLimit=UNLIMITED")
    assert lines[1:] == [
        "State=RUNNING Partition=debug NodeList=n[1-2]",
        "Nodes=2 CPUs=0 Tasks=2 Name=extern Network=(null)",
        "TRES=(null)",
        "ResvPorts=(null)",
        "CPUFreqReq=Default",
        "SrunHost:Pid=(null):0",
    ]


def test_it_is_accounted_as_completed_however_the_job_ends(cluster: LocalCluster) -> None:
    good = cluster.submit("-N2", "-o/dev/null", "--wrap", "true")
    bad = cluster.submit("-o/dev/null", "--wrap", "exit 3")
    cancelled = cluster.submit("-o/dev/null", "--wrap", "sleep 1000")
    cluster.wait_until(lambda: _state(cluster, cancelled) == "R", "the job runs")
    cluster.run("scancel", str(cancelled))
    cluster.wait_jobs_ended()

    def accounted(job_id: int) -> list[str]:
        done = cluster.run("sacct", "-nP", "-j", str(job_id), "-o", "JobID,JobName,State,ExitCode,NTasks,NNodes")
        return done.stdout.splitlines()

    assert accounted(good)[2] == f"{good}.extern|extern|COMPLETED|0:0|2|2"
    assert accounted(bad)[1:] == [f"{bad}.batch|batch|FAILED|3:0|1|1", f"{bad}.extern|extern|COMPLETED|0:0|1|1"]
    assert accounted(cancelled)[2] == f"{cancelled}.extern|extern|COMPLETED|0:0|1|1"


def test_steps_of_srun_count_and_fit_as_without_it(cluster: LocalCluster) -> None:
    done = cluster.run("salloc", "-Q", "-N2", "-n8", "srun", "sh", "-c", "echo $SLURM_STEP_ID")

    assert done.stdout.split() == ["0"] * 8


def _let_in(cluster: LocalCluster, folder: Path, user: str, command: str) -> subprocess.Popen[str]:
    """Log the user in on n1 as a service whose account rule is ours."""
    sluice = Path(sys.executable).parent / "sluice"
    words = f"--pam --conf {cluster.conf_path} --nodename n1"
    (folder / "login").write_text(f"account required pam_exec.so quiet stdout {sluice} adopt {words}\n")
    return subprocess.Popen(
        [sys.executable, str(PAM_CLIENT), str(folder), "login", user, command],
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )


@needs_groups
@needs_pam
def test_a_login_of_the_jobs_user_becomes_part_of_the_job(cluster: LocalCluster, job_id: int, tmp_path: Path) -> None:
    with _let_in(cluster, tmp_path, USER, "cat /proc/self/cgroup; echo end; exec sleep 1000") as login:
        assert login.stdout is not None
        seen = "".join(iter(login.stdout.readline, "end\n"))

        cluster.run("scancel", str(job_id))

        assert login.wait(20) == -15
    assert f"job_{job_id}.0/step_extern" in seen


@needs_pam
def test_a_login_without_a_job_is_refused_with_slurms_words(cluster: LocalCluster, tmp_path: Path) -> None:
    with _let_in(cluster, tmp_path, USER, "echo came in") as login:
        assert login.stdout is not None
        said = login.stdout.read()

        assert login.wait(20) == 77
    assert said == f"Access denied: user {USER} (uid=65534) has no active jobs on this node.\n"


@needs_pam
def test_root_is_let_in_and_not_adopted(cluster: LocalCluster, tmp_path: Path) -> None:
    with _let_in(cluster, tmp_path, "root", "cat /proc/self/cgroup") as login:
        assert login.stdout is not None
        seen = login.stdout.read()

        assert login.wait(20) == 0
    assert "step_extern" not in seen


@needs_groups
def test_a_process_is_adopted_by_hand_and_told_of(cluster: LocalCluster, job_id: int) -> None:
    with subprocess.Popen(["sleep", "1000"], user=USER) as stray:
        try:
            done = cluster.run("sluice", "adopt", "--nodename", "n2", str(stray.pid))
            assert done.stdout == f"process {stray.pid} adopted by job {job_id} on node n2\n"

            cluster.run("scancel", str(job_id))
            wait_until(lambda: stray.poll() is not None, 20)
        finally:
            stray.kill()


def test_a_process_of_a_user_without_a_job_is_refused_by_hand(cluster: LocalCluster) -> None:
    with subprocess.Popen(["sleep", "1000"], user="daemon") as stray:
        done = cluster.run("sluice", "adopt", "--nodename", "n1", str(stray.pid), check=False)
        stray.kill()

    assert done.returncode == 1
    assert "user 1 has no job with an extern step on node n1" in done.stderr
