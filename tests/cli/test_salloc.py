"""salloc: the allocation's life around a command."""

import os
import signal
from types import SimpleNamespace

import msgspec
import pytest

from sluice.clock import VirtualClock
from sluice.errors import InvalidRequest, NotFound, RequestError
from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.job import Job
from sluice.model.request import JobSpec
from sluice.wire.messages import FinishAllocation, SubmitJob
from sluice_cli import allocation, client, waiting
from sluice_cli.salloc import main


def make_job():
    spec = JobSpec(name="interactive", uid=os.getuid(), gid=os.getgid(), user="alice", ntasks=2)
    grants = (NodeGrant(node="n1", cpus="0-1", cpu_count=2), NodeGrant(node="n2", cpus="0", cpu_count=1))
    allocation = Allocation(grants=grants, tasks_per_node=(1, 1))
    return msgspec.to_builtins(Job(id=51, spec=spec, partition="batch", allocation=allocation))


@pytest.fixture
def granted(controller):
    """A controller that grants at once; the job lasts as long as the command."""
    controller.answers["SubmitJob"] = lambda body: {"job_id": 51}
    controller.answers["WaitJobStart"] = lambda body: {"job": make_job()}
    controller.answers["FinishAllocation"] = lambda body: {}
    controller.silent = {"WaitJobEnd"}
    return controller


def finished(controller):
    (body,) = controller.bodies("FinishAllocation")
    request = msgspec.convert(body, FinishAllocation)
    return request.exit_code, request.exit_signal


def test_the_commands_status_is_sallocs(granted, capfd):
    assert main(["-n1", "sh", "-c", "echo $SLURM_JOB_ID; exit 5"]) == 5
    assert capfd.readouterr() == (
        "51\n",
        "salloc: Granted job allocation 51\nsalloc: Relinquishing job allocation 51\n",
    )
    assert finished(granted) == (5, 0)


def test_the_request_is_an_interactive_job(granted):
    main(["-N2", "-J", "nm", "true"])
    spec = msgspec.convert(granted.bodies("SubmitJob")[0], SubmitJob).spec

    assert (spec.is_batch, spec.origin, spec.name, spec.min_nodes) == (False, "salloc", "nm", 2)


def test_the_command_sees_the_allocation(granted, capfd):
    main(["sh", "-c", "echo $SLURM_JOB_NODELIST $SLURM_JOB_CPUS_PER_NODE $SLURM_TASKS_PER_NODE $SLURM_SUBMIT_DIR"])

    assert capfd.readouterr().out == f"n[1-2] 2,1 1(x2) {os.getcwd()}\n"


def test_a_killed_command_is_a_failure(granted):
    assert main(["sh", "-c", "kill -TERM $$"]) == 1
    assert finished(granted) == (0, 15)


def test_a_missing_command_gives_the_allocation_back(granted, capfd):
    assert main(["nosuchcmd"]) == 1
    assert capfd.readouterr().err == (
        "salloc: Granted job allocation 51\n"
        'salloc: error: _fork_command: Unable to find command "nosuchcmd"\n'
        "salloc: Relinquishing job allocation 51\n"
    )
    assert finished(granted) == (1, 0)


def test_no_shell_leaves_the_allocation(granted, capfd):
    assert main(["--no-shell"]) == 0
    assert capfd.readouterr().err == "salloc: Granted job allocation 51\n"
    assert not granted.bodies("FinishAllocation")


def test_messages_to_the_job_are_told_while_it_waits_and_runs(granted, capfd):
    message = {"notices": [("UserMessage", {"job_id": 51, "text": "fan broken"})]}
    granted.answers["WaitJobStart"] = lambda body: {**message, "job": make_job()}
    granted.silent = set()
    granted.answers["WaitJobEnd"] = lambda body: {**message, "state": "COMPLETED"}

    assert main(["sleep", "0.3"]) == 0

    assert capfd.readouterr().err.split("\n")[:3] == [
        "salloc: fan broken",
        "salloc: Granted job allocation 51",
        "salloc: fan broken",
    ]
    assert [body["hears_messages"] for name, body in granted.requests if name.startswith("Wait")] == [True, True]


def test_quiet(granted, capfd):
    assert main(["-Q", "true"]) == 0
    assert capfd.readouterr() == ("", "")


def test_waiting_is_told(granted, monkeypatch, capfd):
    monkeypatch.setattr(allocation, "_AT_ONCE_S", 0.0)

    assert main(["true"]) == 0
    assert capfd.readouterr().err == (
        "salloc: Pending job allocation 51\n"
        "salloc: job 51 queued and waiting for resources\n"
        "salloc: job 51 has been allocated resources\n"
        "salloc: Granted job allocation 51\n"
        "salloc: Relinquishing job allocation 51\n"
    )


