"""squeue's listings, to the byte as recorded."""

# ruff: noqa: E501

import json
import os

import pytest

from sluice.errors import NotFound, Unreachable
from sluice.model.reason import Reason
from sluice.model.states import Hold
from sluice.model.step import StepNode
from sluice_cli import json_out, squeue, squeue_jobs, talk
from tests.cli import fake_controller
from tests.cli.records import array, at, grant, pending, started, step

HEADER = "             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)\n"
LISTING = (
    HEADER
    + """\
                 2     batch    first    alice PD       0:00      1 (Resources)
                12     batch   tlimit      bob PD       0:00      1 (Priority)
         4_[0-9%2]     batch      arr    alice PD       0:00      1 (Priority)
                10     batch    later      bob PD       0:00      1 (BeginTime)
                 9     batch     held      bob PD       0:00      1 (JobHeldUser)
                 5     batch    long1    alice  R       0:27      2 n[1-2]
                 6     batch    blong      bob  R       0:27      2 n[3-4]
"""
)


@pytest.fixture
def controller(monkeypatch):
    fake = fake_controller.install(monkeypatch)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    bob = {"user": "bob", "uid": 1002, "account": "biology"}
    jobs = [
        pending(
            2,
            Reason.RESOURCES,
            name="first",
            ntasks=2,
            limit_s=300,
            priority=11156,
            view_planned_start_at=at("17:58:24"),
            view_planned_nodes="n1",
        ),
        started(5, (grant("n1", 7), grant("n2", 1)), name="long1", limit_s=1800, ntasks=8, min_nodes=2),
        started(6, (grant("n3", 8), grant("n4", 4)), name="blong", job_priority=11312, **bob),
        pending(12, name="tlimit", limit_s=60, view_planned_start_at=at("20:58:00"), view_planned_nodes="n2", **bob),
        array(4, ((0, 9, 1),), 2, name="arr", view_planned_start_at=at("20:28:00"), view_planned_nodes="n3"),
        pending(10, Reason.BEGIN_TIME, name="later", view_planned_start_at=at("19:28:14"), **bob),
        pending(9, Reason.JOB_HELD_USER, name="held", priority=0, job_hold=Hold.USER, job_eligible_at=None, **bob),
    ]
    fake.replies["QueryJobs"] = [
        {"jobs": jobs[:3], "now_at": at("17:28:51")},
        {"jobs": jobs[3:], "now_at": at("17:28:51")},
    ]
    return fake


def run(capfd, *words):
    status = squeue.main(words)
    output = capfd.readouterr()
    return status, output.out, output.err


def test_the_default_listing_is_slurms_to_the_byte(controller, capfd):
    assert run(capfd) == (0, LISTING, "")
    assert controller.asked("QueryJobs") == {"filter": {"states": ["COMPLETING", "PENDING", "RUNNING", "SUSPENDED"]}}


def test_the_long_listing_has_a_date_the_state_and_the_limit(controller, capfd, monkeypatch):
    monkeypatch.setattr("time.ctime", lambda: "Sun Nov 22 17:28:51 2026")

    status, out, _ = run(capfd, "-l")

    lines = out.splitlines()
    assert status == 0
    assert lines[:3] == [
        "Sun Nov 22 17:28:51 2026",
        "             JOBID PARTITION     NAME     USER    STATE       TIME TIME_LIMI  NODES NODELIST(REASON)",
        "                 2     batch    first    alice  PENDING       0:00      5:00      1 (Resources)",
    ]
    assert lines[-2] == "                 5     batch    long1    alice  RUNNING       0:27     30:00      2 n[1-2]"


def test_the_recorded_format_of_many_letters(controller, capfd):
    _, out, _ = run(capfd, "-h", "-o", "%i|%j|%u|%T|%M|%l|%D|%C|%R|%Q|%V|%S|%a|%q")

    lines = out.splitlines()
    assert lines[0] == (
        "2|first|alice|PENDING|0:00|5:00|1|2|(Resources)|11156|2026-11-22T17:28:14|2026-11-22T17:58:24|physics|normal"
    )
    assert lines[4] == "9|held|bob|PENDING|0:00|1:00:00|1|1|(JobHeldUser)|0|2026-11-22T17:28:14|N/A|biology|normal"
    assert lines[6] == (
        "6|blong|bob|RUNNING|0:27|1:00:00|2|12|n[3-4]|11312|2026-11-22T17:28:14|2026-11-22T17:28:24|biology|normal"
    )


