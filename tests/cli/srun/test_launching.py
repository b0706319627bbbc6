"""srun and the nodes of its step: launched, heard, signalled, lost."""

import os
import socket

import msgspec
import pytest

from sluice.errors import Refused, Unreachable
from sluice.wire import light, messages
from sluice.wire.messages import (
    CreateStep,
    StepDone,
    StepTalk,
    SubmitJob,
    TaskExit,
    TaskLaunch,
    TaskOutput,
)
from sluice_cli import srun_launch, srun_loop
from sluice_cli.srun import main
from tests.cli.srun.fake_node import finished


def test_a_step_in_an_allocation_of_its_own(controller, nodes, capfdbinary):
    nodes[0].say(TaskOutput(task=1, stream=1, data=b"one\n"))
    nodes[1].say(TaskOutput(task=2, stream=2, data=b"\xff two\n"))
    for node in nodes:
        node.end()

    assert main(["-n3", "-J", "nm", "prog", "-x"]) == 0
    assert capfdbinary.readouterr() == (b"one\n", b"\xff two\n")
    spec = msgspec.convert(controller.bodies("SubmitJob")[0], SubmitJob).spec
    assert (spec.is_batch, spec.origin, spec.name, spec.ntasks) == (False, "srun", "nm", 3)
    step = msgspec.convert(controller.bodies("CreateStep")[0], CreateStep)
    assert (step.job_id, step.spec.ntasks, step.spec.argv) == (43, 3, ("prog", "-x"))
    assert finished(controller) == (43, 0, 0)


def test_every_node_gets_the_launch(nodes):
    for node in nodes:
        node.end()

    main(["-n3", "./prog"])

    launch = nodes[1].heard()[0]
    assert isinstance(launch, TaskLaunch)
    assert (launch.node, launch.credential, launch.argv) == ("n2", "c", (os.path.join(os.getcwd(), "./prog"),))
    assert (launch.std_in, launch.work_dir, launch.is_pty) == ("none", os.getcwd(), False)


def test_standard_input_goes_to_all_or_to_one(nodes, controller, monkeypatch):
    reading, writing = os.pipe()
    os.write(writing, b"hello")
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)
    # The nodes end when the input has.
    original = srun_launch.NodeLink.notify

    def notify(link, name, body):
        original(link, name, body)
        if body.get("is_end"):
            for node in nodes:
                node.end()

    monkeypatch.setattr(srun_launch.NodeLink, "notify", notify)

    assert main(["-n3", "-i", "2", "cat"]) == 0
    inputs = [each for each in nodes[1].heard() if isinstance(each, messages.TaskInput)]
    assert [(each.task, each.data, each.is_end) for each in inputs] == [(2, b"hello", False), (2, b"", True)]
    assert not [each for each in nodes[0].heard() if isinstance(each, messages.TaskInput)]


def test_the_highest_status_wins_and_ends_are_told(controller, nodes, capfd):
    nodes[0].end(codes={0: 1, 1: 3})
    nodes[1].end(signals={2: 9})

    assert main(["-n3", "prog"]) == 137
    assert sorted(capfd.readouterr().err.splitlines()) == [
        "srun: Force Terminated StepId=43.0",
        "srun: error: n1: task 0: Exited with exit code 1",
        "srun: error: n1: task 1: Exited with exit code 3",
        "srun: error: n2: task 2: Killed",
    ]
    assert finished(controller) == (43, 0, 9)


def test_labels(nodes, capfd):
    nodes[0].say(TaskOutput(task=0, stream=1, data=b"a\nb"))
    for node in nodes:
        node.end()

    assert main(["-l", "-n3", "prog"]) == 0
    assert capfd.readouterr().out == "0: a\n0: b\n"


def test_talk_of_the_step_daemons_is_passed_on(nodes, capfd):
    line = "slurmstepd-n1: error: *** STEP 43.0 ON n1 CANCELLED AT 2026-11-22T17:28:56 DUE TO TIME LIMIT ***"
    nodes[0].say(StepTalk(text=line))
    nodes[0].end(signals={0: 15, 1: 15})
    nodes[1].end()

    assert main(["-n3", "prog"]) == 143
    assert capfd.readouterr().err == (
        f"{line}\nsrun: Job step aborted: Waiting up to 7 seconds for job step to finish.\n"
        "srun: error: n1: tasks 0-1: Terminated\n"
    )


