"""An agent that manages the steps of jobs: handed over, made, waited for, told, and known after it was killed."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import msgspec
import pytest

from sluice.errors import NotPermitted, RequestError, Unreachable
from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.job import Job
from sluice.model.states import Ending
from sluice.model.step import Step
from sluice.wire import light
from sluice.wire.credentials import LIFETIME_S, Claims, mint, new_nonce
from sluice.wire.framing import ERROR, NOTICE, node_audience
from sluice.wire.light import LightConnection, new_token
from sluice.wire.messages import ManagedJob, NodeAddress, SignalJob, StepResult, TellManager
from sluice.wire.step_credential import grant_launch, mint_step_credential
from sluiced.spool import Spool
from tests.nodeagent.conftest import NODE, Cluster
from tests.waiting import wait_until

#: A second node of the job, whose agent is not there.
OTHER = "n2"


def hand_over(cluster: Cluster, **fields: Any) -> Job:
    """Return an allocation of two CPUs on the agent's node and two on another, whose steps it may manage."""
    job = cluster.new_job(is_batch=False, **fields)
    grants = tuple(NodeGrant(node=node, cpus="0-1", cpu_count=2, memory_mib=100) for node in (NODE, OTHER))
    job = msgspec.structs.replace(job, allocation=Allocation(grants=grants, tasks_per_node=(2, 2)))
    addresses = tuple(NodeAddress(node=node, address="127.0.0.1", port=cluster.port) for node in (NODE, OTHER))
    cluster.controller.managed[job.id] = ManagedJob(
        job=job, addresses=addresses, tasks_per_node_max=100, steps_per_job_max=1000, cluster="test"
    )
    return job


def ask(cluster: Cluster, job: Job, ntasks: int = 1, **fields: Any) -> dict[str, Any]:
    """Return StepCreated.  Raises RequestError."""
    with light.connect_unix(cluster.agent_socket) as agent:
        created: dict[str, Any] = agent.call("CreateStep", request(job, ntasks, **fields))
        return created


def request(job: Job, ntasks: int = 1, token: str = "", **fields: Any) -> dict[str, Any]:
    spec = {"name": "s", "ntasks": ntasks, "min_nodes": 1, "is_exact": True, **fields}
    return {"token": token or new_token(), "job_id": job.id, "spec": spec}


def launch(cluster: Cluster, created: dict[str, Any], *argv: str) -> LightConnection:
    """Start the step's tasks on the agent's node; return the connection, on which the step daemon talks."""
    connection = light.connect_tcp("127.0.0.1", cluster.port, created["credential"])
    cluster.closers.append(connection.close)
    body = {
        "credential": created["credential"],
        "job": created["job"],
        "step": created["step"],
        "node": NODE,
        "argv": list(argv),
        "environment": [b"PATH=" + os.environb[b"PATH"]],
        "work_dir": "/",
        "std_in": "none",
    }
    connection.send_request("TaskLaunch", body)
    return connection


def wait_done(connection: LightConnection) -> None:
    while True:
        kind, _, name, _ = connection.receive()
        if kind == NOTICE and name == "StepDone":
            # As srun does: the step daemon waits for that.
            connection.close()
            return


def run(cluster: Cluster, job: Job, *argv: str) -> int:
    created = ask(cluster, job, required_nodes=[NODE])
    wait_done(launch(cluster, created, *argv))
    number: int = created["step"].get("step_id", 0)
    with light.connect_unix(cluster.agent_socket) as agent:
        agent.call("WaitStepEnd", {"job_id": job.id, "step_id": number})
    return number


def told(cluster: Cluster, job: Job) -> list[tuple[int, tuple[str, ...], int]]:
    """Return (number, nodes where it runs, exit code) of what was reported of the job's steps."""
    return [(step.step_id, step.running_nodes, step.exit_code) for step in cluster.controller.steps]


def test_a_jobs_steps_are_handed_over_once_and_then_made_here(cluster: Cluster) -> None:
    job = hand_over(cluster)
    assert [run(cluster, job, "true") for _ in range(3)] == [0, 1, 2]

    assert cluster.controller.handed_over == [job.id]
    wait_until(lambda: {number for number, nodes, _ in told(cluster, job) if not nodes} == {0, 1, 2}, 20)
    # Their results are a matter of their manager's.
    assert cluster.controller.results == []


def test_a_short_step_is_told_once(cluster: Cluster) -> None:
    job = hand_over(cluster)
    for code in (0, 3):
        run(cluster, job, "sh", "-c", f"exit {code}")

    wait_until(lambda: len([nodes for _, nodes, _ in told(cluster, job) if not nodes]) == 2, 20)
    ended = [(number, code) for number, nodes, code in told(cluster, job) if not nodes]
    assert ended == [(0, 0), (1, 3)]