def test_the_recorded_format_of_names(controller, capfd):
    _, out, _ = run(capfd, "-O", "jobid,arraytaskid,name,state,reason,timeleft,nodelist,priority")

    lines = out.splitlines()
    assert lines[0] == (
        "JOBID               ARRAY_TASK_ID       NAME                STATE               "
        "REASON              TIME_LEFT           NODELIST            PRIORITY            "
    )
    assert lines[1] == (
        "2                   N/A                 first               PENDING             "
        "Resources           5:00                                    0.00000259745866    "
    )
    assert lines[3].startswith("4                   0-9%2               arr ")
    assert lines[6].startswith("5                   N/A                 long1               RUNNING             None  ")
    assert "29:33               n[1-2]              0.00000264844857    " in lines[6]


def test_expected_starts_are_of_waiting_jobs_in_order_of_time(controller, capfd):
    controller.replies["QueryJobs"][0]["jobs"] = controller.replies["QueryJobs"][0]["jobs"][:1]

    _, out, _ = run(capfd, "--start")

    assert out == (
        "             JOBID PARTITION     NAME     USER ST          START_TIME  NODES SCHEDNODES           NODELIST(REASON)\n"
        "                 2     batch    first    alice PD 2026-11-22T17:58:24      1 n1                   (Resources)\n"
        "                10     batch    later      bob PD 2026-11-22T19:28:14      1 (null)               (BeginTime)\n"
        "         4_[0-9%2]     batch      arr    alice PD 2026-11-22T20:28:00      1 n3                   (Priority)\n"
        "                12     batch   tlimit      bob PD 2026-11-22T20:58:00      1 n2                   (Priority)\n"
        "                 9     batch     held      bob PD                 N/A      1 (null)               (JobHeldUser)\n"
    )


def test_array_tasks_get_a_line_each(controller, capfd):
    _, out, _ = run(capfd, "-r", "-h", "-o", "%i %K")

    assert out.splitlines()[2:5] == ["4_0 0", "4_1 1", "4_2 2"]


@pytest.mark.parametrize(
    ("ids", "shown"),
    [("4_0", "4_0"), ("4_0,4_6", "4_[0,6%2]"), ("4_[1-3]", "4_[1-3%2]"), ("4_77", None)],
    ids=["one task", "two tasks are one line", "a range", "a task that is not there is no error"],
)
def test_tasks_that_are_asked_for(controller, capfd, ids, shown):
    controller.replies["QueryJobs"] = {"jobs": [array(4, ((0, 9, 1),), 2)], "now_at": at("17:28:51")}

    assert run(capfd, "-h", "-j", ids, "-o", "%i") == (0, f"{shown}\n" if shown else "", "")


def test_a_single_unknown_id_is_an_error(controller, capfd):
    controller.replies["QueryJobs"] = NotFound("job 99999 is not known", "invalid_job")

    assert run(capfd, "-j", "99999") == (1, "", "slurm_load_jobs error: Invalid job id specified\n")


def test_a_known_ended_job_is_a_header_alone(controller, capfd):
    ended = started(7, (grant("n1", 1),), "COMPLETED", job_ended_at=at("17:28:30"))
    controller.replies["QueryJobs"] = {"jobs": [ended], "now_at": at("17:28:51")}

    assert run(capfd, "-j7") == (0, HEADER, "")
    assert run(capfd, "-j7", "-t", "all", "-ho%i%t%M") == (0, "7CD0:06\n", "")


