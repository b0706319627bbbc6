"""Reservations on the command line: what is sent, what is printed, and what is said of a refusal."""

import json

import pytest

from sluice.errors import InvalidRequest, NotFound, NotPermitted, RequestError
from sluice.model.reservation import CoreShare, Reservation
from sluice_cli import scontrol, sinfo, squeue
from tests.cli import fake_controller
from tests.cli.records import at, grant, node, pending, plain, started


@pytest.fixture
def controller(monkeypatch):
    fake = fake_controller.install(monkeypatch)
    fake.replies["UpdateReservation"] = {}
    return fake


def run(capfd, command, *words):
    status = command.main(words)
    output = capfd.readouterr()
    return status, output.out, output.err


def reservation(**fields):
    values = {
        "id": 1,
        "name": "alice_1",
        "start_at": at("18:28:56"),
        "end_at": at("19:28:56"),
        "flags": ("IGNORE_JOBS",),
        "nodes": ("n1",),
        "core_count": 8,
        "cpu_count": 8,
        "partition": "batch",
        "users": ("alice",),
    }
    return plain(Reservation(**(values | fields)))


def given(controller, *reservations, now="17:28:56"):
    controller.replies["QueryReservations"] = {"reservations": list(reservations), "now_at": at(now)}


def test_a_reservation_as_recorded(controller, capfd):
    given(controller, reservation())

    assert run(capfd, scontrol, "show", "res")[1] == (
        "ReservationName=alice_1 StartTime=2026-11-22T18:28:56 EndTime=2026-11-22T19:28:56 Duration=01:00:00\n"
        "   Nodes=n1 NodeCnt=1 CoreCnt=8 Features=(null) PartitionName=batch Flags=IGNORE_JOBS\n"
        "   TRES=cpu=8\n"
        "   Users=alice Groups=(null) Accounts=(null) Licenses=(null) State=INACTIVE BurstBuffer=(null) Watts=n/a\n"
        "   MaxStartDelay=(null)\n"
        "\n"
    )
    assert run(capfd, sinfo, "-T") == (
        0,
        "RESV_NAME     STATE           START_TIME             END_TIME     DURATION  NODELIST\n"
        "alice_1    INACTIVE  2026-11-22T18:28:56  2026-11-22T19:28:56     01:00:00  n1\n",
        "",
    )


def test_the_cores_of_a_node_and_what_is_denied(controller, capfd):
    share = CoreShare(node="n4", cores="0-3", core_count=4, cpu_count=4)
    given(
        controller,
        reservation(
            flags=("MAINT", "SPEC_NODES", "PURGE_COMP"),
            purge_after_s=600,
            core_shares=(share,),
            users=("bob", "carl"),
            is_users_denied=True,
            max_start_delay_s=600,
            qos=("high",),
        ),
        now="18:30:00",
    )

    out = run(capfd, scontrol, "show", "reservation", "alice_1")[1]

    assert "Flags=MAINT,SPEC_NODES,PURGE_COMP=00:10:00\n     NodeName=n4 CoreIDs=0-3\n   TRES=cpu=8\n" in out
    assert "Users=-bob,-carl " in out
    assert "State=ACTIVE" in out
    assert "\n   QOS=high\n   MaxStartDelay=00:10:00\n" in out
    assert controller.asked("QueryReservations") == {"name": "alice_1"}


def test_there_is_none(controller, capfd):
    given(controller)
    assert run(capfd, scontrol, "show", "res") == (0, "No reservations in the system\n", "")
    assert run(capfd, sinfo, "-T") == (0, "No reservations in the system\n", "")

    controller.replies["QueryReservations"] = NotFound("...", "reservation")
    assert run(capfd, scontrol, "show", "reservation", "r1") == (1, "Reservation r1 not found\n", "")


def test_as_json(controller, capfd):
    given(controller, reservation(licenses=(("matlab", 2),)), now="18:30:00")

    (shown,) = json.loads(run(capfd, scontrol, "show", "res", "--json")[1])["reservations"]

    assert shown["name"] == "alice_1"
    assert shown["flags"] == ["IGNORE_JOBS"]
    assert shown["start_time"] == {"set": True, "infinite": False, "number": int(at("18:28:56"))}
    assert (shown["node_list"], shown["licenses"], shown["state"]) == ("n1", "matlab:2", "ACTIVE")
    assert json.loads(run(capfd, sinfo, "-T", "--json")[1])["reservations"] == [shown]


def test_a_new_one_is_asked_for_as_typed_and_its_name_is_told(controller, capfd):
    controller.replies["UpdateReservation"] = {"lines": ["Reservation created: alice_1"]}
    words = ("user=alice", "starttime=now", "duration=60", "nodecnt=1", "flags=ignore_jobs")

    assert run(capfd, scontrol, "create", "reservation", *words) == (0, "Reservation created: alice_1\n", "")

    changes = [tuple(word.split("=")) for word in words]
    assert controller.asked("UpdateReservation") == {"name": "", "action": "create", "changes": changes}


@pytest.mark.parametrize("words", [("reservation=m1",), ("reservationname=m1",), ("reservation", "m1"), ("res", "m1")])
def test_a_new_one_may_be_named(controller, capfd, words):
    run(capfd, scontrol, "create", *words, "user=root", "starttime=now", "duration=30", "nodes=n1")

    assert controller.asked("UpdateReservation")["name"] == "m1"