def test_a_signal_while_waiting_takes_the_request_back(granted, capfd):
    granted.silent.add("WaitJobStart")
    granted.on_silence = lambda name: os.kill(os.getpid(), 15)

    assert main(["true"]) == 1
    assert capfd.readouterr().err.endswith(
        "salloc: Job allocation 51 has been revoked.\nsalloc: Job aborted due to signal\n"
    )
    assert finished(granted) == (0, 0)


def refuse(error):
    def answer(body):
        raise error

    return answer


def test_an_interrupt_before_anything_was_sent_leaves_no_job(dead_cluster, monkeypatch, capfd):
    """The controller never answered: no connection, no job."""
    monkeypatch.setattr(client, "tell_waiting", lambda voice, why: os.kill(os.getpid(), 2))

    assert main(["true"]) == 1
    assert capfd.readouterr().err == (
        "salloc: error: no job was queued: Unable to contact slurm controller (connect failure)\n"
        "salloc: Job aborted due to signal\n"
    )


def test_an_interrupt_of_a_submission_that_was_sent_leaves_a_doubt(controller, monkeypatch, capfd):
    monkeypatch.setattr(allocation, "_TAKE_BACK_S", 0.2)
    controller.silent = {"SubmitJob"}
    signals = [2]
    controller.on_silence = lambda name: signals and os.kill(os.getpid(), signals.pop())

    assert main(["true"]) == 1
    assert "salloc: error: a job may have been queued, see squeue --me: " in capfd.readouterr().err


def test_somebody_else_cancels_the_request(granted, capfd):
    granted.answers["WaitJobStart"] = refuse(RequestError("", "revoked"))

    assert main(["true"]) == 1
    assert capfd.readouterr().err == "salloc: Job allocation 51 has been revoked.\nsalloc: Job has been cancelled\n"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        pytest.param(RequestError("its salloc is gone", "revoked"), "its salloc is gone", id="it ended meanwhile"),
        pytest.param(
            NotFound("job 51 is not known", "invalid_job"),
            "the controller does not know it any more; sacct -j 51 tells how it ended",
            id="and is forgotten already",
        ),
    ],
)
def test_a_command_that_comes_back_late_hears_why_its_job_ended(granted, error, why, capfd):
    granted.answers["WaitJobStart"] = refuse(error)

    assert main(["true"]) == 1
    assert capfd.readouterr().err == (
        f"salloc: error: job 51 was ended: {why}\n"
        "salloc: Job allocation 51 has been revoked.\nsalloc: Job has been cancelled\n"
    )


def test_a_request_is_asked_for_as_long_as_the_controller_keeps_it(granted, monkeypatch, capfd):
    """It is away for longer than a submission would wait."""
    clock = VirtualClock()
    monkeypatch.setattr(
        waiting, "time", SimpleNamespace(monotonic=clock.now, sleep=lambda _: clock.advance_to(clock.now() + 3600))
    )
    granted.drops["WaitJobStart"] = 3

    assert main(["true"]) == 0
    assert len(granted.bodies("WaitJobStart")) == 4


def test_immediate_gives_up(granted, monkeypatch, capfd):
    monkeypatch.setattr(allocation, "_AT_ONCE_S", 0.0)
    monkeypatch.setenv("SLURM_EXIT_IMMEDIATE", "78")
    granted.answers["WaitJobStart"] = refuse(RequestError("not started within 1 s (--immediate)", "immediate"))

    assert main(["-I1", "true"]) == 78
    assert capfd.readouterr().err == (
        "salloc: error: Unable to allocate resources: Requested nodes are busy\n"
        "salloc: Job allocation 51 has been revoked.\n"
    )
    assert not granted.bodies("FinishAllocation"), "the controller has taken it back"


def test_the_end_of_the_job_is_told_and_the_command_waited_for(granted, capfd):
    granted.silent.clear()
    granted.answers["WaitJobEnd"] = {"state": "CANCELLED", "exit_code": 0}

    assert main(["-K", "sleep", "60"]) == 1
    assert capfd.readouterr().err == (
        "salloc: Granted job allocation 51\nsalloc: Job allocation 51 has been revoked.\n"
    )
    assert not granted.bodies("FinishAllocation")


def test_a_refused_request(granted, monkeypatch, capfd):
    granted.answers["SubmitJob"] = refuse(InvalidRequest("invalid partition specified: nope", code="invalid_partition"))

    assert main(["-p", "nope", "true"]) == 1
    assert capfd.readouterr().err == (
        "salloc: error: invalid partition specified: nope\n"
        "salloc: error: Job submit/allocate failed: Invalid partition name specified\n"
    )
    monkeypatch.setenv("SLURM_EXIT_ERROR", "77")
    assert main(["-p", "nope", "true"]) == 77