def test_several_ids_are_silent_about_unknown_ones(controller, capfd):
    controller.replies["QueryJobs"] = {"now_at": at("17:28:51")}

    assert run(capfd, "-j", "98", "-j", "99") == (0, HEADER, "")
    assert controller.asked("QueryJobs") == {"filter": {"ids": ["98", "99"]}}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("-j", "1,abc"), "squeue: error: Invalid job id: abc\n"),
        (("-s", "1"), "squeue: error: Invalid job_step id: 1.??\n"),
        (("-S", "foo"), "squeue: error: Invalid sort specification: o\n"),
        (("-S", "!"), "squeue: error: Invalid sort specification: !\n"),
        (("-i", "x"), "squeue: error: --iterate=x\n\n"),
        (("-o", "%i", "-O", "jobid"), "squeue: error: -O (--Format) is incompatible with -o (--format)\n"),
        (("--bogus",), "squeue: unrecognized option '--bogus'\nTry \"squeue --help\" for more information\n"),
    ],
)
def test_what_is_refused_and_how(controller, capfd, words, expected):
    assert run(capfd, *words) == (1, "", expected)


def test_an_unknown_state_lists_the_known_ones(controller, capfd):
    status, out, err = run(capfd, "-t", "foo")

    assert (status, out) == (1, "")
    assert err.startswith(
        "squeue: error: Invalid job state specified: foo\nsqueue: error: Valid job states include: PENDING,RUNNING,"
    )


def test_an_unknown_user_is_told_and_lists_nothing(controller, capfd):
    assert run(capfd, "-u", "no-such-user") == (0, HEADER, "squeue: error: Invalid user: no-such-user\n\n")


def test_a_controller_that_is_away(controller, capfd):
    controller.replies["QueryJobs"] = Unreachable("nobody there")

    assert run(capfd) == (
        1,
        "",
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n",
    )


def test_unknown_letters_stay_as_they_are(controller, capfd):
    status, out, err = run(capfd, "-h", "-o", "%1 %# %.5i|%-3u|%%i", "-S", "i", "-t", "R")

    assert (status, out.splitlines()[0]) == (0, "%1 %#     5|%-3u|5")
    assert err == "".join(f"squeue: error: Invalid job format specification: {letter}\n" for letter in (" ", "#", "-"))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("jobid:6,name:.10,state:5,nodelist:.8,reason", "5          long1RUNNI  n[1-2]None                "),
        ("jobid:6 ,name:.10X,state:5--", "5           long1XRUNNI--"),
        ("jobid:x,,username", "5xalice               "),
        ("JobID:###x###,", "5###x###"),
        ("bogus,jobid:3", "5  "),
    ],
)
def test_widths_and_suffixes_of_names(controller, capfd, form, expected):
    _, out, _ = run(capfd, "-h", "-t", "R", "-S", "i", "-O", form)

    assert out.splitlines()[0] == expected


def test_sorting_by_letters(controller, capfd):
    _, out, _ = run(capfd, "-h", "-S", "u,-i", "-o", "%u %i")

    assert out.splitlines() == ["alice 5", "alice 4_[0-9%2]", "alice 2", "bob 12", "bob 10", "bob 9", "bob 6"]


def test_time_format_and_array_length_come_from_the_environment(controller, capfd, monkeypatch):
    monkeypatch.setenv("SLURM_TIME_FORMAT", "%H:%M")
    monkeypatch.setenv("SLURM_BITSTR_LEN", "2")
    monkeypatch.setenv("SQUEUE_FORMAT", "%i %V")

    assert "4_[...%2] 17:28\n" in run(capfd, "-h")[1]


def test_nodes_that_are_away_are_named_in_the_reason(controller, capfd):
    job = pending(3, Reason.REQ_NODE_NOT_AVAIL, "UnavailableNodes:n3")
    controller.replies["QueryJobs"] = {"jobs": [job], "now_at": at("17:28:51")}

    assert run(capfd, "-ho", "%R")[1] == "(ReqNodeNotAvail, UnavailableNodes:n3)\n"


def test_hidden_partitions_are_for_those_who_ask(controller, capfd, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 1001)
    controller.replies["QueryPartitions"] = {"partitions": [{"name": "batch", "is_hidden": True}]}

    assert run(capfd) == (0, HEADER, "")
    assert run(capfd, "-a") == (0, LISTING, "")


