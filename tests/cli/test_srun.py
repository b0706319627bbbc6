"""srun from its command line to its exit status, with a small controller and nodes that say what the test says."""

import os
import socket

import msgspec
import pytest

from sluice.errors import InvalidRequest, NotFound, RequestError, Unreachable
from sluice.wire import messages
from sluice.wire.envelope import append_frame, decode_body, decode_envelope
from sluice.wire.framing import ERROR, NOTICE, FrameSplitter
from sluice.wire.light import LightConnection
from sluice.wire.messages import (
    CreateStep,
    FinishAllocation,
    StepDone,
    StepTalk,
    SubmitJob,
    TaskExit,
    TaskLaunch,
    TaskOutput,
    TaskStarted,
)
from sluice_cli import allocation, client, srun_launch
from sluice_cli.srun import main

GRANTS = [{"node": "n1", "cpus": "0-1", "cpu_count": 2}, {"node": "n2", "cpus": "0", "cpu_count": 1}]
JOB = {"id": 43, "spec": {"name": "job", "uid": 0, "gid": 0, "user": "alice"}, "allocation": {"grants": GRANTS}}


class FakeNode:
    """The agent's and step daemon's end of one node's connection; what it says lies ready before srun reads."""

    def __init__(self, name, ranks):
        self.name = name
        self.ranks = ranks
        self.socket, self._srun_end = socket.socketpair()
        self.say(TaskStarted(node=name, pids=tuple((rank, 100 + rank) for rank in ranks)))

    def link(self):
        return srun_launch.NodeLink(LightConnection(self._srun_end, self.name), self.name, self.ranks)

    def close(self):
        self.socket.close()
        self._srun_end.close()

    def say(self, message):
        self._send(NOTICE, 0, type(message).__name__, message)

    def refuse(self, code, message):
        self._send(ERROR, 1, "TaskLaunch", {"code": code, "message": message})

    def _send(self, kind, id, name, body):
        out = bytearray()
        append_frame(out, kind, id, name, body)
        self.socket.sendall(out)

    def end(self, codes=None, signals=None):
        for rank in self.ranks:
            self.say(
                TaskExit(task=rank, exit_code=(codes or {}).get(rank, 0), exit_signal=(signals or {}).get(rank, 0))
            )
        self.say(StepDone(node=self.name))

    def heard(self):
        """Return what srun sent, as the wire's own types."""
        self.socket.setblocking(False)
        splitter = FrameSplitter()
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except BlockingIOError:
                break
            if not data:
                break
            splitter.feed(data)
        found = []
        while (payload := splitter.next()) is not None:
            envelope = decode_envelope(payload)
            found.append(decode_body(envelope.body.copy(), getattr(messages, envelope.name)))
        return found


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


def finished(controller):
    (body,) = controller.bodies("FinishAllocation")
    request = msgspec.convert(body, FinishAllocation)
    return request.job_id, request.exit_code, request.exit_signal


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
    assert controller.bodies("KillJobs") == [{"ids": ["43.0"]}]
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


def test_a_lost_node(controller, nodes, capfd):
    nodes[0].end()
    nodes[1].socket.shutdown(socket.SHUT_WR)

    assert main(["-n3", "prog"]) == 1
    assert "srun: error: Node failure on n2: " in capfd.readouterr().err
    assert controller.bodies("KillJobs") == [{"ids": ["43.0"]}]


def test_an_unreachable_node_gives_the_step_back(controller, nodes, monkeypatch, capfd):
    def fail(created):
        raise srun_launch.LaunchFailed("n2", str(Unreachable("127.0.0.1:1: Connection refused")))

    monkeypatch.setattr(srun_launch, "connect", fail)

    assert main(["-n3", "prog"]) == 1
    assert controller.bodies("FinishStep") == [{"job_id": 43, "step_id": 0, "exit_code": 1}]
    assert finished(controller) == (43, 1, 0)
    assert capfd.readouterr().err.startswith("srun: error: Task launch for StepId=43.0 failed on node n2: ")


def refuse(error):
    def answer(body):
        raise error

    return answer


