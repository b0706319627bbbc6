"""sacct's tables, to the byte as recorded."""

# ruff: noqa: E501

import json
import os
import time

import pytest
from msgspec import structs

from sluice.errors import NotFound, Unreachable
from sluice.model.allocation import GresGrant
from sluice.model.states import JobState
from sluice.model.step import GpuUsage, StepNode, Usage
from sluice_cli import sacct
from sluice_cli.fields_accounting import FIELDS
from tests.cli import fake_controller
from tests.cli.records import account, account_step, array, at, grant, pending, started

NOW = "17:28:52"
HEADER = (
    "JobID           JobName  Partition    Account  AllocCPUS      State ExitCode \n"
    "------------ ---------- ---------- ---------- ---------- ---------- -------- \n"
)


def share(node, cpus, memory_mib=23000, ntasks=1):
    return StepNode(node=node, ntasks=ntasks, cpu_count=cpus, memory_mib=memory_mib)


def whoami():
    view = started(
        1,
        (grant("n1", 1, 23000),),
        "COMPLETED",
        name="whoami",
        is_batch=False,
        memory_per_node_mib=0,
        job_priority=11140,
        job_submitted_at=at("17:26:16"),
        job_eligible_at=at("17:26:16"),
        job_started_at=at("17:26:16"),
        job_ended_at=at("17:26:16"),
    )
    step = account_step(
        1,
        0,
        (share("n1", 1),),
        "whoami",
        state="COMPLETED",
        started_at=at("17:26:16"),
        ended_at=at("17:26:16"),
        usage=Usage(user_s=0.002),
    )
    return account(view, step)


def long1():
    view = started(
        5,
        (grant("n1", 7, 23000), grant("n2", 1, 23000)),
        name="long1",
        limit_s=1800,
        ntasks=8,
        min_nodes=2,
        memory_per_node_mib=0,
    )
    batch = account_step(5, -5, (share("n1", 7),))
    launched = account_step(5, 0, (share("n1", 7, ntasks=7), share("n2", 1)), "sleep")
    return account(view, batch, launched)


def cancelme():
    bob = {"user": "bob", "uid": 1002, "account": "biology"}
    view = pending(13, name="cancelme", memory_per_node_mib=23000, **bob)
    view["job"] |= {"state": "CANCELLED", "cancelled_by": 1002, "ended_at": at("17:28:16")}
    return account(view)


@pytest.fixture
def controller(monkeypatch):
    fake = fake_controller.install(monkeypatch)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(time, "time", lambda: at(NOW))
    first = pending(2, name="first", ntasks=2, limit_s=300, priority=11156, memory_per_node_mib=100)
    waiting = array(4, ((0, 9, 1),), 2, name="arr", memory_per_node_mib=10)
    fake.replies["QueryAccounting"] = [
        {"rows": [whoami(), account(first)], "now_at": at(NOW), "cluster": "anchor"},
        {"rows": [long1(), cancelme(), account(waiting)], "now_at": at(NOW), "cluster": "anchor"},
        {"now_at": at(NOW), "cluster": "anchor"},
    ]
    return fake


def run(capfd, *words):
    status = sacct.main(words)
    output = capfd.readouterr()
    return status, output.out, output.err


def test_the_default_table(controller, capfd):
    assert run(capfd, "-a") == (
        0,
        HEADER
        + """\
1                whoami      batch    physics          1  COMPLETED      0:0 
1.0              whoami               physics          1  COMPLETED      0:0 
2                 first      batch    physics          2    PENDING      0:0 
5                 long1      batch    physics          8    RUNNING      0:0 
5.batch           batch               physics          7    RUNNING      0:0 
5.0               sleep               physics          8    RUNNING      0:0 
13             cancelme      batch    biology          1 CANCELLED+      0:0 
4_[0-9%2]           arr      batch    physics          1    PENDING      0:0 
""",
        "",
    )
    body = controller.asked("QueryAccounting")
    assert body["all_users"]
    assert body["start_at"] == at("00:00:00")