WHOLE = ("user=alice", "starttime=now+1hour", "duration=60", "nodecnt=1")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "A start time must be given."),
        (("user=alice", "starttime=now"), "An end time or duration must be given."),
        (WHOLE[:3], "CoreCnt, Nodes, NodeCnt, BurstBuffer, Licenses or Watts must be specified."),
        (WHOLE[1:], "Either Users/Groups and/or Accounts must be specified."),
        (
            (*WHOLE, "groups=alice"),
            "Users and Groups are mutually exclusive.  You can have one or the other, but not both.",
        ),
        ((*WHOLE, "bogus=1"), "Unknown parameter bogus=1."),
        ((*WHOLE, "flags=bogus"), "Error parsing flags bogus."),
        ((*WHOLE, "flags=spec_nodes"), "Error parsing flags spec_nodes."),
        ((*WHOLE, "duration=bogus"), "Invalid duration duration=bogus."),
        ((*WHOLE, "flags=part_nodes"), "PART_NODES flag requires specifying a Partition and ALL nodes."),
        (("user=alice", "starttime=now+1hour", "endtime=now", "nodecnt=1"), "Start time cannot be after end time."),
    ],
)
def test_a_new_one_that_is_wrong_by_itself(controller, capfd, words, text):
    assert run(capfd, scontrol, "create", "reservation", *words) == (
        1,
        "",
        f"scontrol: error: {text}  No reservation created.\n",
    )
    assert not controller.requests


def test_a_time_that_is_none(controller, capfd):
    assert run(capfd, scontrol, "create", "reservation", "user=alice", "starttime=bogus")[2] == (
        "Invalid time specification (pos=0): bogus\n"
        "scontrol: error: Invalid start time starttime=bogus.  No reservation created.\n"
    )
    assert run(capfd, scontrol, "create", "reservation", "nodecnt=x")[2] == "scontrol: error: Invalid node count x\n"


def test_a_refusal_says_first_what_stands_against_it(controller, capfd):
    controller.replies["UpdateReservation"] = RequestError(
        "node n1: reservation 'r1' has it from 20:46 to 21:46", "reservation_overlap"
    )

    assert run(capfd, scontrol, "create", "reservation", *WHOLE) == (
        1,
        "",
        "scontrol: error: node n1: reservation 'r1' has it from 20:46 to 21:46\n"
        "Error creating the reservation: Requested reservation overlaps with another reservation\n",
    )


def test_changes_are_sent_as_typed(controller, capfd):
    words = ("reservationname=r1", "users+=bob", "nodes-=n2", "flags=maint", "skip")

    assert run(capfd, scontrol, "update", *words) == (0, "Reservation updated.\n", "")

    assert controller.asked("UpdateReservation") == {
        "name": "r1",
        "changes": [("users+", "bob"), ("nodes-", "n2"), ("flags", "maint"), ("skip", "")],
    }


def test_a_jobs_reservation_is_a_key_of_the_job(controller, capfd):
    controller.replies["UpdateJobs"] = {}

    assert run(capfd, scontrol, "update", "jobid=7", "reservationname=r1") == (0, "", "")
    assert controller.asked("UpdateJobs") == {"ids": ["7"], "changes": [("reservationname", "r1")]}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NotFound("no reservation is called 'r1'", "reservation"), "Requested reservation is invalid"),
        (InvalidRequest("'r1' has begun", "reservation_begun"), "Reservation already started"),
        (NotPermitted("..."), "Invalid user id"),
    ],
)
def test_refused_changes(controller, capfd, error, text):
    controller.replies["UpdateReservation"] = error

    status, _, err = run(capfd, scontrol, "update", "reservationname=r1", "duration=5")

    assert status == 1
    assert err.endswith(f"Error updating the reservation: {text}\nslurm_update error: {text}\n")
    assert run(capfd, scontrol, "delete", "reservationname=r1")[2].endswith(
        f"delete_reservation reservationname=r1: {text}\n"
    )


def test_an_unknown_key_of_an_update(controller, capfd):
    assert run(capfd, scontrol, "update", "reservationname=r1", "bogus=1") == (
        1,
        "",
        "scontrol: error: Unknown parameter bogus=1.  No reservation update.\n",
    )


def test_jobs_of_a_reservation(controller, capfd):
    waiting = pending(5, reservation="r1,r2")
    running = started(6, (grant("n1", 1),), reservation="r1,r2", job_reservation="r2")
    controller.replies["QueryJobs"] = {"jobs": [waiting, running], "now_at": at("17:30:00")}

    assert run(capfd, squeue, "-h", "-R", "r2", "-o", "%i %v")[1] == "5 r1,r2\n6 r2\n"
    assert controller.asked("QueryJobs")["filter"]["reservations"] == ["r2"]


def test_a_job_held_because_its_reservation_is_gone(controller, capfd):
    held = pending(5, job_reason="ReservationDeleted", job_hold="user")
    controller.replies["QueryJobs"] = {"jobs": [held], "now_at": at("17:30:00")}

    assert run(capfd, squeue, "-h", "-o", "%i %t %T")[1] == "5 RD RESV_DEL_HOLD\n"


def test_nodes_in_reservations_have_words_of_their_own(controller, capfd):
    controller.replies["QueryPartitions"] = {"partitions": [{"name": "batch", "nodes": ["n1", "n2", "n3"]}]}
    kept = node("n1", flags=("RESERVED",)) | {"reservation": "r1"}
    repaired = node("n2", flags=("MAINTENANCE", "RESERVED")) | {"reservation": "m1"}
    controller.replies["QueryNodes"] = {"nodes": [kept, repaired, node("n3")], "now_at": at("17:30:00")}

    assert (
        run(capfd, sinfo, "-h", "-N", "-o", "%N %t %T %i")[1]
        == "n1 resv reserved r1\nn2 maint maint m1\nn3 idle idle \n"
    )
    assert "State=IDLE+MAINTENANCE+RESERVED " in run(capfd, scontrol, "show", "node", "n2")[1]