def test_steps_are_made_while_the_controller_is_away(cluster: Cluster) -> None:
    job = hand_over(cluster)
    run(cluster, job, "true")
    cluster.controller.hang_up()
    assert run(cluster, job, "true") == 1

    cluster.controller.listen()
    wait_until(lambda: (1, (), 0) in told(cluster, job), 20)


def test_a_request_waits_for_room_and_is_told_who_has_it(cluster: Cluster) -> None:
    job = hand_over(cluster)
    first = ask(cluster, job, 4)
    with light.connect_unix(cluster.agent_socket) as agent:
        agent.send_request("CreateStep", request(job, 3))
        kind, _, name, body = agent.receive()
        assert (kind, name) == (NOTICE, "StepWaits")
        assert "step 1.0 (s) has 4" in body["text"]

        with light.connect_unix(cluster.agent_socket) as other:
            other.call("FinishStep", {"job_id": job.id, "step_id": first["step"].get("step_id", 0)})
        assert agent.receive()[3]["step"]["step_id"] == 1


def test_an_immediate_request_does_not_wait(cluster: Cluster) -> None:
    job = hand_over(cluster)
    ask(cluster, job, 4)
    with pytest.raises(RequestError) as refusal:
        ask(cluster, job, 1, is_immediate=True)
    assert refusal.value.code == "step_busy"


def test_steps_that_are_not_handed_over_are_the_controllers(cluster: Cluster) -> None:
    job = cluster.new_job(is_batch=False)
    with pytest.raises(RequestError, match="steps of job 1 run that the controller manages") as refusal:
        ask(cluster, job)
    assert refusal.value.code == "steps_elsewhere"

    hand_over_later = hand_over(cluster)
    assert ask(cluster, hand_over_later)["step"]["job_id"] == hand_over_later.id


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to make a step of somebody else's job")
def test_a_step_is_made_for_the_jobs_owner_alone(cluster: Cluster) -> None:
    job = hand_over(cluster, uid=12345, gid=12345)
    with pytest.raises(NotPermitted, match="belongs to uid 12345"):
        ask(cluster, job)


def test_a_request_that_is_repeated_gets_the_same_step(cluster: Cluster) -> None:
    job = hand_over(cluster)
    created = [ask(cluster, job, token="once")["step"].get("step_id", 0) for _ in range(2)]
    assert created == [0, 0]


def test_a_step_gets_the_ports_that_the_controller_leases(cluster: Cluster) -> None:
    job = hand_over(cluster)
    assert ask(cluster, job, ports=8)["step"]["ports"] == [13000, 13007]


def test_a_step_whose_ports_the_controller_cannot_lease_now_is_there_when_it_is_asked_for_again(
    cluster: Cluster,
) -> None:
    job = hand_over(cluster)
    ask(cluster, job)
    cluster.controller.hang_up()
    with pytest.raises(Unreachable):
        ask(cluster, job, token="once", ports=8)

    cluster.controller.listen()
    wait_until(lambda: len(cluster.controller.registrations) == 2, 20)
    step = ask(cluster, job, token="once", ports=8)["step"]
    assert (step["step_id"], step["ports"]) == (1, [13000, 13007])


def test_a_killed_agent_goes_on_with_the_steps_where_it_was(cluster: Cluster) -> None:
    job = hand_over(cluster)
    run(cluster, job, "true")
    created = ask(cluster, job, 2)
    srun = launch(cluster, created, "sh", "-c", f"until [ -e {cluster.work}/go ]; do sleep 0.05; done; exit 5")
    while srun.receive()[2] != "TaskStarted":
        pass

    cluster.kill_agent()
    cluster.start_agent()

    assert cluster.controller.handed_over == [job.id]
    # Its CPUs are not given to others, nor its number.
    with pytest.raises(RequestError, match=r"step 1\.1 \(s\) has 2"):
        ask(cluster, job, 3, is_immediate=True)
    assert ask(cluster, job, 1)["step"]["step_id"] == 2
    (cluster.work / "go").touch()
    wait_done(srun)
    wait_until(lambda: (1, (), 5) in told(cluster, job), 20)


def test_another_nodes_agent_tells_the_manager_its_results(cluster: Cluster) -> None:
    job = hand_over(cluster)
    created = ask(cluster, job, 4)
    wait_done(launch(cluster, created, "true"))
    wait_until(lambda: (0, (OTHER,), 0) in told(cluster, job), 20)

    result = StepResult(node=OTHER, job_id=job.id, attempt=0, step_id=0, exit_code=7)
    with _as_agent_of(cluster, OTHER) as agent:
        agent.call("Report", msgspec.to_builtins({"results": [result]}))
    wait_until(lambda: (0, (), 7) in told(cluster, job), 20)


