"""Agents die and come back: every job runs once, and its result arrives once."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from sluice.wire.messages import PeerAddress
from sluiced.processes import DAEMON_DIED
from sluiced.spool import Spool, StepKey
from sluiced.steps import forkserver
from tests.nodeagent.conftest import CONFIG, NODE, Cluster, make_job
from tests.nodeagent.fake_srun import Srun
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def test_a_job_outlives_its_agent(cluster: Cluster) -> None:
    job_id = cluster.submit("echo begin; touch begun; while ! test -e go; do sleep 0.05; done; echo end")
    wait_until((cluster.work / "begun").exists)
    cluster.kill_agent()

    cluster.start_agent()
    registered = cluster.controller.registrations[-1]
    (cluster.work / "go").touch()

    result = cluster.result(job_id)
    assert [(step.job_id, step.is_ended) for step in registered.steps] == [(job_id, False)]
    assert result.exit_code == 0
    assert cluster.read() == "begin\nend\n"


def test_a_job_that_ended_without_its_agent_is_told(cluster: Cluster) -> None:
    job_id = cluster.submit("touch begun; while ! test -e go; do sleep 0.05; done; exit 6")
    wait_until((cluster.work / "begun").exists)
    cluster.kill_agent()
    (cluster.work / "go").touch()
    wait_until(lambda: list(cluster.spool.glob("jobs/*/batch.result")))

    cluster.start_agent()

    assert cluster.result(job_id).exit_code == 6
    wait_until(lambda: os.listdir(cluster.spool / "jobs") == [])
    assert len(cluster.controller.results) == 1


def test_a_result_is_repeated_until_it_is_acknowledged(cluster: Cluster) -> None:
    cluster.controller.is_mute = True
    job_id = cluster.submit("exit 4")
    wait_until(lambda: list(cluster.spool.glob("jobs/*/batch.result")))
    cluster.controller.hang_up()
    cluster.controller.is_mute = False

    cluster.controller.listen()

    assert cluster.result(job_id).exit_code == 4


def test_a_repeated_launch_starts_nothing(cluster: Cluster) -> None:
    job = make_job(50, cluster.work, open_mode="a")
    for _ in range(3):
        cluster.launch(job, "#!/bin/sh\necho once\n")
    cluster.result(50)
    cluster.launch(job, "#!/bin/sh\necho once\n")
    cluster.run("true", std_out="other.txt")

    assert cluster.read() == "once\n"


def test_a_lost_step_daemon_is_a_failed_job_with_nothing_left(cluster: Cluster) -> None:
    job_id = cluster.submit("setsid sleep 300 & echo $! > child; echo $$ > pid; wait")
    wait_until(lambda: (cluster.work / "pid").exists() and (cluster.work / "pid").read_text())
    claim = Spool(str(cluster.spool)).read_claim(StepKey(job_id, 0, -5))
    assert claim is not None

    os.kill(claim.pid, signal.SIGKILL)

    result = cluster.result(job_id)
    assert (result.reason, result.reason_text) == ("JobLaunchFailure", DAEMON_DIED)
    for name in ("pid", "child"):
        pid = int(cluster.read(name))
        wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists())  # type: ignore[misc]


def test_a_lost_step_daemon_leaves_no_folder_of_its_step(cluster: Cluster) -> None:
    """Nor are those of other nodes of this host touched, where the same step may run."""
    here = PeerAddress(address="127.0.0.1", port=cluster.port)
    Srun(cluster, ["sleep", "300"], mpi="pmi2", peers=(here,)).wait_started()
    claim = Spool(str(cluster.spool)).read_claim(StepKey(1, 0, 0))
    assert claim is not None
    (folder,) = Path("/tmp").glob(f"sluice.1.0.{claim.pid}.*")
    neighbour = Path(tempfile.mkdtemp(prefix="sluice.1.0.1."))
    cluster.closers.append(neighbour.rmdir)

    os.kill(claim.pid, signal.SIGKILL)

    assert cluster.result(1, 0).reason_text == DAEMON_DIED
    wait_until(lambda: not folder.exists())
    assert neighbour.is_dir()


def test_a_launch_that_nobody_claimed_is_started_after_the_restart(cluster: Cluster) -> None:
    """The agent stops between writing the launch and asking for the step daemon."""
    job_id = cluster.submit("touch begun; while ! test -e go; do sleep 0.05; done")
    wait_until((cluster.work / "begun").exists)
    cluster.kill_agent()
    folder = cluster.spool / "jobs" / f"{job_id}.0"
    copy = cluster.spool / "jobs" / "9.0"
    copy.mkdir()
    script = copy / "slurm_script"
    script.write_text("#!/bin/sh\necho late\n")
    script.chmod(0o755)
    _write_copy(cluster, copy, job_id)
    (cluster.work / "go").touch()

    cluster.start_agent()

    cluster.result(9)
    assert cluster.read("late.txt") == "late\n"
    wait_until(lambda: not folder.exists())


@pytest.fixture
def unclaimed(cluster: Cluster) -> Cluster:
    """The agent has died once more, after it had written the launch of a step that nobody has begun."""
    (server,) = _fork_servers(cluster)
    os.kill(server, signal.SIGSTOP)
    Srun(cluster, ["echo", "lost"])
    wait_until(lambda: list(cluster.spool.glob("jobs/1.0/0.launch")))
    cluster.kill_agent()
    os.kill(server, signal.SIGKILL)
    cluster.start_agent()
    return cluster


def test_a_step_that_nobody_had_begun_is_launched_again(unclaimed: Cluster) -> None:
    assert all(step.step_id != 0 for step in unclaimed.controller.registrations[-1].steps)

    assert Srun(unclaimed, ["echo", "again"]).wait_done().output() == "again\n"

    assert unclaimed.result(1, 0).exit_code == 0
    assert len(unclaimed.controller.results) == 1


def test_a_step_that_nobody_had_begun_ends_when_its_srun_does_not_come_back(unclaimed: Cluster) -> None:
    assert unclaimed.result(1, 0).exit_signal == signal.SIGTERM
    assert Srun(unclaimed, ["echo", "late"]).wait_done().error is not None


def _write_copy(cluster: Cluster, copy: Path, job_id: int) -> None:
    spool = Spool(str(cluster.spool))
    launch = spool.read_launch(StepKey(job_id, 0, -5))
    assert launch is not None
    spec = msgspec.structs.replace(launch.job.spec, std_out="late.txt")
    job = msgspec.structs.replace(launch.job, id=9, spec=spec)
    script = str(copy / "slurm_script")
    spool.write_launch(StepKey(9, 0, -5), msgspec.structs.replace(launch, job=job, script_path=script))


def test_what_the_controller_does_not_want_is_ended(cluster: Cluster) -> None:
    job_id = cluster.submit("touch begun; sleep 300")
    wait_until((cluster.work / "begun").exists)
    cluster.controller.hang_up()
    cluster.controller.stale = (("n1", job_id, 0),)

    cluster.controller.listen()

    assert cluster.result(job_id).is_node_clean


def test_jobs_of_another_cluster_of_the_same_name_are_forgotten(cluster: Cluster) -> None:
    """The same job id comes again from a controller with a new database, while the old job still runs."""
    controller = cluster.controller
    _reconnect_as(cluster, "old")
    job = make_job(7, cluster.work)
    cluster.launch(job, "#!/bin/sh\necho $$ > pid\nexec sleep 300\n")
    wait_until(lambda: (cluster.work / "pid").exists() and (cluster.work / "pid").read_text())

    _reconnect_as(cluster, "new")
    wait_until(lambda: not controller.registrations[-1].steps)
    cluster.launch(make_job(7, cluster.work, std_out="new.txt"), "#!/bin/sh\necho new\n")

    assert cluster.result(7).exit_code == 0
    assert cluster.read("new.txt") == "new\n"
    assert [result.exit_signal for result in controller.results] == [0]
    wait_until(lambda: not Path(f"/proc/{int(cluster.read('pid'))}").exists())


def _reconnect_as(cluster: Cluster, cluster_id: str) -> None:
    seen = len(cluster.controller.registrations)
    cluster.controller.hang_up()
    cluster.controller.cluster_id = cluster_id
    cluster.controller.listen()
    wait_until(lambda: len(cluster.controller.registrations) > seen, 20)


def test_a_fork_server_ends_quietly_whose_agent_was_killed_with_an_answer_unread() -> None:
    agent, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with server:
        server.send(b"an answer")
        agent.close()

        assert not forkserver._serve_one(server, -1)


def test_the_fork_server_is_replaced(cluster: Cluster) -> None:
    (server,) = _fork_servers(cluster)

    os.kill(server, signal.SIGKILL)

    assert cluster.run("echo still").exit_code == 0


def _fork_servers(cluster: Cluster) -> list[int]:
    assert cluster.agent is not None
    children = Path(f"/proc/{cluster.agent.pid}/task/{cluster.agent.pid}/children")
    return [int(pid) for pid in children.read_text().split()] if children.exists() else _children(cluster.agent.pid)


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def test_an_allocation_without_a_step_has_its_epilog_after_a_restart(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    epilog = cluster.folder / "epilog"
    epilog.write_text(f"#!/bin/sh\necho epilog $SLURM_JOB_ID >> {cluster.work}/epilog.log\n")
    epilog.chmod(0o755)
    cluster.controller.config = replace(CONFIG, epilog=(str(epilog),))
    cluster.start_agent()
    Srun(cluster, ["true"]).wait_done()
    cluster.result(1, 0)
    wait_until(lambda: not list(cluster.spool.glob("jobs/1.0/0.*")))
    cluster.kill_agent()

    cluster.start_agent()
    cluster.end(1)

    wait_until(lambda: cluster.controller.is_clean(1))
    assert cluster.read("epilog.log") == "epilog 1\n"


def test_a_credential_of_a_job_that_has_ended_launches_nothing_on_an_agent_that_is_started_anew(
    cluster: Cluster,
) -> None:
    """The agent that knew of the end is gone, and its spool has forgotten the job."""
    made_at = cluster.now_at
    used = Srun(cluster, ["true"]).wait_done()
    cluster.end(1)
    wait_until(lambda: cluster.controller.is_clean(1), 20)
    wait_until(lambda: os.listdir(cluster.spool / "jobs") == [])
    cluster.controller.ended.add(1)
    cluster.kill_agent()
    cluster.start_agent()

    again = Srun(cluster, ["true"], credential=used.credential).wait_done()
    # A step that was made and never launched.
    unused = Srun(cluster, ["true"], step_id=1, made_at=made_at).wait_done()

    for srun in (again, unused):
        assert srun.error is not None
        assert (srun.error.code, srun.error.message) == (
            "ended",
            f"job 1 has ended on node {NODE}, the controller says",
        )
    assert os.listdir(cluster.spool / "jobs") == []


def test_a_step_that_was_made_before_its_agent_was_started_anew_begins(cluster: Cluster) -> None:
    made_at = cluster.now_at
    cluster.kill_agent()
    cluster.start_agent()

    assert Srun(cluster, ["true"], made_at=made_at).wait_done().exits[0].exit_code == 0
    assert Srun(cluster, ["true"], made_at=made_at, step_id=1).wait_done().exits[0].exit_code == 0
    assert cluster.controller.located == [1], "a job that is here is not asked for"