def test_the_brief_table_without_steps(controller, capfd):
    assert run(capfd, "-b", "-X")[1].splitlines()[:4] == [
        "JobID             State ExitCode ",
        "------------ ---------- -------- ",
        "1             COMPLETED      0:0 ",
        "2               PENDING      0:0 ",
    ]


PARSABLE = (
    "jobid,jobname,user,account,partition,qos,state,exitcode,derivedexitcode,submit,eligible,start,end,elapsed,"
    "elapsedraw,timelimit,ncpus,nnodes,nodelist,reqmem,maxrss,averss,totalcpu,usercpu,systemcpu,reqtres,alloctres,"
    "priority,reason"
)


def test_the_recorded_parsable_table(controller, capfd):
    lines = run(capfd, "-a", "-P", "-o", PARSABLE)[1].splitlines()

    assert lines == [
        "JobID|JobName|User|Account|Partition|QOS|State|ExitCode|DerivedExitCode|Submit|Eligible|Start|End|Elapsed|ElapsedRaw|Timelimit|NCPUS|NNodes|NodeList|ReqMem|MaxRSS|AveRSS|TotalCPU|UserCPU|SystemCPU|ReqTRES|AllocTRES|Priority|Reason",
        "1|whoami|alice|physics|batch|normal|COMPLETED|0:0|0:0|2026-11-22T17:26:16|2026-11-22T17:26:16|2026-11-22T17:26:16|2026-11-22T17:26:16|00:00:00|0|01:00:00|1|1|n1|23000M|||00:00.002|00:00.002|00:00:00|billing=1,cpu=1,mem=23000M,node=1|billing=1,cpu=1,mem=23000M,node=1|11140|None",
        "1.0|whoami||physics|||COMPLETED|0:0||2026-11-22T17:26:16|2026-11-22T17:26:16|2026-11-22T17:26:16|2026-11-22T17:26:16|00:00:00|0||1|1|n1||||00:00.002|00:00.002|00:00:00||cpu=1,mem=23000M,node=1||",
        "2|first|alice|physics|batch|normal|PENDING|0:0|0:0|2026-11-22T17:28:14|2026-11-22T17:28:14|Unknown|Unknown|00:00:00|0|00:05:00|2|1|None assigned|100M|||00:00:00|00:00:00|00:00:00|billing=2,cpu=2,mem=100M,node=1||11156|None",
        "5|long1|alice|physics|batch|normal|RUNNING|0:0|0:0|2026-11-22T17:28:14|2026-11-22T17:28:14|2026-11-22T17:28:24|Unknown|00:00:28|28|00:30:00|8|2|n[1-2]|46000M|||00:00:00|00:00:00|00:00:00|billing=8,cpu=8,mem=46000M,node=2|billing=8,cpu=8,mem=46000M,node=2|11375|None",
        "5.batch|batch||physics|||RUNNING|0:0||2026-11-22T17:28:24|2026-11-22T17:28:24|2026-11-22T17:28:24|Unknown|00:00:28|28||7|1|n1||||00:00:00|00:00:00|00:00:00||cpu=7,mem=23000M,node=1||",
        "5.0|sleep||physics|||RUNNING|0:0||2026-11-22T17:28:24|2026-11-22T17:28:24|2026-11-22T17:28:24|Unknown|00:00:28|28||8|2|n[1-2]||||00:00:00|00:00:00|00:00:00||cpu=8,mem=46000M,node=2||",
        "13|cancelme|bob|biology|batch|normal|CANCELLED by 1002|0:0|0:0|2026-11-22T17:28:14|2026-11-22T17:28:14|None|2026-11-22T17:28:16|00:00:00|0|01:00:00|1|1|None assigned|23000M|||00:00:00|00:00:00|00:00:00|billing=1,cpu=1,mem=23000M,node=1||11140|None",
        "4_[0-9%2]|arr|alice|physics|batch|normal|PENDING|0:0|0:0|2026-11-22T17:28:14|2026-11-22T17:28:14|Unknown|Unknown|00:00:00|0|01:00:00|1|1|None assigned|10M|||00:00:00|00:00:00|00:00:00|billing=1,cpu=1,mem=10M,node=1||11140|None",
    ]


