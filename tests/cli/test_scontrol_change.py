"""scontrol's verbs that change something: what is sent, and what is said of a refusal."""

import io

import pytest

from sluice.errors import InvalidRequest, NotFound, NotPermitted, RequestError
from sluice_cli import scontrol
from tests.cli import fake_controller
from tests.cli.records import at, grant, started


@pytest.fixture
def controller(monkeypatch):
    fake = fake_controller.install(monkeypatch)
    for name in ("ChangeJobs", "UpdateJobs", "UpdateNodes", "UpdatePartition", "Reconfigure", "Shutdown"):
        fake.replies[name] = {}
    fake.replies["Ping"] = {"host": "vm"}
    return fake


def run(capfd, *words):
    status = scontrol.main(words)
    output = capfd.readouterr()
    return status, output.out, output.err


def requests(controller, name):
    return [body for its_name, body in controller.requests if its_name == name]


def test_each_job_is_a_request_of_its_own(controller, capfd):
    assert run(capfd, "hold", "16,17", "4_[1-2,5]") == (0, "", "")

    assert requests(controller, "ChangeJobs") == [
        {"action": "hold", "ids": ["16"]},
        {"action": "hold", "ids": ["17"]},
        {"action": "hold", "ids": ["4_[1-2,5]"]},
    ]


def test_a_message_is_sent_with_all_its_words(controller, capfd):
    controller.replies["NotifyJob"] = {}

    assert run(capfd, "notify", "16", "the", "fan") == (0, "", "")
    assert requests(controller, "NotifyJob") == [{"id": "16", "text": "the fan"}]
    assert run(capfd, "notify", "16") == (1, "", "too few arguments for keyword:notify\n")


def test_a_message_that_nobody_hears_is_refused(controller, capfd):
    controller.replies["NotifyJob"] = RequestError("job 7 is PENDING and nobody waits for it", "disabled")

    assert run(capfd, "notify", "7", "hi") == (
        1,
        "",
        "scontrol: error: job 7 is PENDING and nobody waits for it\n"
        "job notify failure: Requested operation is presently disabled\n",
    )


def test_requeue_options(controller, capfd):
    assert run(capfd, "requeuehold", "State=SpecialExit", "432") == (0, "", "")
    assert run(capfd, "requeue", "Incomplete", "432") == (0, "", "")

    assert requests(controller, "ChangeJobs") == [
        {"action": "requeuehold", "is_special_exit": True, "ids": ["432"]},
        {"action": "requeue", "is_incomplete": True, "ids": ["432"]},
    ]


@pytest.mark.parametrize(
    ("words", "error", "expected"),
    [
        (
            ("hold", "7"),
            RequestError("job 7 is COMPLETED", "finished"),
            "Job has already finished for job 7\nslurm_suspend error: Job has already finished\n",
        ),
        (
            ("release", "99999"),
            NotFound("no job is called 99999", "invalid_job"),
            "Invalid job id specified for job 99999\nslurm_suspend error: Invalid job id specified\n",
        ),
        (("suspend", "17"), NotPermitted("..."), "Access/permission denied for job 17\n"),
        (
            ("requeue", "16"),
            RequestError("no script", "disabled"),
            "Requested operation is presently disabled for job 16\n",
        ),
        (("top", "6"), RequestError("runs", "not_pending"), "Job is no longer pending execution for job 6\n"),
        (
            ("requeue", "abc"),
            InvalidRequest("Invalid job id abc", "invalid_job_id"),
            "Invalid job id specified for job abc\n",
        ),
        (("hold",), None, "too few arguments for keyword:hold\n"),
    ],
)
def test_refused_changes(controller, capfd, words, error, expected):
    controller.replies["ChangeJobs"] = error

    assert run(capfd, *words) == (1, "", expected)


def test_a_warning_is_no_failure(controller, capfd):
    controller.replies["UpdateJobs"] = {"warnings": ["job 9 is not known"]}

    assert run(capfd, "update", "jobid=7", "dependency=afterok:9") == (0, "", "scontrol: job 9 is not known\n")