def test_kill_on_bad_exit_ends_the_step(controller, nodes, capfd):
    nodes[0].say(TaskExit(task=1, exit_code=9))

    def kill(body):
        nodes[0].say(TaskExit(task=0, exit_signal=15))
        nodes[0].say(StepDone(node="n1"))
        nodes[1].end(signals={2: 15})
        return {}

    controller.answers["KillJobs"] = kill

    assert main(["-K", "-n3", "prog"]) == 143
    assert controller.bodies("KillJobs") == [{"ids": ["43.0"], "is_failure": False}]
    err = capfd.readouterr().err
    assert err.startswith("srun: error: n1: task 1: Exited with exit code 9\nsrun: Terminating StepId=43.0\n")
    assert err.endswith("srun: Force Terminated StepId=43.0\n")


def test_a_signal_ends_the_step_through_the_controller(controller, nodes, capfd):
    def on_started(self, link):
        if link.node == "n1":
            os.kill(os.getpid(), 15)

    def kill(body):
        for node in nodes:
            node.end(signals=dict.fromkeys(node.ranks, 15))
        return {}

    controller.answers["KillJobs"] = kill
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sluice_cli.srun_signals.StepControl.on_started", on_started)
        assert main(["-n3", "sleep", "9"]) == 143

    assert capfd.readouterr().err.startswith(
        "srun: forcing job termination\nsrun: Job step aborted: Waiting up to 7 seconds for job step to finish.\n"
    )


def test_a_user_signal_is_passed_on(nodes):
    def on_started(self, link):
        if link.node == "n2":
            os.kill(os.getpid(), 10)

    original = srun_launch.NodeLink.notify

    def notify(link, name, body):
        original(link, name, body)
        if name == "TaskSignal" and link.node == "n2":
            for node in nodes:
                node.end()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sluice_cli.srun_signals.StepControl.on_started", on_started)
        patch.setattr(srun_launch.NodeLink, "notify", notify)
        assert main(["-n3", "-i", "none", "sleep", "9"]) == 0

    assert [each.signal for each in nodes[0].heard() if isinstance(each, messages.TaskSignal)] == [10]


def test_a_reader_that_goes_away_is_sigpipe_for_the_tasks(nodes):
    reading, writing = os.pipe()
    os.close(reading)
    saved = os.dup(1)
    os.dup2(writing, 1)
    os.close(writing)
    nodes[0].say(TaskOutput(task=0, stream=1, data=b"y\n"))
    nodes[0].say(TaskOutput(task=0, stream=1, data=b"y\n"))
    for node in nodes:
        node.end(signals=dict.fromkeys(node.ranks, 13))
    try:
        assert main(["-n3", "-u", "-i", "none", "yes"]) == 141
    finally:
        os.dup2(saved, 1)
        os.close(saved)

    assert [each.signal for each in nodes[0].heard() if isinstance(each, messages.TaskSignal)] == [13]


def test_a_step_whose_creation_is_interrupted_is_given_up(nodes, controller, monkeypatch, capfd):
    """Its answer may be on the way: it is asked for by the same token, at once or not at all, and released."""

    def interrupt(name):
        controller.silent.discard(name)
        os.kill(os.getpid(), 2)

    controller.silent = {"CreateStep"}
    controller.on_silence = interrupt
    monkeypatch.setenv("SLURM_JOB_ID", "43")

    assert main(["prog"]) == 1

    first, second = controller.bodies("CreateStep")
    assert second == {**first, "spec": {**first["spec"], "is_immediate": True}}
    assert controller.bodies("FinishStep") == [{"job_id": 43, "step_id": 0}]
    assert "srun: Cancelled pending job step with signal 2\n" in capfd.readouterr().err


def test_one_interrupt_tells_the_state_of_the_tasks(nodes, capfd):
    def on_started(self, link):
        if link.node == "n2":
            self.on_signal(2)
            for node in nodes:
                node.end()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sluice_cli.srun_signals.StepControl.on_started", on_started)
        assert main(["-n3", "-i", "none", "sleep", "9"]) == 0

    assert capfd.readouterr().err == (
        "srun: interrupt (one more within 1 sec to abort)\nsrun: StepId=43.0 tasks 0-2: running\n"
    )


def test_a_refused_launch(nodes, capfd):
    nodes[0].end()
    nodes[1].refuse("not_permitted", "the step belongs to uid 7")

    assert main(["-n3", "prog"]) == 1
    assert (
        "srun: error: Task launch for StepId=43.0 failed on node n2: the step belongs to uid 7\n"
        in capfd.readouterr().err
    )