def test_parsable_with_an_end_and_other_delimiters(controller, capfd):
    assert run(capfd, "-p", "-j", "13", "-n", "-o", "jobid,state")[1] == "13|CANCELLED by 1002|\n"
    assert run(capfd, "-P", "--delimiter=XX", "-j13", "-n", "-o", "jobid,state")[1] == "13XXCANCELLED by 1002\n"


def test_widths_cut_and_justify(controller, capfd):
    out = run(capfd, "-o", "jobid%-5,jobname%20,state%6,exitcode%3,user%0", "-j", "5")[1]

    assert out == (
        "JobID              JobName  State Exi \n"
        "----- -------------------- ------ --- \n"
        "5                    long1 RUNNI+ 0:0 \n"
        "5.ba+                batch RUNNI+ 0:0 \n"
        "5.0                  sleep RUNNI+ 0:0 \n"
    )
    assert run(capfd, "-o", "jobid%0") == (0, "", "")
    assert run(capfd, "-n", "-X", "-j5", "-o", " jobi , STATE")[1] == "5               RUNNING \n"


@pytest.mark.parametrize(
    ("ids", "shown"),
    [("5", ["5", "5.batch", "5.0"]), ("5.0", ["5.0"]), ("5.batch,1", ["1", "1.0", "5.batch"])],
)
def test_jobs_and_steps_by_id(controller, capfd, ids, shown):
    assert run(capfd, "-P", "-n", "-o", "jobid", "-j", ids)[1].splitlines() == shown
    assert controller.asked("QueryAccounting")["filter"]["ids"] == ids.split(",")
    assert "start_at" not in controller.asked("QueryAccounting")


def test_the_window_of_a_state_is_a_moment(controller, capfd):
    run(capfd, "-s", "F,CA")
    assert controller.asked("QueryAccounting")["start_at"] == at(NOW)
    assert controller.asked("QueryAccounting")["end_at"] == at(NOW)
    assert controller.asked("QueryAccounting")["filter"] == {"states": ["FAILED", "CANCELLED"]}

    run(capfd, "-s", "R", "-S", "00:00", "-E", "now")
    assert controller.asked("QueryAccounting")["start_at"] == at("00:00:00")
    assert controller.asked("QueryAccounting")["end_at"] == at(NOW)


def test_users(controller, capfd, monkeypatch):
    run(capfd)
    assert controller.asked("QueryAccounting")["all_users"]
    run(capfd, "-nu", "root")
    assert controller.asked("QueryAccounting")["uids"] == [0]
    monkeypatch.setattr(os, "getuid", lambda: 1001)
    run(capfd)
    assert controller.asked("QueryAccounting")["uids"] == [1001]
    assert run(capfd, "-u", "no-such-user") == (1, "", "sacct: error: Invalid user id: no-such-user\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("-o", "bogus"), 'sacct: error: Invalid field requested: "bogus"\n'),
        (("-j", "abc"), "sacct: fatal: Bad job/step specified: abc\n"),
        (("-s", "foo"), "sacct: fatal: unrecognized job state value 'foo'\n"),
        (("-S", "bogus"), "Invalid time specification (pos=0): bogus\n"),
        (
            ("-E", "2020-01-01"),
            "sacct: error: Start time (2026-11-22T00:00:00) requested is after end time (2020-01-01T00:00:00).\n",
        ),
        (("-c",), "Slurm job completion is disabled\n"),
        (("--bogus",), "sacct: unrecognized option '--bogus'\n"),
        (("extra",), "sacct: error: Unknown arguments:\nsacct: error:  extra\n"),
    ],
)
def test_what_is_refused_and_how(controller, capfd, words, expected):
    assert run(capfd, *words) == (1, "", expected)


def test_a_requeued_run_says_so(controller, capfd):
    again = started(19, (grant("n1", 1),), "CANCELLED", job_is_requeued=True, job_ended_at=at("17:28:30"))
    controller.replies["QueryAccounting"] = {"rows": [account(again)], "now_at": at(NOW)}

    assert run(capfd, "-D", "-n", "-P", "-o", "jobid,state,elapsed")[1] == "19|REQUEUED|00:00:06\n"
    assert controller.asked("QueryAccounting")["with_duplicates"]


