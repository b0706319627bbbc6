"""An agent without privilege: runs jobs of its own user alone, unenforced, and says so."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.wire.messages import SignalJob
from tests import open_python
from tests.nodeagent.conftest import NODE, Cluster, make_job
from tests.nodeagent.fake_srun import Srun
from tests.waiting import wait_until

UID = open_python.NOBODY


pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not open_python.find(), reason="needs root to begin with, and a Python that everybody may run"),
]


@pytest.fixture
def own_cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    made = make_cluster()
    for path in (made.folder, made.work, made.folder / "sluice.key"):
        os.chown(path, UID, UID)
    made.start_agent(uid=UID)
    return made


def _own(**fields: Any) -> dict[str, Any]:
    return {"uid": UID, "gid": UID, "user": pwd.getpwuid(UID).pw_name} | fields


def test_it_says_what_it_cannot_enforce(own_cluster: Cluster) -> None:
    assert "not permitted" in own_cluster.controller.registrations[-1].inventory.unenforced


def test_its_own_users_job_runs(own_cluster: Cluster) -> None:
    result = own_cluster.run("id -u; exit 3", **_own())

    assert (result.exit_code, result.is_node_clean) == (3, True)
    assert own_cluster.read() == f"{UID}\n"


def test_another_users_job_is_refused(own_cluster: Cluster) -> None:
    result = own_cluster.run("touch ran")

    assert result.reason == "JobLaunchFailure"
    assert f"runs as uid {UID} and cannot run a job of uid 0" in result.reason_text
    assert not (own_cluster.work / "ran").exists()


def test_its_own_users_step_runs(own_cluster: Cluster) -> None:
    job = make_job(1, own_cluster.work, is_batch=False, **_own())

    assert Srun(own_cluster, ["id", "-u"], job=job).wait_done().output() == f"{UID}\n"


def test_its_jobs_are_ended(own_cluster: Cluster) -> None:
    job_id = own_cluster.submit("trap '' TERM; touch begun; while :; do sleep 0.05; done", **_own())
    wait_until((own_cluster.work / "begun").exists)

    own_cluster.end(job_id, kill_wait_s=0.2)

    assert own_cluster.result(job_id).exit_signal == 9


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_its_suspended_jobs_are_stopped_and_go_on(own_cluster: Cluster) -> None:
    """Without a freezer by signals, to whatever the job has started."""
    job_id = own_cluster.submit("setsid sh -c 'echo $$ > pid; exec sleep 300' & wait", **_own())
    file = own_cluster.work / "pid"
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"), 20)
    pid = int(file.read_text())

    for number, states in ((signal.SIGSTOP, "T"), (signal.SIGCONT, "S")):
        order = SignalJob(
            node=NODE, epoch=1, job_id=job_id, attempt=0, signal=number, to_batch=True, full=True, is_suspension=True
        )
        own_cluster.controller.order(signals=(order,))
        wait_until(lambda states=states: _state(pid) in states, 20)

    own_cluster.end(job_id)
    assert own_cluster.result(job_id).exit_signal == signal.SIGTERM


def test_its_jobs_outlive_it(own_cluster: Cluster) -> None:
    job_id = own_cluster.submit("touch begun; while ! test -e go; do sleep 0.05; done; exit 5", **_own())
    wait_until((own_cluster.work / "begun").exists)
    own_cluster.kill_agent()
    (own_cluster.work / "go").touch()

    own_cluster.start_agent(uid=UID)

    assert own_cluster.result(job_id).exit_code == 5
