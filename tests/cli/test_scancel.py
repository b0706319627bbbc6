"""scancel: what it asks, what it says, how it exits."""

import io
import os
import pwd

import pytest

from sluice_cli import client
from sluice_cli.scancel import main

ME = pwd.getpwuid(os.getuid()).pw_name
UNKNOWN = {"code": "unknown", "message": "Invalid job id specified"}
ENDED = {"code": "ended", "message": "Job/step already completing or completed"}
DENIED = {"code": "not_permitted", "message": "the job belongs to root"}


@pytest.fixture
def cancel(controller):
    """Run scancel against a controller that answers so for every id; return status and the request."""
    import msgspec

    from sluice.wire.messages import KillJobs

    def run(*words, outcome=None, ids=None):
        controller.requests.clear()

        def answer(body):
            answered = ids if ids is not None else body["ids"]
            return {"outcomes": [{"id": each, **(outcome or {})} for each in answered]}

        controller.answers["KillJobs"] = answer
        status = main(list(words))
        bodies = controller.bodies("KillJobs")
        return status, msgspec.convert(bodies[0], KillJobs) if bodies else None

    return run


def test_ids_in_every_form(cancel, capfd):
    status, request = cancel("1", "2,3_4", "5_[1-3]", "6.0")

    assert status == 0
    assert request.ids == ("1", "2", "3_4", "5_[1-3]", "6.0")
    assert capfd.readouterr() == ("", "")


def test_options_after_the_id(cancel):
    _, request = cancel("7", "--signal", "SIGTERM")

    assert (request.ids, request.signal) == (("7",), 15)


def test_verbose_says_what_is_done(cancel, capfd):
    cancel("-v", "1", "2.0")
    cancel("-v", "-s", "USR1", "3")
    cancel("-v", "-s", "10", "-b", "3")
    cancel("-v", "-s", "SIGUSR1", "-f", "3")

    assert capfd.readouterr().err.splitlines() == [
        "scancel: Terminating job 1",
        "scancel: Terminating step 2.0",
        "scancel: Signal 10 to job 3",
        "scancel: Signal 10 to batch job 3",
        "scancel: Signal 10 to full job 3",
    ]


def test_filters_combine(cancel, capfd):
    status, request = cancel(
        "-u",
        ME,
        "-n",
        "a,b",
        "-p",
        "batch",
        "-q",
        "normal",
        "-A",
        "acct",
        "-t",
        "pd,RUNNING",
        "-w",
        "n[1-2]",
        "-v",
        ids=["4"],
    )

    assert status == 0
    assert (request.users, request.names, request.partitions) == ((ME,), ("a", "b"), ("batch",))
    assert (request.qos, request.accounts, request.nodes) == (("normal",), ("acct",), ("n1", "n2"))
    assert request.states == ("PENDING", "RUNNING")
    assert capfd.readouterr().err == "scancel: Terminating job 4\n"


def test_me_and_variables(cancel, monkeypatch):
    assert cancel("--me", ids=[])[1].users == (ME,)
    monkeypatch.setenv("SCANCEL_PARTITION", "short")
    assert cancel("--me", ids=[])[1].partitions == ("short",)