def _as_agent_of(cluster: Cluster, node: str) -> LightConnection:
    claims = Claims(uid=0, gid=0, user="root", host=node, audience=node_audience(NODE), node=node)
    credential = mint(cluster.key, claims, time.time(), LIFETIME_S, new_nonce())
    return light.connect_tcp("127.0.0.1", cluster.port, credential)


@pytest.mark.parametrize("whose", [OTHER, None])
def test_nobody_else_reports_a_nodes_results(cluster: Cluster, whose: str | None) -> None:
    job = hand_over(cluster)
    ask(cluster, job, 4)
    result = msgspec.to_builtins(StepResult(node=NODE, job_id=job.id, attempt=0, step_id=0))
    connection = _as_agent_of(cluster, whose) if whose else light.connect_unix(cluster.agent_socket)
    with connection as peer, pytest.raises(NotPermitted, match="from the agent of the node"):
        peer.call("Report", {"results": [result]})


def test_what_the_controller_knows_better_is_taken(cluster: Cluster) -> None:
    job = hand_over(cluster)
    ask(cluster, job, 4)
    lost = StepResult(node=OTHER, job_id=job.id, attempt=0, step_id=0, exit_signal=9)
    cluster.controller.order(managers=(TellManager(node=NODE, epoch=1, job_id=job.id, attempt=0, results=(lost,)),))
    wait_until(lambda: (0, (NODE,), 0) in told(cluster, job), 20)


def test_a_changed_job_is_what_its_next_steps_see_also_after_a_restart(cluster: Cluster) -> None:
    job = hand_over(cluster)
    ask(cluster, job)
    revised = msgspec.structs.replace(job, limit_s=4620)
    order = TellManager(node=NODE, epoch=1, job_id=job.id, attempt=0, job=revised)
    cluster.controller.order(managers=(order,))
    wait_until(lambda: ask(cluster, job, is_overlapping=True)["job"].get("limit_s") == 4620, 20)
    number = ask(cluster, job, is_overlapping=True)["step"]["step_id"]

    cluster.kill_agent()
    cluster.start_agent()

    created = ask(cluster, job, is_overlapping=True)
    assert (created["job"]["limit_s"], created["step"]["step_id"]) == (4620, number + 1)


def test_a_suspended_job_gets_no_step_until_it_goes_on(cluster: Cluster) -> None:
    job = hand_over(cluster)
    ask(cluster, job)

    def suspend(number: int) -> None:
        order = SignalJob(node=NODE, epoch=1, job_id=job.id, attempt=0, signal=number, is_suspension=True)
        cluster.controller.order(signals=(order,))

    suspend(19)
    wait_until(lambda: _code_of(cluster, job) == "not_running", 20)
    suspend(18)
    wait_until(lambda: _code_of(cluster, job) == "", 20)


def _code_of(cluster: Cluster, job: Job) -> str:
    try:
        ask(cluster, job, is_overlapping=True)
    except RequestError as error:
        return error.code
    return ""


def test_a_job_that_ends_tells_of_its_steps_before_its_node_is_clean(cluster: Cluster) -> None:
    job = hand_over(cluster)
    ask(cluster, job, 4)
    with light.connect_unix(cluster.agent_socket) as agent:
        agent.send_request("CreateStep", request(job, 2))
        assert agent.receive()[2] == "StepWaits"

        cluster.end(job.id, Ending.CANCEL)

        kind, _, _, body = agent.receive()
        assert (kind, body["code"]) == (ERROR, "already_done")
    wait_until(lambda: cluster.controller.is_clean(job.id), 20)
    assert (0, (NODE, OTHER), 0) in told(cluster, job)
    wait_until(lambda: Spool(str(cluster.spool)).jobs() == [], 20)


def test_results_go_to_the_controller_where_their_manager_does_not_answer(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step whose manager was, by its credential, on a node that knows nothing of the job."""
    job = hand_over(cluster)
    with socket.create_server(("127.0.0.1", 0)) as manager:
        place = NodeAddress(node=OTHER, address="127.0.0.1", port=manager.getsockname()[1])
        created = _created_by(cluster, job, place)
        connection = launch(cluster, created, "sh", "-c", "exit 4")
        wait_done(connection)
        # It says nothing; being ended, the job waits for it no longer.
        cluster.end(job.id)
        wait_until(lambda: cluster.controller.is_clean(job.id), 20)
    found = cluster.controller.result_of(job.id, 0)
    assert found is not None
    assert found.exit_code == 4


def _created_by(cluster: Cluster, job: Job, manager: NodeAddress) -> dict[str, Any]:
    created = ask(cluster, hand_over(cluster))
    step = msgspec.convert({**created["step"], "job_id": job.id}, Step)
    credential = mint_step_credential(cluster.key, grant_launch(job, step, manager), "here", time.time())
    return {"credential": credential, "job": msgspec.to_builtins(job), "step": msgspec.to_builtins(step)}