def test_no_job_of_a_name_is_no_error(controller, capfd):
    controller.replies["ChangeJobs"] = NotFound("no job is called nosuch", "invalid_job")

    assert run(capfd, "release", "jobname=nosuch") == (0, "", "")


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (("jobid=16", "TimeLimit=+5"), {"ids": ["16"], "changes": [("TimeLimit", "+5")]}),
        (("job=16", "jobname=pd"), {"ids": ["16"], "changes": [("name", "pd")]}),
        (("jobid", "16", "name", "pd2"), {"ids": ["16"], "changes": [("name", "pd2")]}),
        (("jobname=pd2", "comment=a b"), {"names": ["pd2"], "changes": [("comment", "a b")]}),
        (("jobid=16", "nodelist=n1"), {"ids": ["16"], "changes": [("nodelist", "n1")]}),
    ],
)
def test_updates_of_jobs_go_as_typed(controller, capfd, words, body):
    assert run(capfd, "update", *words) == (0, "", "")
    assert controller.asked("UpdateJobs") == body


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("jobid=16", "timelimit=bogus"), "scontrol: error: Invalid TimeLimit value\n"),
        (("jobid=16", "starttime=bogus"), "Invalid time specification (pos=0): bogus\nNo changes specified\n"),
        (("jobid=16", "minmemorycpu=bad"), "scontrol: error: Invalid MinMemoryCPU value: bad\n"),
        (("jobid=16", "requeue=x"), "scontrol: error: Invalid Requeue value: x\n"),
        (("jobid=16", "bogus=1"), "Update of this parameter is not supported: bogus=1\nRequest aborted\n"),
        (("jobid=16", "timelimit"), "Invalid input: timelimit\nRequest aborted\n"),
        (("jobid=16", "userid=0"), "No changes specified\n"),
        ((), "too few arguments for update keyword\n"),
        (
            ("state=down",),
            'No valid entity in update command\nInput line must include "NodeName", "PartitionName", "Reservation", '
            '"JobId", or "SlurmctldDebug"\n',
        ),
        (
            ("nodename=n4", "state=drain"),
            "You must specify a reason when DOWNING or DRAINING a node. Request denied\n",
        ),
        (
            ("nodename=n1", "state=bogus"),
            "Invalid input: state=bogus\nRequest aborted\n"
            "Valid states are: NoResp DRAIN FAIL FUTURE RESUME POWER_DOWN POWER_UP UNDRAIN\n"
            "Not all states are valid given a node's prior state\n",
        ),
        (("nodename=n2",), "No changes specified\n"),
        (("nodename=n2", "bogus=1"), "Update of this parameter is not supported: bogus=1\nRequest aborted\n"),
        (
            ("partitionname=short", "state=bogus"),
            "scontrol: error: Invalid input: state=bogus\n"
            "scontrol: error: Acceptable State values are UP, DOWN, DRAIN and INACTIVE\n",
        ),
        (
            ("partitionname=short", "maxtime=bogus"),
            "scontrol: error: Invalid input maxtime=bogus\n",
        ),
    ],
)
def test_updates_that_are_wrong_by_themselves(controller, capfd, words, expected):
    assert run(capfd, "update", *words) == (1, "", expected)
    assert not controller.requests


@pytest.mark.parametrize(
    ("words", "name", "error", "expected"),
    [
        (
            ("jobid=7", "timelimit=10"),
            "UpdateJobs",
            RequestError("ended", "finished"),
            "Job has already finished for job 7\n",
        ),
        (
            ("jobname=nosuch", "comment=x"),
            "UpdateJobs",
            NotFound("no job is called nosuch", "invalid_job"),
            "scontrol: error: No jobs with name 'nosuch'\n",
        ),
        (
            ("nodename=n3", "state=resume"),
            "UpdateNodes",
            InvalidRequest("in service", "invalid_node_state"),
            "slurm_update error: Invalid node state specified\n",
        ),
        (
            ("nodename=n2", "state=drain", "reason=x"),
            "UpdateNodes",
            NotPermitted("..."),
            "slurm_update error: Invalid user id\n",
        ),
        (
            ("partitionname=nosuch", "state=up"),
            "UpdatePartition",
            NotFound("...", "invalid_partition"),
            "slurm_update error: Invalid partition name specified\n",
        ),
    ],
)
def test_updates_that_the_controller_refuses(controller, capfd, words, name, error, expected):
    controller.replies[name] = error

    assert run(capfd, "update", *words) == (1, "", expected)