@pytest.mark.parametrize(
    ("arch", "said"),
    [
        ("emulated", "srun: error: node n2 is emulated: a job there is a timer, and nothing runs\n"),
        ("x86_64", ""),
    ],
)
def test_a_launch_on_an_emulated_node(arch, said, controller, nodes, monkeypatch, capfd):
    def connect(created):
        raise srun_launch.LaunchFailed("n2", "Name or service not known")

    monkeypatch.setattr(srun_launch, "connect", connect)
    controller.answers["QueryNodes"] = lambda body: {
        "nodes": [{"node": {"name": body["names"], "inventory": {"arch": arch}}}]
    }

    assert main(["-n3", "prog"]) == 1
    assert capfd.readouterr().err.endswith(
        "srun: error: Task launch for StepId=43.0 failed on node n2: Name or service not known\n"
        f"{said}srun: error: Application launch failed: Communication connection failure\n"
    )


@pytest.mark.parametrize("has_got_launch", [False, True])
def test_a_launch_that_is_lost_with_its_agent_is_given_to_the_next(
    controller, nodes, capfd, monkeypatch, has_got_launch
):
    monkeypatch.setattr(srun_launch, "RESTART_PAUSE_S", 0.0)
    nodes[0].end()
    nodes[1].restart_agent([Refused("n2: Connection refused")] * 2, has_got_launch=has_got_launch)
    nodes[1].end()

    assert main(["-n3", "prog"]) == 0
    launch, *_ = nodes[1].heard()
    assert (launch.node, launch.argv) == ("n2", ("prog",))
    assert capfd.readouterr().err == ""


def test_a_launch_that_had_reached_a_step_daemon_is_not_begun_again(controller, nodes, capfd):
    """That one has died: the node's agent knows the step."""
    nodes[0].end()
    nodes[1].restart_agent([], has_got_launch=True, is_refused=True)

    assert main(["-n3", "prog"]) == 1
    assert (
        "srun: error: StepId=43.0: the step's daemon on node n2 ended unexpectedly, and its tasks there with it\n"
    ) in capfd.readouterr().err
    assert controller.bodies("KillJobs") == [{"ids": ["43.0"], "is_failure": True}]


@pytest.mark.parametrize("has_got_launch", [False, True])
def test_an_agent_that_goes_with_the_launch_and_does_not_come_back(
    controller, nodes, capfd, monkeypatch, has_got_launch
):
    monkeypatch.setattr(srun_launch, "RESTART_S", 0.0)
    monkeypatch.setattr(srun_loop, "RESTART_S", 0.0)
    nodes[0].end()
    nodes[1].restart_agent([Refused("n2: Connection refused")] * 9, has_got_launch=has_got_launch)

    assert main(["-n3", "prog"]) == 1
    assert "n2: Connection refused\n" in capfd.readouterr().err


def test_a_lost_node(controller, nodes, capfd):
    nodes[0].end()
    nodes[1].socket.shutdown(socket.SHUT_WR)
    nodes[1].is_up = False

    assert main(["-n3", "prog"]) == 1
    assert "srun: error: Node failure on n2: n2: the connection was closed\n" in capfd.readouterr().err
    assert controller.bodies("KillJobs") == [{"ids": ["43.0"], "is_failure": True}]


def test_a_step_daemon_that_died_on_a_node_that_is_there(controller, nodes, capfd):
    nodes[0].end()
    nodes[1].socket.shutdown(socket.SHUT_WR)

    assert main(["-n3", "prog"]) == 1
    assert (
        "srun: error: StepId=43.0: the step's daemon on node n2 ended unexpectedly, and its tasks there with it\n"
    ) in capfd.readouterr().err
    assert controller.bodies("KillJobs") == [{"ids": ["43.0"], "is_failure": True}]


CREATED = {"credential": "c", "addresses": [{"node": {"node": "n1", "ranks": "0"}, "address": "127.0.0.1", "port": 1}]}


def test_an_agent_that_is_being_restarted_is_waited_for(monkeypatch):
    answers = [Refused("127.0.0.1:1: Connection refused"), Refused("127.0.0.1:1: Connection refused"), "connection"]

    def answer(*_):
        said = answers.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(light, "connect_tcp", answer)
    monkeypatch.setattr(srun_launch, "RESTART_PAUSE_S", 0.0)

    assert [link.connection for link in srun_launch.connect(CREATED)] == ["connection"]