def test_steps(controller, capfd):
    nodes = (StepNode(node="n1", ntasks=7, cpu_count=7), StepNode(node="n2", ntasks=1, cpu_count=1))
    controller.replies["QuerySteps"] = {
        "steps": [
            step(5, -5, nodes[:1], "batch"),
            step(5, 0, nodes),
            step(6, -5, (StepNode(node="n3", ntasks=1),), "batch", user="bob"),
        ],
        "now_at": at("17:28:51"),
    }

    assert run(capfd, "-s") == (
        0,
        "         STEPID     NAME PARTITION     USER      TIME NODELIST\n"
        "            5.0    sleep     batch    alice      0:27 n[1-2]\n"
        "        5.batch    batch     batch    alice      0:27 n1\n"
        "        6.batch    batch     batch      bob      0:27 n3\n",
        "",
    )
    assert run(capfd, "-s", "5.batch", "-h", "-o", "%i %A")[1] == "5.batch 7\n"


@pytest.mark.parametrize("words", [("-s", "-j", "5"), ("-j", "5", "-s"), ("-s", "-j", "5.0")], ids=" ".join)
def test_the_steps_of_a_job(controller, capfd, words):
    controller.replies["QuerySteps"] = {
        "steps": [step(5, 0, (StepNode(node="n1", ntasks=1),))],
        "now_at": at("17:28:51"),
    }

    assert run(capfd, *words, "-ho%i") == (0, "5.0\n", "")
    assert controller.asked("QuerySteps") == {"filter": {"ids": ["5", "5"]}}


@pytest.mark.parametrize(
    ("jobs", "listed"),
    [
        ("3_1", "3_1.0\n"),
        ("3_1,3_2", "3_1.0\n3_2.0\n"),
        ("3_[2-9]", "3_3.0\n3_2.0\n"),
        ("3", "3_3.0\n3_1.0\n3_2.0\n"),
        ("3_1,8", "3_1.0\n8.0\n"),
        ("3_77", ""),
    ],
)
def test_the_steps_of_an_arrays_tasks(controller, capfd, jobs, listed):
    """The controller is asked for whole jobs; the last task of array 3 has its id."""
    nodes = (StepNode(node="n1", ntasks=1),)
    tasks = [step(job_id, 0, nodes, array_job_id=3, array_task_id=index) for job_id, index in ((4, 1), (5, 2), (3, 3))]
    other = [step(8, 0, nodes)] if "8" in jobs else []
    controller.replies["QuerySteps"] = {"steps": [*tasks, *other], "now_at": at("17:28:51")}

    assert run(capfd, "-s", "-j", jobs, "-ho%i", "-S", "i")[:2] == (0, listed)


RECORDED_HEADERS = """
a ACCOUNT A JOBID b TRES_PER_NODE B EXEC_HOST c MIN_CPUS C CPUS d MIN_TMP_DISK D NODES e END_TIME E DEPENDENCY
f FEATURES F ARRAY_JOB_ID g GROUP G GROUP h OVER_SUBSCRIBE H SOCKETS_PER_NODE i JOBID I CORES_PER_SOCKET j NAME
J THREADS_PER_CORE k COMMENT K ARRAY_TASK_ID l TIME_LIMIT L TIME_LEFT m MIN_MEMORY M TIME n REQ_NODES N NODELIST
o COMMAND O CONTIGUOUS p PRIORITY P PARTITION q QOS Q PRIORITY r REASON R NODELIST(REASON) S START_TIME t ST
T STATE u USER U UID v RESERVATION V SUBMIT_TIME w WCKEY W LICENSES x EXC_NODES X CORE_SPEC y NICE Y SCHEDNODES
z S:C:T Z WORK_DIR
"""


def test_every_recorded_letter_has_its_header():
    recorded = RECORDED_HEADERS.split()
    from sluice_cli.fields_job import TABLE

    expected = dict(zip(recorded[::2], recorded[1::2], strict=True))
    assert {letter: field.header for letter, field in TABLE.by_letter.items() if letter != "s"} == expected


def test_every_field_of_every_job_can_be_shown(controller, capfd):
    from sluice_cli.fields_job import TABLE

    names = ",".join(name for field in TABLE.fields for name in field.names)

    status, out, err = run(capfd, "-O", names)

    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 8


