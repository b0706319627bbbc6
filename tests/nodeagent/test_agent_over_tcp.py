"""Between hosts: the agent's connection to its controller, and srun's to the agent."""

from __future__ import annotations

import pytest

from sluice.errors import RequestError
from sluice.wire.light import connect_tcp
from sluice.wire.messages import EndStep
from sluice.wire.step_credential import StepGrant, mint_step_credential
from tests.nodeagent.conftest import NODE, Cluster
from tests.nodeagent.fake_srun import Srun
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def test_an_agent_registers_with_the_cluster_key(cluster: Cluster) -> None:
    seen = len(cluster.controller.registrations)

    cluster.controller.listen_tcp(cluster.controller_port, cluster.key)

    wait_until(lambda: len(cluster.controller.registrations) > seen, 20)
    assert cluster.run("exit 3").exit_code == 3


def test_a_step_is_launched_from_another_host(cluster: Cluster) -> None:
    srun = Srun(cluster, ["sh", "-c", "read line; echo $line from $SLURM_SRUN_COMM_HOST"], is_over_tcp=True)
    srun.wait_started().give(b"said\n")

    assert srun.wait_done().output() == "said from 127.0.0.1\n"
    assert cluster.result(1, 0).exit_code == 0


def test_a_step_of_another_node_may_not_even_say_hello(cluster: Cluster) -> None:
    grant = StepGrant(uid=0, gid=0, user="root", job_id=1, attempt=0, step_id=0, nodes=("n2",))
    foreign = mint_step_credential(cluster.key, grant, "here", cluster.now_at)

    srun = Srun(cluster, ["true"], is_over_tcp=True, hello=foreign)

    assert srun.wait_refused()
    assert NODE not in grant.nodes
    assert not list(cluster.spool.glob("jobs/*"))


def test_a_step_given_up_ends_with_the_srun_that_never_launched_it(cluster: Cluster) -> None:
    grant = StepGrant(uid=0, gid=0, user="root", job_id=90, attempt=0, step_id=0, nodes=(NODE,))
    credential = mint_step_credential(cluster.key, grant, "here", cluster.now_at)
    order = EndStep(node=NODE, epoch=1, job_id=90, attempt=0, step_id=0, kill_wait_s=1.0, only_unlaunched=True)
    with connect_tcp("127.0.0.1", cluster.port, credential) as srun:
        # An answer, though a refusal, says that the agent knows who is there.
        with pytest.raises(RequestError):
            srun.call("Nothing", {})
        cluster.controller.order(step_ends=(order,))
        assert cluster.run("exit 3").exit_code == 3
        assert cluster.controller.result_of(90, 0) is None

    assert cluster.result(90, 0).exit_signal == 15


def test_several_sruns_at_once(cluster: Cluster) -> None:
    """Steps of one job run beside each other, each with its own streams."""
    sruns = [Srun(cluster, ["sh", "-c", f"read x; echo {number} $x"], step_id=number) for number in range(5)]

    for srun in sruns:
        srun.wait_started()
    for number, srun in reversed(list(enumerate(sruns))):
        srun.give(f"got {number}\n".encode())

    assert [srun.wait_done().output() for srun in sruns] == [f"{number} got {number}\n" for number in range(5)]