@pytest.mark.parametrize(
    ("words", "outcome", "stderr", "status"),
    [
        (["9"], UNKNOWN, "", 0),
        (["-v", "9"], UNKNOWN, "Terminating job 9\nerror: Kill job error on job id 9: Invalid job id specified\n", 0),
        (["9_3"], UNKNOWN, "", 0),
        (["9.0"], UNKNOWN, "error: Kill job error on job step id 9.0: Invalid job id specified\n", 1),
        (["9"], ENDED, "", 0),
        (
            ["-v", "9"],
            ENDED,
            "Terminating job 9\nerror: Kill job error on job id 9: Job/step already completing or completed\n",
            0,
        ),
        (["-Q", "-v", "9"], ENDED, "", 0),
        (["-s", "KILL", "9"], ENDED, "error: Kill job error on job id 9: Invalid job id specified\n", 1),
        (["-s", "USR1", "9"], ENDED, "error: Kill job error on job id 9: Invalid job id specified\n", 1),
        (["-b", "9"], ENDED, "error: Kill job error on job id 9: Invalid job id specified\n", 1),
        (["9", "-t", "R"], ENDED, "error: Kill job error on job id 9: Invalid job id specified\n", 1),
        (["9", "-u", ME], UNKNOWN, "error: Kill job error on job id 9: Invalid job id specified\n", 1),
        (["9"], DENIED, "error: Kill job error on job id 9: Access/permission denied\n", 210),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_outcomes(cancel, words, outcome, stderr, status, capfd):
    assert cancel(*words, outcome=outcome)[0] == status
    assert capfd.readouterr() == ("", "".join(f"scancel: {line}\n" for line in stderr.splitlines()))


def test_nothing_matches_the_filters(cancel, capfd):
    assert cancel("-v", "-t", "PD", "-n", "f1,f2", ids=[])[0] == 0
    assert capfd.readouterr().err == (
        "scancel: error: No active jobs match ALL job filters, including: job_name=f1,f2 state=PENDING \n"
    )


@pytest.mark.parametrize(
    ("words", "stderr"),
    [
        ([], "scancel: error: No job identification provided\n"),
        (["abc"], "scancel: error: Invalid job id abc\n"),
        (["1abc"], "scancel: error: Invalid job id 1abc\n"),
        (["1_x"], "scancel: error: Invalid job id 1_x\n"),
        (["1_[1-"], "scancel: error: Invalid job id 1_[1-\n"),
        (["1.x"], "scancel: error: Invalid job id 1.x\n"),
        (["9", "abc"], "scancel: error: Invalid job id abc\n"),
        (["-u", "nosuchuser"], "scancel: error: Invalid user name: nosuchuser\n"),
        (
            ["-t", "foo"],
            "Invalid job state specified: foo\nValid job states are PENDING, RUNNING, and SUSPENDED\n",
        ),
        (["-s", "FOO", "1"], "Unknown job signal: FOO\n"),
        (["--bogus"], "scancel: unrecognized option '--bogus'\nTry \"scancel --help\" for more information\n"),
        (
            ["--n"],
            "scancel: option '--n' is ambiguous; possibilities: '--name' '--nodelist'\n"
            'Try "scancel --help" for more information\n',
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refusals_before_anything_is_asked(dead_cluster, words, stderr, capfd):
    assert main(words) == 1
    assert capfd.readouterr() == ("", stderr)


def test_a_controller_that_is_away_is_waited_for(controller, capfd):
    controller.answers["KillJobs"] = lambda body: {"outcomes": []}
    controller.drops["KillJobs"] = 1

    assert main(["1"]) == 0
    assert capfd.readouterr().err == (
        "scancel: Unable to contact slurm controller (connect failure), retrying for up to 60 seconds\n"
    )


def test_a_signal_is_sent_once_or_not_at_all(controller):
    """What has gone out may have arrived."""
    controller.answers["KillJobs"] = lambda body: {"outcomes": []}
    controller.drops["KillJobs"] = 1

    assert main(["-s", "USR1", "1"]) == 8
    assert len(controller.bodies("KillJobs")) == 1


def test_no_controller(dead_cluster, monkeypatch, capfd):
    monkeypatch.setattr(client, "PATIENCE_S", 0.0)

    assert main(["1"]) == 8
    assert main(["-n", "x"]) == 1
    assert capfd.readouterr().err == (
        "scancel: error: Kill job error on job id 1: Unable to contact slurm controller (connect failure)\n"
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"
    )


def make_view(**fields):
    return {"job": {"spec": {"name": "i1"}, "partition": "batch", **fields}}


def test_interactive_asks_for_each_job(controller, cancel, monkeypatch, capfd):
    pending = {"ranges": [[1, 3, 1]]}
    views = [make_view(id=382), make_view(id=383, array_job_id=383, pending_array=pending)]
    controller.answers["QueryJobs"] = {"jobs": views}
    monkeypatch.setattr("sys.stdin", io.StringIO("n\ny\n"))

    status, request = cancel("-i", "-n", "i1")

    assert (status, request.ids) == (0, ("383_[1-3]",))
    assert capfd.readouterr().out == (
        "Cancel job_id=382 name=i1 partition=batch [y/n]? Cancel job_id=383_[1-3] name=i1 partition=batch [y/n]? "
    )


def test_interactive_and_everything_declined(controller, cancel, monkeypatch):
    controller.answers["QueryJobs"] = {"jobs": [make_view(id=1)]}
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    assert cancel("-i", "1") == (0, None)


def test_interactive_on_an_unknown_job(controller, capfd):
    controller.answers["QueryJobs"] = {}

    assert main(["-i", "99999"]) == 1
    assert capfd.readouterr().err == "scancel: error: Kill job error on job id 99999: Invalid job id specified\n"