def test_nodes_and_partitions(controller, capfd):
    assert run(capfd, "update", "NodeName=n[1-4]", "State=DRAIN", "Reason=bad dimm") == (0, "", "")
    assert run(capfd, "create", "partitionname=newp", "nodes=n1") == (0, "", "")
    assert run(capfd, "delete", "partitionname=newp") == (0, "", "")

    assert controller.asked("UpdateNodes") == {
        "nodes": "n[1-4]",
        "changes": [("State", "DRAIN"), ("Reason", "bad dimm")],
    }
    assert requests(controller, "UpdatePartition") == [
        {"name": "newp", "action": "create", "changes": [("nodes", "n1")]},
        {"name": "newp", "action": "delete"},
    ]
    controller.replies["UpdatePartition"] = NotFound("...", "invalid_partition")
    assert run(capfd, "delete", "partitionname=nosuch")[2] == (
        "delete_partition partitionname=nosuch: Invalid partition name specified\n"
    )


def test_small_verbs(controller, capfd):
    assert run(capfd, "version") == (0, "slurm 25.05.0\n", "")
    assert run(capfd, "-V") == (0, "slurm 25.05.0\n", "")
    assert run(capfd, "ping") == (0, "Slurmctld(primary) at vm is UP\n", "")
    assert run(capfd, "reconfigure") == (0, "", "")
    assert run(capfd, "reconfig") == (0, "", "")
    assert run(capfd, "shutdown") == (0, "", "")
    assert run(capfd, "write", "bogus") == (1, "", "invalid write argument:bogus\n")


def test_a_refused_configuration_is_told_once(controller, capfd):
    controller.replies["Reconfigure"] = InvalidRequest("the configuration is refused:\nx.conf:3: Bogus")

    assert run(capfd, "reconfigure") == (
        1,
        "",
        "slurm_reconfigure error: the configuration is refused:\nx.conf:3: Bogus\n",
    )


def test_a_batch_script_is_written(controller, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    controller.replies["QueryScript"] = {"script": b"#!/bin/sh\nexit 3\n"}

    assert run(capfd, "write", "batch_script", "6", "-")[1] == "#!/bin/sh\nexit 3\n"
    assert run(capfd, "write", "batch_script", "6")[1] == "batch script for job 6 written to slurm-6.sh\n"
    assert (tmp_path / "slurm-6.sh").read_bytes() == b"#!/bin/sh\nexit 3\n"
    controller.replies["QueryScript"] = NotFound("...", "invalid_job")
    assert run(capfd, "write", "batch_script", "99", "-") == (
        1,
        "",
        "job script retrieval failed: Invalid job id specified\n",
    )
    controller.replies["QueryScript"] = NotPermitted("...")
    assert run(capfd, "write", "batch_script", "6", "-") == (
        1,
        "",
        "job script retrieval failed: Access/permission denied\n",
    )


def test_a_reboot_that_nothing_does_says_what_is_not_set(controller, capfd):
    controller.replies["UpdateNodes"] = InvalidRequest("RebootProgram is not set", "disabled")

    assert run(capfd, "reboot", "n3") == (
        1,
        "",
        "scontrol: error: RebootProgram is not set\nreboot: error: Requested operation is presently disabled\n",
    )


def test_waiting_for_a_job(controller, capfd):
    controller.replies["WaitJobStart"] = {}
    assert run(capfd, "wait_job", "6") == (0, "", "scontrol: Nodes are ready for job 6\n")

    controller.replies["WaitJobStart"] = NotFound("...", "invalid_job")
    assert run(capfd, "wait_job", "99999") == (1, "", "scontrol: Problem running job 99999\n")


def test_completing_jobs(controller, capfd):
    ended = started(17, (grant("n1", 1),), "CANCELLED", job_ended_at=at("17:28:50"), job_completing_nodes=("n1",))
    controller.replies["QueryJobs"] = {"jobs": [ended], "now_at": at("17:28:55")}

    assert run(capfd, "completing")[1] == (
        "JobId=17 EndTime=2026-11-22T17:28:50 CompletingTime=00:00:05 Nodes(COMPLETING)=n1\n"
    )


def test_a_dialogue(controller, capfd, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("show hostnames n[1-2]\nping\n!!\nbogus\nexit\nping\n"))

    assert run(capfd) == (
        1,
        "scontrol: n1\nn2\n"
        "scontrol: Slurmctld(primary) at vm is UP\n"
        "scontrol: Slurmctld(primary) at vm is UP\n"
        "scontrol: scontrol: ",
        "invalid keyword: bogus\n",
    )