def test_usage_of_a_step_and_units(controller, capfd):
    usage = Usage(
        user_s=1.5,
        system_s=0.25,
        max_rss_kib=204876,
        total_rss_kib=204876,
        max_rss_node="n1",
        max_vmsize_kib=211856,
        disk_read_bytes=48338,
    )
    step = account_step(
        9, -5, (share("n1", 1, 20),), state="CANCELLED", exit_signal=9, ended_at=at("17:28:26"), usage=usage
    )
    job = started(
        9, (grant("n1", 1, 20),), "FAILED", memory_per_node_mib=20, job_ended_at=at("17:28:26"), job_exit_signal=9
    )
    controller.replies["QueryAccounting"] = {"rows": [account(job, step)], "now_at": at(NOW)}

    out = run(
        capfd,
        "-P",
        "-n",
        "-o",
        "jobid,maxrss,averss,maxrssnode,maxrsstask,maxdiskread,totalcpu,reqmem,cputime,exitcode",
    )[1]
    assert out == "9||||||00:01.750|20M|00:00:02|0:9\n9.batch|204876K|204876K|n1|0|0.05M|00:01.750||00:00:02|0:9\n"
    assert run(capfd, "--units=G", "-P", "-n", "-o", "reqmem,maxrss")[1] == "0.02G|\n|0.20G\n"
    assert run(capfd, "-X", "-P", "-n", "-o", "totalcpu")[1] == "00:01.750\n"
    assert run(capfd, "-X", "-n", "-o", "state")[1] == "    FAILED \n"
    assert controller.asked("QueryAccounting")["with_steps"] is False


def test_gpus_are_among_what_a_step_used(controller, capfd):
    """Two nodes: what the one had that had most, the average over time and nodes, and the sum."""
    gpu = GpuUsage(
        nodes=2,
        memory_peak_bytes=3 << 30,
        memory_total_bytes=(3 << 30) + (1 << 20),
        memory_mean_bytes=3 << 30,
        util_peak_percent=97.5,
        util_mean_percent=121.0,
    )
    usage = Usage(user_s=2.0, max_rss_kib=100, total_rss_kib=100, max_vmsize_kib=200, gpu=gpu)
    account_of(controller, usage)

    fields = run(capfd, "-P", "-n", "-j", "9.0", "-o", "tresusageinmax,tresusageinave,tresusageintot")[1].split("|")

    assert fields[0] == "cpu=00:00:02,energy=0,fs/disk=0,gres/gpumem=3G,gres/gpuutil=98,mem=100K,vmem=200K"
    assert "gres/gpumem=1536M,gres/gpuutil=60," in fields[1]
    assert "gres/gpumem=3073M,gres/gpuutil=121," in fields[2]


def test_work_that_no_gpu_could_tell_is_not_shown(controller, capfd):
    account_of(controller, Usage(max_rss_kib=100, gpu=GpuUsage(nodes=1)))

    shown = run(capfd, "-P", "-n", "-j", "9.0", "-o", "tresusageinmax")[1]

    assert shown == "cpu=00:00:00,energy=0,fs/disk=0,gres/gpumem=0,mem=100K,vmem=0K\n"


def test_the_grant_of_a_step_has_its_gpus(controller, capfd):
    share_with_gpus = structs.replace(
        share("n1", 1, 20), gres=(GresGrant(name="gpu", type="a100", units="0-1", count=2),)
    )
    job = started(9, (grant("n1", 1, 20),), "COMPLETED", job_ended_at=at("17:28:26"))
    step = account_step(9, 0, (share_with_gpus,), state="COMPLETED", ended_at=at("17:28:26"), usage=Usage())
    controller.replies["QueryAccounting"] = {"rows": [account(job, step)], "now_at": at(NOW)}

    shown = run(capfd, "-P", "-n", "-j", "9.0", "-o", "alloctres")[1]

    assert shown == "cpu=1,gres/gpu=2,gres/gpu:a100=2,mem=20M,node=1\n"