@pytest.mark.parametrize(
    ("words", "stderr", "status"),
    [
        (["-n", "x", "true"], 'salloc: error: Invalid numeric value "x" for --ntasks.\n', 1),
        (
            ["-n4", "-m", "arbitrary", "-w", "n2,n1,n2", "true"],
            "salloc: error: Asked for 4 tasks have 3 in the nodelist.  "
            "Check your nodelist, or set the -n option to be 3\n",
            1,
        ),
        (["--bogus"], "salloc: unrecognized option '--bogus'\nTry \"salloc --help\" for more information\n", 255),
        (
            ["--test-only", "true"],
            "salloc: unrecognized option '--test-only'\nTry \"salloc --help\" for more information\n",
            255,
        ),
    ],
)
def test_wrong_options(dead_cluster, words, stderr, status, capfd):
    assert main(words) == status
    assert capfd.readouterr().err == stderr


def test_no_controller(dead_cluster, monkeypatch, capfd):
    monkeypatch.setattr(client, "PATIENCE_S", 0.0)

    assert main(["true"]) == 1
    assert capfd.readouterr().err == (
        "salloc: error: Job submit/allocate failed: Unable to contact slurm controller (connect failure)\n"
    )


def test_a_folder_that_is_not_there_is_named(granted, capfd):
    assert main(["-D", "/no/such", "pwd"]) == 127

    assert "salloc: error: couldn't chdir to `/no/such': No such file or directory\n" in capfd.readouterr().err


def test_an_allocation_ends_although_nobody_hears_of_it(granted):
    """stderr that cannot be written keeps neither the command from running nor the allocation from its end."""
    kept = os.dup(2)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 2)
    try:
        status = main(["-n1", "sh", "-c", "exit 5"])
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(full)

    assert status == 5
    assert finished(granted) == (5, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", ["SubmitJob", "WaitJobStart"])
def test_a_signal_before_the_command_runs_gives_the_job_back(granted, name, number, capfd):
    """The signal comes with the answer: between two waits, where no poll sees it."""
    answer = granted.answers[name]

    def answer_with_signal(body):
        os.kill(os.getpid(), number)
        granted.answers[name] = answer
        return answer(body)

    granted.answers[name] = answer_with_signal

    assert main(["sh", "-c", "echo ran"]) == 1
    out, err = capfd.readouterr()
    assert (out, err) == ("", "salloc: Job allocation 51 has been revoked.\nsalloc: Job aborted due to signal\n")
    assert len(granted.bodies("FinishAllocation")) == 1
    assert len({body["token"] for body in granted.bodies("SubmitJob")}) == 1


def test_a_user_whom_nobody_knows_gets_a_plain_shell(granted, monkeypatch, capfd):
    monkeypatch.delenv("SHELL", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4294967)
    monkeypatch.setattr("os.isatty", lambda _: False)
    kept = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        assert main([]) == 0
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(null)


def test_an_allocation_is_given_back_when_its_use_fails(granted, monkeypatch):
    monkeypatch.setattr("sluice_cli.salloc_command.run", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        main([])
    assert finished(granted) == (1, 0)


def refuse_once(controller, name):
    """The database cannot be written when the request comes first; then it is answered as before."""
    answer, silent = controller.answers.get(name), controller.silent

    def refuse(body):
        del controller.answers[name]
        controller.silent = silent
        if answer is not None:
            controller.answers[name] = answer
        raise RequestError("not accepted: database is locked", "storage")

    controller.silent = silent - {name}
    controller.answers[name] = refuse


@pytest.mark.parametrize("name", ["SubmitJob", "WaitJobStart", "WaitJobEnd", "FinishAllocation"])
def test_a_database_that_refuses_for_a_while_ends_no_allocation(granted, dead_cluster, monkeypatch, name, capfd):
    """The command runs until the job's end is asked for in vain, and again if that was refused."""
    monkeypatch.setattr("sluice_cli.waiting._RECONNECT_PAUSE_S", 0.01)
    refuse_once(granted, name)
    fifo = dead_cluster / "go"
    os.mkfifo(fifo)
    granted.on_silence = lambda _: fifo.write_text("go\n")

    assert main(["sh", "-c", f"read line < {fifo}; exit 5"]) == 5
    request = msgspec.convert(granted.bodies("FinishAllocation")[-1], FinishAllocation)
    assert (request.exit_code, request.exit_signal) == (5, 0)
    told = "salloc: not accepted: database is locked\nsalloc: The controller can not store the request now, retrying"
    assert capfd.readouterr().err.count(told) == 1
