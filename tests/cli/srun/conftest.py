"""What srun finds from its command line to its exit status: a controller that answers, two nodes, no input."""

import os

import pytest

from sluice_cli import srun_launch
from tests.cli.srun.fake_node import JOB, FakeNode


@pytest.fixture
def nodes(controller, monkeypatch):
    """Two nodes, ranks 0-1 and 2, and a controller that gives a job and a step on them."""
    made = [FakeNode("n1", [0, 1]), FakeNode("n2", [2])]
    parts = [{"node": node.name, "ntasks": len(node.ranks)} for node in made]
    created = {
        "step": {"job_id": 43, "step_id": 0, "spec": {"name": "prog"}, "nodes": parts},
        "addresses": [],
        "credential": "c",
        "job": JOB,
        "kill_wait_s": 5.0,
    }
    controller.answers["SubmitJob"] = lambda body: {"job_id": 43}
    controller.answers["WaitJobStart"] = lambda body: {"job": JOB}
    controller.answers["LocateJob"] = lambda body: {"job": JOB}
    controller.answers["CreateStep"] = lambda body: dict(created)
    controller.answers["FinishAllocation"] = lambda body: {}
    controller.answers["FinishStep"] = lambda body: {}
    controller.answers["KillJobs"] = lambda body: {}
    monkeypatch.setattr(srun_launch, "connect", lambda created: [node.link() for node in made])
    yield made
    for node in made:
        node.close()


@pytest.fixture(autouse=True)
def no_standard_input():
    """Tests have no input of their own."""
    saved = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    yield
    os.dup2(saved, 0)
    os.close(saved)