def test_inside_a_job_only_the_id_is_needed(controller, nodes, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    for node in nodes:
        node.end()

    assert main(["-n1", "--cpu-bind=q", "--cpus-per-task=2", "--nodes=1", "prog"]) == 0
    assert [name for name, _ in controller.requests] == ["LocateJob", "CreateStep"]


def test_a_step_waits_for_room(controller, nodes, monkeypatch, capfd):
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    created = controller.answers["CreateStep"]
    waits = ("StepWaits", {"request_id": 1, "reason": "Requested nodes are busy"})
    controller.answers["CreateStep"] = lambda body: {**created(body), "notices": [waits]}
    for node in nodes:
        node.end()

    assert main(["prog"]) == 0
    assert capfd.readouterr().err == (
        "srun: Job 43 step creation temporarily disabled, retrying (Requested nodes are busy)\n"
        "srun: Step created for StepId=43.0\n"
    )


@pytest.mark.parametrize(
    ("error", "detail", "text"),
    [
        (RequestError("4 CPUs are free", "step_busy"), "", "Requested nodes are busy"),
        (
            InvalidRequest("job 43: 9 tasks", "too_many_cpus"),
            "srun: error: job 43: 9 tasks\n",
            "More processors requested than permitted",
        ),
    ],
    ids=["it would have to wait", "it is too large"],
)
def test_a_refused_step(controller, nodes, monkeypatch, error, detail, text, capfd):
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    controller.answers["CreateStep"] = refuse(error)

    assert main(["-I", "prog"]) == 1
    assert capfd.readouterr().err == f"{detail}srun: error: Unable to create step for job 43: {text}\n"


def test_a_word_that_is_no_text_is_named(controller, nodes, monkeypatch, capfd):
    monkeypatch.setenv("SLURM_JOB_ID", "43")

    assert main(["prog", "caf\udce9"]) == 1
    assert "CreateStep: text that is not UTF-8: 'caf\\udce9'" in capfd.readouterr().err


def test_no_step_is_made_in_a_folder_that_is_gone(controller, nodes, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()

    assert main(["prog"]) == 1
    assert "srun: fatal: getcwd failed" in capfd.readouterr().err
    assert controller.bodies("CreateStep") == []


def test_more_nodes_than_allocated(nodes, capfd):
    assert main(["--jobid=43", "-N3", "prog"]) == 1
    assert capfd.readouterr().err == "srun: error: Only allocated 2 nodes asked for 3\n"


CHECK = "srun: Check SLURM_JOB_ID environment variable. Expired or invalid job {}\n"


def test_an_unknown_and_an_ended_job(controller, nodes, capfd):
    controller.answers["LocateJob"] = refuse(NotFound("job 99 is not known", "invalid_job"))
    assert main(["--jobid=99", "prog"]) == 1
    controller.answers["LocateJob"] = lambda body: {"job": JOB, "is_ended": True}
    assert main(["--jobid=43", "prog"]) == 1

    assert capfd.readouterr().err == (
        "srun: error: Unable to confirm allocation for job 99: Invalid job id specified\n"
        + CHECK.format(99)
        + "srun: error: Slurm job 43 has expired\n"
        + CHECK.format(43)
    )


def test_waiting_for_the_allocation_is_told(controller, nodes, monkeypatch, capfd):
    monkeypatch.setattr(allocation, "_AT_ONCE_S", 0.0)
    for node in nodes:
        node.end()

    assert main(["prog"]) == 0
    assert capfd.readouterr().err == (
        "srun: job 43 queued and waiting for resources\nsrun: job 43 has been allocated resources\n"
    )


def test_a_signal_while_queued_cancels_the_job(controller, nodes, capfd):
    controller.silent.add("WaitJobStart")
    controller.on_silence = lambda name: os.kill(os.getpid(), 2)

    assert main(["prog"]) == 1
    assert capfd.readouterr().err.endswith(
        "srun: Job allocation 43 has been revoked\nsrun: Force Terminated JobId=43\n"
    )
    assert finished(controller) == (43, 0, 0)


@pytest.mark.parametrize(
    ("words", "stderr", "status"),
    [
        ([], "srun: fatal: No command given to execute.\n", 1),
        (["--bogus", "x"], "srun: unrecognized option '--bogus'\nTry \"srun --help\" for more information\n", 255),
        (["-a", "1-2", "x"], "srun: invalid option -- 'a'\nTry \"srun --help\" for more information\n", 255),
        (
            ["--job", "x"],
            "srun: option '--job' is ambiguous; possibilities: '--jobid' '--job-name'\n"
            'Try "srun --help" for more information\n',
            255,
        ),
        (["-n", "x", "true"], 'srun: error: Invalid numeric value "x" for --ntasks.\n', 1),
        (["--jobid=abc", "true"], 'srun: error: Invalid numeric value "abc" for --jobid.\n', 1),
        (["-r1", "true"], "srun: fatal: --relative option invalid for job allocation request\n", 1),
        (
            ["--mpi=bogus", "true"],
            "srun: error: Invalid MPI type 'bogus', --mpi=list for acceptable types: none, pmi2, pmix\n",
            1,
        ),
        (
            ["--launch=bogus", "true"],
            "srun: error: Invalid launcher 'bogus', --launch=list for acceptable ones: env, torchrun\n",
            1,
        ),
        (["--multi-prog", "nosuch"], "srun: error: Could not open multi_prog config file nosuch\n", 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refusals(dead_cluster, words, stderr, status, capfd):
    assert main(words) == status
    assert capfd.readouterr() == ("", stderr)


def test_failures_exit_as_the_user_says(dead_cluster, monkeypatch, capfd):
    monkeypatch.setattr(client, "PATIENCE_S", 0.0)
    monkeypatch.setenv("SLURM_EXIT_ERROR", "77")

    assert main(["true"]) == 77
    assert capfd.readouterr().err == (
        "srun: error: Unable to allocate resources: Unable to contact slurm controller (connect failure)\n"
    )


def test_questions_that_need_no_cluster(capfd):
    assert main(["--mpi=list"]) == 0
    assert main(["--version"]) == 0
    listed = "\tnone\n\tpmi2\n\tpmix\nspecific pmix plugin versions available: pmix_v4\n"
    assert capfd.readouterr().out == f"MPI plugin types are...\n{listed}slurm 25.05.0\n"


def test_test_only(controller, nodes, capfd):
    controller.answers["TestJob"] = {"start_at": 0.0, "cpu_count": 4, "nodes": "n1", "partition": "batch"}

    assert main(["--test-only", "-n4", "true"]) == 0
    assert capfd.readouterr().err.endswith("using 4 processors on nodes n1 in partition batch\n")
    assert not controller.bodies("SubmitJob")