def test_the_grant_of_a_batch_script_has_the_jobs_gpus_on_its_node(controller, capfd):
    two = (GresGrant(name="gpu", units="0-1", count=2),)
    grants = tuple(structs.replace(grant(node, 1, 20), gres=two) for node in ("n1", "n2"))
    job = started(9, grants, "COMPLETED", job_ended_at=at("17:28:26"))
    step = account_step(9, -5, (share("n1", 1, 20),), state="COMPLETED", ended_at=at("17:28:26"), usage=Usage())
    controller.replies["QueryAccounting"] = {"rows": [account(job, step)], "now_at": at(NOW)}

    assert run(capfd, "-P", "-n", "-j", "9.batch", "-o", "alloctres")[1] == "cpu=1,gres/gpu=2,mem=20M,node=1\n"


def account_of(controller, usage):
    step = account_step(9, 0, (share("n1", 1, 20),), state="COMPLETED", ended_at=at("17:28:26"), usage=usage)
    job = started(9, (grant("n1", 1, 20),), "COMPLETED", job_ended_at=at("17:28:26"))
    controller.replies["QueryAccounting"] = {"rows": [account(job, step)], "now_at": at(NOW)}


def test_the_list_of_fields_is_four_a_line_and_all_are_accepted(controller, capfd):
    out = run(capfd, "-e")[1]

    lines = out.splitlines()
    assert lines[0] == "Account             AdminComment        AllocCPUS           AllocNodes         "
    names = out.split()
    assert names == [field.name for field in FIELDS] == sorted(names, key=str.lower)
    status, table, _ = run(capfd, "-p", "-o", ",".join(names))
    assert status == 0
    assert {line.count("|") for line in table.splitlines()} == {len(names)}


def test_formats_come_from_the_environment(controller, capfd, monkeypatch):
    monkeypatch.setenv("SACCT_FORMAT", "jobid,start")
    monkeypatch.setenv("SLURM_TIME_FORMAT", "%H:%M")

    assert run(capfd, "-P", "-n", "-X", "-j", "5")[1].splitlines() == ["5|17:28"]


def test_long_has_the_recorded_columns(controller, capfd):
    header = run(capfd, "-l")[1].splitlines()[0]

    assert header.startswith(
        "JobID        JobIDRaw        JobName  Partition  MaxVMSize  MaxVMSizeNode  MaxVMSizeTask "
    )
    assert header.endswith("TRESUsageOutMaxTask TRESUsageOutAve TRESUsageOutTot ")


def test_batch_scripts(controller, capfd):
    controller.replies["QueryAccounting"] = {"rows": [long1()], "now_at": at(NOW)}
    controller.replies["QueryScript"] = {"script": b"#!/bin/sh\nexit 3\n"}
    rule = "-" * 80

    assert run(capfd, "-B", "-j", "5")[1] == f"Batch Script for 5\n{rule}\n#!/bin/sh\nexit 3\n\n"
    controller.replies["QueryScript"] = NotFound("none", "no_script")
    assert run(capfd, "-B", "-j", "5")[1] == f"Batch Script for 5\n{rule}\nNONE\n\n"


def test_json(controller, capfd):
    jobs = json.loads(run(capfd, "--json")[1])["jobs"]

    assert [job["job_id"] for job in jobs] == [1, 2, 5, 13, 4]
    assert jobs[2]["state"] == {"current": ["RUNNING"], "reason": "None"}
    assert [step["step"]["id"] for step in jobs[2]["steps"]] == ["5.batch", "5.0"]
    assert jobs[0]["time"]["total"] == {"seconds": 0, "microseconds": 2000}
    assert {"type": "cpu", "name": "", "id": 1, "count": 8} in jobs[2]["tres"]["allocated"]


def test_another_cluster_has_no_jobs(controller, capfd):
    assert run(capfd, "-M", "nosuch") == (0, HEADER, "")
    assert len(run(capfd, "-M", "anchor", "-n")[1].splitlines()) == 8


def test_a_controller_that_is_away(controller, capfd):
    controller.replies["QueryAccounting"] = Unreachable("nobody there")

    assert run(capfd) == (1, "", "sacct: error: Unable to contact slurm controller (connect failure)\n")


def test_states_are_the_models():
    from sluice_cli.job_row import SHORT_STATES

    assert set(JobState) <= set(SHORT_STATES)
