"""Logins through a real sshd whose PAM service has them adopted: in the job's limits, its account and its end."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.model.confinement import CgroupSettings
from sluice.testing import LocalCluster
from sluiced.cgroup import detect
from tests.system.own_sshd import OwnSshd, missing, own_sshd
from tests.waiting import wait_until

_MISSING = missing() or detect.unenforced(CgroupSettings())
pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(_MISSING), reason=_MISSING)]
USER = "nobody"
#: A mark by which a process is found again.
_LEFT = "31415926"
#: Uses some of both: a shell that holds 30 million bytes, and that counts.
_WORK = "x=$(head -c 30000000 /dev/zero | tr '\\0' x); i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=1, cpus=2, settings={"PrologFlags": "Contain", "KillWait": "1"}) as running:
        Path(running.conf_path).with_name("cgroup.conf").write_text("ConstrainCores=yes\nConstrainRAMSpace=yes\n")
        running.run("scontrol", "reconfigure")
        yield running


@pytest.fixture(scope="module")
def sshd(cluster: LocalCluster) -> Iterator[OwnSshd]:
    adopt = f"pam_exec.so quiet stdout {Path(sys.executable).parent}/sluice adopt --pam"
    rule = f"required {adopt} --conf {cluster.conf_path} --nodename n1\n"
    with own_sshd(USER, f"account {rule}session {rule}") as running:
        yield running


@pytest.fixture
def job_id(cluster: LocalCluster) -> Iterator[int]:
    """A job of the user with one CPU and some memory."""
    number = cluster.submit("-n1", "--mem=200M", "--uid", USER, "-o/dev/null", "--wrap", "sleep 1000", cwd="/tmp")
    cluster.wait_until(lambda: _running_steps(cluster) == {f"{number}.batch", f"{number}.extern"}, "the job runs")
    yield number
    cluster.run("scancel", str(number))
    cluster.wait_jobs_ended()


def _running_steps(cluster: LocalCluster) -> set[str]:
    return set(cluster.run("squeue", "-s", "-h", "-o", "%i").stdout.split())


@pytest.mark.parametrize("with_key", [pytest.param(True, id="by a key"), pytest.param(False, id="by a password")])
def test_a_session_is_in_the_job_and_ends_with_it(
    cluster: LocalCluster, sshd: OwnSshd, job_id: int, with_key: bool
) -> None:
    command = f"cat /proc/self/cgroup; nproc; {_WORK}; setsid sleep {_LEFT} & echo end; exec sleep 1000"
    with sshd.log_in(USER, command, with_key=with_key) as login:
        *groups, cpus = _read_until(login, "end\n")

        cluster.run("scancel", str(job_id))

        assert login.wait(20)
    wait_until(lambda: not _processes_with(_LEFT), 20)
    cluster.wait_jobs_ended()
    for controller in ("cpuset", "memory"):
        assert [line for line in groups if controller in line and f"job_{job_id}.0/step_extern" in line], groups
    assert cpus == "1\n"
    assert _accounted(cluster, job_id)


def test_a_user_without_a_job_is_told_why_and_refused(sshd: OwnSshd) -> None:
    with sshd.log_in(USER, "echo came in") as login:
        out, err = login.communicate(timeout=20)

    assert (out, login.returncode) == ("", 255)
    assert f"Access denied: user {USER} (uid=65534) has no active jobs on this node." in err


def test_root_comes_in_beside_the_jobs(sshd: OwnSshd, job_id: int) -> None:
    with sshd.log_in("root", "cat /proc/self/cgroup") as login:
        out, _ = login.communicate(timeout=20)

    assert login.returncode == 0
    assert "step_extern" not in out


def _read_until(login: subprocess.Popen[str], last: str) -> list[str]:
    """Return the lines before *last*; fails with what ssh said where there is no such line."""
    assert login.stdout is not None
    assert login.stderr is not None
    lines: list[str] = []
    for line in login.stdout:
        if line == last:
            return lines
        lines.append(line)
    raise AssertionError(f"{lines} {login.stderr.read()}")


def _processes_with(word: str) -> list[Path]:
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in each.read_bytes().split(b"\0"):
                found.append(each)
        except OSError:
            continue
    return found


def _accounted(cluster: LocalCluster, job_id: int) -> bool:
    """Did the extern step use the CPU time and the memory that the session did?"""
    done = cluster.run("sacct", "-nP", "-j", f"{job_id}.extern", "-o", "TotalCPU,MaxRSS", "--noconvert")
    used, peak = done.stdout.strip().split("|")
    return float(used.rpartition(":")[2]) >= 0.5 and int(peak.rstrip("K")) >= 30_000_000 // 1024
