"""X11 on a real agent: who may have it forwarded, whose the cookie is, and when it ends."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluice.errors import RequestError, SluiceError
from sluice.model.base import EXTERN_STEP
from sluice.model.job import Job
from sluice.wire.faults import error_from
from sluice.wire.framing import ERROR
from sluice.wire.light import connect_unix
from sluice.wire.light_connection import LightConnection
from sluice.wire.messages import PrepareJob
from sluice.wire.step_credential import StepGrant, mint_step_credential
from tests.nodeagent.conftest import CONFIG, NODE, Cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.system

MakeCluster = Callable[..., Cluster]
X11 = ("Alloc", "Contain", "X11")
COOKIE = bytes(range(16))


def start(make_cluster: MakeCluster, flags: tuple[str, ...] = X11) -> Cluster:
    cluster = make_cluster(msgspec.structs.replace(CONFIG, prolog_flags=flags))
    cluster.start_agent()
    return cluster


def prepare(cluster: Cluster, **fields: Any) -> Job:
    job = cluster.new_job(**fields)
    order = PrepareJob(node=NODE, epoch=1, job_id=job.id, attempt=0, job=job)
    cluster.controller.order(prepares=(order,))
    wait_until(lambda: any(each.job_id == job.id for each in cluster.controller.prepared), 20)
    return job


def credential(cluster: Cluster, job: Job, *nodes: str) -> str:
    spec = job.spec
    grant = StepGrant(
        job_id=job.id,
        attempt=0,
        step_id=EXTERN_STEP,
        uid=spec.uid,
        gid=spec.gid,
        user=spec.user,
        nodes=nodes or (NODE,),
    )
    return mint_step_credential(cluster.key, grant, "test", cluster.now_at)


def forward(cluster: Cluster, job: Job, **fields: Any) -> tuple[LightConnection, dict[str, Any]]:
    """Return the connection and X11Ready.  Raises SluiceError."""
    connection = connect_unix(cluster.agent_socket)
    body = {"credential": credential(cluster, job), "node": NODE, "cookie": COOKIE} | fields
    connection.send_request("ForwardX11", body)
    kind, _, _, answer = connection.receive(20)
    if kind == ERROR:
        connection.close()
        raise error_from(answer["code"], answer["message"])
    return connection, answer


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs jobs of others")
def test_the_cookie_is_the_jobs_users(make_cluster: MakeCluster) -> None:
    cluster = start(make_cluster)
    job = prepare(cluster, uid=65534, gid=65534, user="nobody")

    connection, ready = forward(cluster, job)

    status = os.stat(ready["xauthority"])
    assert (status.st_uid, status.st_mode & 0o777) == (65534, 0o600)
    assert COOKIE in Path(ready["xauthority"]).read_bytes()
    connection.close()


@pytest.mark.parametrize("end", ["the connection", "the job"])
def test_nothing_is_left_once_it_ends(make_cluster: MakeCluster, end: str) -> None:
    cluster = start(make_cluster)
    job = prepare(cluster)
    connection, ready = forward(cluster, job)
    port = 6000 + ready["number"]
    socket.create_connection(("127.0.0.1", port), 5).close()

    if end == "the job":
        cluster.end(job.id)
        cluster.result(job.id, EXTERN_STEP)
    connection.close()

    wait_until(lambda: not Path(ready["xauthority"]).exists(), 20)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_it_outlives_the_agent(make_cluster: MakeCluster) -> None:
    cluster = start(make_cluster)
    connection, ready = forward(cluster, prepare(cluster))

    cluster.kill_agent()

    with socket.create_connection(("127.0.0.1", 6000 + ready["number"]), 5):
        assert connection.receive(20)[2:] == ("X11Open", {"channel": 1})
    connection.close()
    cluster.start_agent()


def test_a_step_daemon_that_dies_leaves_no_cookie(make_cluster: MakeCluster) -> None:
    cluster = start(make_cluster)
    job = prepare(cluster)
    connection, ready = forward(cluster, job)
    claim = cluster.spool / "jobs" / f"{job.id}.0" / "extern.claim"

    os.kill(int(os.readlink(claim).partition(".")[0]), signal.SIGKILL)

    wait_until(lambda: not Path(ready["xauthority"]).exists(), 20)
    connection.close()


def test_several_are_kept_apart(make_cluster: MakeCluster) -> None:
    cluster = start(make_cluster)
    job = prepare(cluster)

    (first, one), (second, other) = forward(cluster, job), forward(cluster, job)

    assert one["number"] != other["number"]
    with socket.create_connection(("127.0.0.1", 6000 + other["number"]), 5):
        assert second.receive(20)[2] == "X11Open"
    first.close()
    second.close()


def test_a_folder_that_takes_no_file_is_told(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(msgspec.structs.replace(CONFIG, prolog_flags=X11, tmp_fs="/no/such/folder"))
    cluster.start_agent()

    connection, ready = forward(cluster, prepare(cluster))

    assert "No such file or directory" in ready["problem"]
    connection.close()


def test_without_the_flag_it_is_refused(make_cluster: MakeCluster) -> None:
    cluster = start(make_cluster, ("Alloc", "Contain"))

    with pytest.raises(RequestError, match="PrologFlags has no X11"):
        forward(cluster, prepare(cluster))


def test_a_job_that_is_not_here_is_refused(make_cluster: MakeCluster) -> None:
    cluster = start(make_cluster)

    with pytest.raises(RequestError, match=r"job 1 has no extern step on node n1") as refusal:
        forward(cluster, cluster.new_job())

    assert refusal.value.code == "not_running"


def test_a_credential_for_another_node_is_refused(make_cluster: MakeCluster) -> None:
    cluster = start(make_cluster)
    job = prepare(cluster)

    with pytest.raises(SluiceError, match="is not for node n1"):
        forward(cluster, job, credential=credential(cluster, job, "n2"))
    with pytest.raises(SluiceError):
        forward(cluster, job, credential="made up")
