"""Who is asked for a step: the agent that the job's programs are told of, and where answers point to."""

import pytest

from sluice.errors import RequestError
from sluice_cli import client
from sluice_cli.srun import main
from sluice_cli.step_maker import StepMaker
from tests.cli.conftest import serving
from tests.cli.srun.fake_node import JOB


def elsewhere(body):
    raise RequestError("they are managed elsewhere", "steps_elsewhere")


@pytest.fixture
def agent(nodes, controller, dead_cluster, monkeypatch):
    """The agent of this node, which makes the steps of job 43; a program of that job runs here."""
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    monkeypatch.setenv("SLUICE_STEPS_AT", "n1,127.0.0.1,1")
    with serving(dead_cluster / "agent.sock") as handler:
        for name in ("LocateJob", "CreateStep", "FinishStep"):
            handler.answers[name] = controller.answers[name]
        handler.answers["WaitStepEnd"] = lambda body: {}
        yield handler


def names(handler):
    return [name for name, _ in handler.requests]


def test_a_program_of_a_job_asks_its_agent_and_not_the_controller(agent, nodes, controller):
    for node in nodes:
        node.end()
    assert main(["-n1", "prog"]) == 0
    assert names(agent)[:2] == ["LocateJob", "CreateStep"]
    assert names(controller) == []


def test_the_controller_is_asked_where_the_agent_does_not_make_the_steps(agent, nodes, controller):
    agent.answers["CreateStep"] = elsewhere
    for node in nodes:
        node.end()
    assert main(["-n1", "prog"]) == 0
    assert names(agent) == ["LocateJob", "CreateStep"]
    assert names(controller) == ["CreateStep"]


def test_the_controller_is_asked_where_no_agent_answers(nodes, controller, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    monkeypatch.setenv("SLUICE_STEPS_AT", "n9,127.0.0.1,1")
    for node in nodes:
        node.end()
    assert main(["-n1", "prog"]) == 0
    assert names(controller) == ["LocateJob", "CreateStep"]


@pytest.mark.parametrize("text", ["", "n1", "n1,host", "n1,host,port", ",,", "n1,,6818", "n1,host,-1"])
def test_what_is_no_place_is_none(text, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    monkeypatch.setenv("SLUICE_STEPS_AT", text)
    assert not StepMaker(43).is_agent


def test_another_jobs_agent_is_not_asked(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    monkeypatch.setenv("SLUICE_STEPS_AT", "n1,127.0.0.1,6818")
    assert StepMaker(43).is_agent
    assert not StepMaker(44).is_agent
    assert not StepMaker(None).is_agent


def test_an_outsider_goes_where_the_controller_says(controller, monkeypatch):
    """Both sides that point at each other are not asked for ever."""
    asked = []
    monkeypatch.setattr("sluice_cli.step_maker._MOVE_PAUSE_S", 0.0)
    at = {"node": "n1", "address": "127.0.0.1", "port": 1, "credential": "c"}
    controller.answers["CreateStep"] = elsewhere
    controller.answers["LocateJob"] = lambda body: {"job": JOB, "steps_at": at}
    maker = StepMaker(43)

    def reach(self, node, address, port):
        asked.append((node, address, port, self._credential))
        raise RequestError("not here either", "steps_elsewhere")

    monkeypatch.setattr(StepMaker, "_reach", reach)
    with pytest.raises(RequestError, match=r"elsewhere|either"):
        maker.call("CreateStep", {})
    assert set(asked) == {("n1", "127.0.0.1", 1, "c")}
    assert 1 < len(asked) <= 10


@pytest.mark.parametrize(
    ("pattern", "own", "asked", "expected"),
    [
        ("%n.sock", "", "n1", "n1.sock"),
        ("%n.sock", "n1", "n2", "n2.sock"),
        ("%n.sock", "", "n3", ""),
        ("agent.sock", "n1", "n1", "agent.sock"),
        ("agent.sock", "n1", "n2", ""),
        ("agent.sock", "", "n1", ""),
    ],
)
def test_an_agent_on_this_host_is_reached_by_its_socket(pattern, own, asked, expected, dead_cluster, monkeypatch):
    """By its node's name in the path; where all hosts have one path, there is only this node's own."""
    for name in ("n1.sock", "n2.sock", "agent.sock"):
        (dead_cluster / name).touch()
    conf = dead_cluster / "own.conf"
    conf.write_text(f"ClusterName=test\nSlurmctldHost=localhost\nSluiceAgentSocket={dead_cluster}/{pattern}\n")
    monkeypatch.setenv("SLUICE_CONF", str(conf))
    if own:
        monkeypatch.setenv("SLURMD_NODENAME", own)
    assert client.agent_socket_of(asked) == (str(dead_cluster / expected) if expected else "")