@pytest.mark.parametrize(
    ("problem", "patience_s"),
    [
        pytest.param(Unreachable("127.0.0.1: Name or service not known"), 10.0, id="waiting does not help"),
        pytest.param(Refused("127.0.0.1:1: Connection refused"), 0.0, id="not back in time"),
    ],
)
def test_a_node_that_does_not_come_back_is_named(monkeypatch, problem, patience_s):
    def fail(*_):
        raise problem

    monkeypatch.setattr(light, "connect_tcp", fail)
    monkeypatch.setattr(srun_launch, "RESTART_S", patience_s)

    with pytest.raises(srun_launch.LaunchFailed, match=problem.args[0]) as failure:
        srun_launch.connect(CREATED)
    assert failure.value.node == "n1"


def test_an_srun_that_fails_before_its_launch_gives_the_step_back(controller, nodes, monkeypatch):
    def fail(*_):
        raise ImportError("out of reach")

    monkeypatch.setattr(srun_launch, "launch_body", fail)

    with pytest.raises(ImportError):
        main(["-n3", "prog"])
    assert controller.bodies("FinishStep") == [{"job_id": 43, "step_id": 0, "exit_code": 1}]


def test_an_unreachable_node_gives_the_step_back(controller, nodes, monkeypatch, capfd):
    def fail(created):
        raise srun_launch.LaunchFailed("n2", str(Unreachable("127.0.0.1:1: Connection refused")))

    monkeypatch.setattr(srun_launch, "connect", fail)

    assert main(["-n3", "prog"]) == 1
    assert controller.bodies("FinishStep") == [{"job_id": 43, "step_id": 0, "exit_code": 1}]
    assert finished(controller) == (43, 1, 0)
    assert capfd.readouterr().err.startswith("srun: error: Task launch for StepId=43.0 failed on node n2: ")


@pytest.fixture
def program(tmp_path):
    """Make a program of srun's own, which writes its arguments, and what more the test says."""

    def make(name, script):
        path = tmp_path / name
        shown = "$SLURM_SCRIPT_CONTEXT $SLURM_JOB_ID.$SLURM_STEP_ID $*"
        path.write_text(f'#!/bin/sh\necho "{shown}" >> {tmp_path}/log\n{script}\n')
        path.chmod(0o755)
        return f"--{name}={path}"

    return make


def test_srun_runs_its_own_programs_around_the_step(nodes, program, tmp_path):
    for node in nodes:
        node.end()

    assert main([program("prolog", ""), program("epilog", ""), "-n3", "prog", "-x"]) == 0
    assert (tmp_path / "log").read_text() == "prolog_srun 43.0 prog -x\nepilog_srun 43.0 prog -x\n"


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        ("exit 3", "srun: error: srun prolog failed rc = 3. Aborting step.\n"),
        (
            "kill -9 $$",
            "srun: error: script did not exit normally\nsrun: error: srun prolog failed rc = 1. Aborting step.\n",
        ),
    ],
    ids=["with a code", "by a signal"],
)
def test_nothing_runs_after_a_prolog_that_fails(
    nodes, controller, program, tmp_path, monkeypatch, capfd, script, lines
):
    monkeypatch.setattr(srun_launch, "launch", lambda links: pytest.fail("launched"))

    assert main([program("prolog", script), program("epilog", ""), "-n3", "prog"]) == 1

    assert capfd.readouterr().err == lines
    assert [(body["job_id"], body["exit_code"]) for body in controller.bodies("FinishStep")] == [(43, 1)]
    assert (tmp_path / "log").read_text() == "prolog_srun 43.0 prog\nepilog_srun 43.0 prog\n"
    assert finished(controller) == (43, 1, 0)


def test_an_epilog_that_fails_is_told_and_leaves_the_status_as_it_is(nodes, program, capfd):
    nodes[0].end(codes={1: 5})
    nodes[1].end()

    assert main([program("epilog", "exit 3"), "-n3", "prog"]) == 5
    assert capfd.readouterr().err.endswith("srun: error: srun epilog failed status=3\n")


def test_a_prolog_that_is_not_there_keeps_nothing_from_running(nodes, capfd):
    for node in nodes:
        node.end()

    assert main(["--prolog=/nonexistent", "-n3", "prog"]) == 0
    assert capfd.readouterr().err == "srun: Access denied for /nonexistent: No such file or directory\n"