def test_json_names_states_times_and_places(controller, capfd):
    status, out, _ = run(capfd, "--json", "-t", "R")

    document = json.loads(out)
    job = document["jobs"][0]
    assert status == 0
    assert set(document) == {"jobs", "meta", "errors", "warnings"}
    assert document["meta"]["slurm"]["cluster"] == "anchor"
    assert (job["job_id"], job["job_state"], job["nodes"], job["user_name"]) == (5, ["RUNNING"], "n[1-2]", "alice")
    assert job["time_limit"] == {"set": True, "infinite": False, "number": 30}
    assert job["start_time"]["number"] == int(at("17:28:24"))
    assert job["array_task_id"] == {"set": False, "infinite": False, "number": 0}
    assert job["standard_output"] == "/home/user/slurm-5.out"


def test_all_fields_and_the_state_alone(controller, capfd):
    from sluice_cli.fields_job import TABLE

    assert run(capfd, "-h", "-t", "R", "-o", "%all")[1].splitlines()[0].count("|") == len(TABLE.by_letter) - 1
    assert run(capfd, "--only-job-state")[1].splitlines()[:2] == [
        "             JOBID      STATE",
        "                 2    PENDING",
    ]


def test_one_line_for_each_partition_of_a_job(controller, capfd):
    controller.replies["QueryJobs"] = {"jobs": [pending(3, partitions=("batch", "short"))], "now_at": at("17:28:51")}

    assert run(capfd, "-ho", "%i %P")[1] == "3 batch,short\n"
    assert run(capfd, "-hPo", "%i %P")[1] == "3 batch\n3 short\n"


class Enough(Exception):
    """The test has seen what it wanted."""


def test_tasks_of_a_huge_array_are_printed_as_they_are_made(controller, monkeypatch):
    """The first of a thousand million lines is there at once."""
    written = []

    def put(text):
        written.append(text)
        raise Enough

    controller.replies["QueryJobs"] = {"jobs": [array(4, ((0, 999_999_999, 1),), 2, name="arr")], "now_at": 0.0}
    monkeypatch.setattr(talk, "put", put)

    with pytest.raises(Enough):
        squeue.main(["-r", "-o", "%i"])

    assert written[0].split()[:3] == ["JOBID", "4_0", "4_1"]
    assert len(written[0].split()) == squeue_jobs._PIECE


def test_an_order_by_task_mixes_started_and_waiting_ones(controller, capfd):
    started_task = started(5, (grant("n1", 1),), name="arr", job_array_job_id=4, job_array_task_id=2)
    controller.replies["QueryJobs"] = {"jobs": [started_task, array(4, ((1, 3, 2),), 0, name="arr")], "now_at": 0.0}

    _, ascending, _ = run(capfd, "-h", "-r", "-o", "%i", "-S", "i")
    _, descending, _ = run(capfd, "-h", "-r", "-o", "%i", "-S", "-i")

    assert ascending.split() == ["4_1", "4_2", "4_3"]
    assert descending.split() == ["4_3", "4_2", "4_1"]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 8])
def test_json_is_the_same_in_one_piece_and_in_several(controller, capfd, monkeypatch, piece):
    whole = run(capfd, "--json")
    monkeypatch.setattr(json_out, "_PIECE", piece)

    assert run(capfd, "--json") == whole
    assert len(json.loads(whole[1])["jobs"]) == 7


def test_json_of_no_jobs(controller, capfd):
    controller.replies["QueryJobs"] = {"now_at": 0.0}

    assert json.loads(run(capfd, "--json")[1])["jobs"] == []


def test_json_objects_are_made_as_they_are_printed(monkeypatch):
    made, written, waiting = [], [], []

    def put(text):
        waiting.append(len(made) - sum(written))
        written.append(text.count('"job"'))

    monkeypatch.setattr(talk, "put", put)

    json_out.put_stream({}, "jobs", ({"job": made.append(number)} for number in range(10_000)))

    assert made == list(range(10_000))
    assert max(written) <= json_out._PIECE
    assert max(waiting) <= 2 * json_out._PIECE
