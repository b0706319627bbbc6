"""scontrol show: records to the byte, entities by their abbreviations."""

# ruff: noqa: E501

import json
from typing import Any

import pytest

from sluice.errors import NotFound, Unreachable
from sluice.model.partition import Partition
from sluice.model.request import Dependency, DependencyTerm, GresRequest
from sluice.model.step import StepNode
from sluice_cli import scontrol
from tests.cli import fake_controller
from tests.cli.records import array, at, grant, node, pending, plain, started, step

JOB_5 = """\
JobId=5 JobName=long1
   UserId=alice(1001) GroupId=alice(1001) MCS_label=N/A
   Priority=11375 Nice=0 Account=physics QOS=normal
   JobState=RUNNING Reason=None Dependency=(null)
   Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0
   RunTime=00:00:27 TimeLimit=00:30:00 TimeMin=N/A
   SubmitTime=2026-11-22T17:28:14 EligibleTime=2026-11-22T17:28:14
   AccrueTime=2026-11-22T17:28:14
   StartTime=2026-11-22T17:28:24 EndTime=2026-11-22T17:58:24 Deadline=N/A
   SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-22T17:28:24 Scheduler=Main
   Partition=batch AllocNode:Sid=localhost:3501
   ReqNodeList=(null) ExcNodeList=(null)
   NodeList=n[1-2]
   BatchHost=n1
   NumNodes=2 NumCPUs=8 NumTasks=8 CPUs/Task=1 ReqB:S:C:T=0:0:*:*
   ReqTRES=cpu=8,node=2,billing=8
   AllocTRES=cpu=8,mem=46000M,node=2,billing=8
   Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=*
   MinCPUsNode=1 MinMemoryNode=0 MinTmpDiskNode=0
   Features=(null) DelayBoot=00:00:00
   OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null)
   Command=(null)
   WorkDir=/home/user
   StdErr=/home/user/slurm-5.out
   StdIn=/dev/null
   StdOut=/home/user/slurm-5.out
   

"""


def long1() -> Any:
    grants = (grant("n1", 7, 23000), grant("n2", 1, 23000))
    return started(5, grants, name="long1", limit_s=1800, ntasks=8, min_nodes=2, memory_per_node_mib=0)


@pytest.fixture
def controller(monkeypatch):
    fake = fake_controller.install(monkeypatch)
    fake.replies["QueryJobs"] = {"jobs": [long1()], "now_at": at("17:28:51")}
    fake.replies["Ping"] = {"host": "vm"}
    return fake


def run(capfd, *words):
    status = scontrol.main(words)
    output = capfd.readouterr()
    return status, output.out, output.err


def test_a_running_job(controller, capfd):
    assert run(capfd, "show", "job", "5") == (0, JOB_5, "")
    assert controller.asked("QueryJobs") == {"filter": {"ids": ["5"]}}


def test_a_job_on_one_line(controller, capfd):
    expected = " ".join(line.strip() for line in JOB_5.splitlines() if line.strip()) + " \n"

    assert run(capfd, "-o", "show", "job", "5") == (0, expected, "")


def test_details_add_the_exit_code_and_each_nodes_share(controller, capfd):
    lines = run(capfd, "-d", "show", "job", "5")[1].splitlines()

    assert lines[5] == "   DerivedExitCode=0:0"
    assert lines[19:22] == [
        "   JOB_GRES=(null)",
        "     Nodes=n1 CPU_IDs=0-6 Mem=23000 GRES=",
        "     Nodes=n2 CPU_IDs=0 Mem=23000 GRES=",
    ]


def test_gpus_are_told_with_their_numbers(controller, capfd):
    gpus = (GresRequest(name="gpu", count=1),)
    job = started(6, (grant("n1", 4, 100, "0"),), gres_per_node=gpus, ntasks=2, cpus_per_task=2, licenses="lic:1")
    controller.replies["QueryJobs"] = {"jobs": [job], "now_at": at("17:28:51")}

    out = run(capfd, "-d", "show", "job", "6")[1]

    assert "   JOB_GRES=gpu:1\n     Nodes=n1 CPU_IDs=0-3 Mem=100 GRES=gpu:1(IDX:0)\n   MinCPUsNode=2 " in out
    assert "   AllocTRES=cpu=4,mem=100M,node=1,billing=4,gres/gpu=1\n" in out
    assert "   TresPerNode=gres:gpu:1\n" in out
    assert " Licenses=lic:1 LicensesAlloc=lic:1 Network=(null)\n" in out


def test_a_waiting_array(controller, capfd):
    waiting = array(
        4,
        ((0, 9, 1),),
        2,
        name="arr",
        memory_per_node_mib=10,
        view_planned_start_at=at("20:28:00"),
        view_planned_nodes="n3",
    )
    controller.replies["QueryJobs"] = {"jobs": [waiting], "now_at": at("17:28:51")}

    lines = run(capfd, "show", "job", "4")[1].splitlines()

    assert lines[0] == "JobId=4 ArrayJobId=4 ArrayTaskId=0-9%2 ArrayTaskThrottle=2 JobName=arr"
    assert "   StartTime=2026-11-22T20:28:00 EndTime=2026-11-22T21:28:00 Deadline=N/A" in lines
    assert "   NodeList= SchedNodeList=n3" in lines
    assert "   ReqTRES=cpu=1,mem=10M,node=1,billing=1" in lines
    assert "   AllocTRES=(null)" in lines
    assert "   StdOut=/home/user/slurm-4_4294967294.out" in lines
    assert run(capfd, "show", "job", "4_3")[1].startswith("JobId=4 ArrayJobId=4 ArrayTaskId=3 ArrayTaskThrottle=2 ")
    assert run(capfd, "show", "job", "4_99") == (1, "Job 4_99 not found\n", "")


def test_a_job_with_many_options(controller, capfd):
    term = DependencyTerm(type="afterok", job_id=1)
    job = pending(
        8,
        dependency=Dependency(terms=(term,)),
        job_dependency=Dependency(terms=(term,)),
        std_err="err.%j",
        std_in="/dev/zero",
        std_out="out/%x-%u.log",
        command="/tmp/job.sh",
        arguments=("300", "b c"),
        comment="a b",
        mail_types=("END",),
        mail_user="me@x",
        features="a&b",
        memory_per_cpu_mib=1000,
        is_contiguous=True,
        exclusive="node",
        switches="1",
        threads_per_core=1,
        max_nodes=3,
        reservation="r1",
    )
    controller.replies["QueryJobs"] = {"jobs": [job], "now_at": at("17:28:51")}

    out = run(capfd, "show", "job", "8")[1]

    for line in (
        "JobState=PENDING Reason=Priority Dependency=afterok:1(unfulfilled)",
        "NumNodes=1-3 NumCPUs=1 NumTasks=1 CPUs/Task=1 ReqB:S:C:T=0:0:*:1",
        "MinCPUsNode=1 MinMemoryCPU=1000M MinTmpDiskNode=0",
        "Features=a&b DelayBoot=00:00:00",
        "Reservation=r1",
        "OverSubscribe=NO Contiguous=1 Licenses=(null) Network=(null)",
        "Command=/tmp/job.sh 300 b c",
        "Comment=a b ",
        "StdErr=/home/user/err.8",
        "StdIn=/dev/zero",
        "StdOut=/home/user/out/wrap-alice.log",
        "Switches=1@00:00:00",
        "MailUser=me@x MailType=END",
    ):
        assert f"   {line}\n" in out


@pytest.mark.parametrize(
    "words", [("sho", "jo", "5"), ("show", "job=5"), ("show", "jobid=5"), ("show", "j", "5"), ("show", "jobs", "5")]
)
def test_verbs_and_entities_may_be_abbreviated(controller, capfd, words):
    assert run(capfd, *words)[1] == JOB_5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("show", "job", "abc"), "scontrol_print_job error: Invalid job id specified\n"),
        (("show", "job", "6.batch"), "scontrol_print_job error: Invalid job id specified\n"),
        (("show", "job", "6", "5"), "too many arguments for keyword:show\n"),
        (("show", "job="), "job= names none: leave the = out for all\n"),
        (("show", "bogus"), "invalid entity:bogus for keyword:show \n"),
        (("show", "p", "short"), "invalid entity:p for keyword:show \n"),
        (("show",), "too few arguments for keyword:show\n"),
        (("bogus",), "invalid keyword: bogus\n"),
        (("ver",), "invalid keyword: ver\n"),
        (("show", "hostnames", "n[1-2]", "extra"), "too many arguments for keyword:show\n"),
    ],
)
def test_what_is_refused_and_how(controller, capfd, words, expected):
    assert run(capfd, *words) == (1, "", expected)


def test_an_unknown_job(controller, capfd):
    controller.replies["QueryJobs"] = NotFound("job 99999 is not known", "invalid_job")

    assert run(capfd, "show", "job", "99999") == (1, "", "slurm_load_jobs error: Invalid job id specified\n")
    assert run(capfd, "-Q", "show", "job", "99999") == (1, "", "")


def test_a_node(controller, capfd):
    busy = node("n1", "mixed", allocated_cpus=7, allocated_memory_mib=23000)
    drained = node(
        "n4", "mixed", ("DRAIN",), allocated_cpus=4, reason="bad dimm", reason_user="root", reason_at=at("17:28:56")
    )
    controller.replies["QueryNodes"] = {"nodes": [busy, drained], "now_at": at("17:28:51")}

    assert run(capfd, "show", "node", "n1")[1] == (
        "NodeName=n1 Arch=x86_64 CoresPerSocket=1 \n"
        "   CPUAlloc=7 CPUEfctv=8 CPUTot=8 CPULoad=3.06\n"
        "   AvailableFeatures=(null)\n"
        "   ActiveFeatures=(null)\n"
        "   Gres=(null)\n"
        "   NodeAddr=127.0.0.1 NodeHostName=vm Port=17001 Version=25.05.0\n"
        "   OS=Linux 6.18.44-fc-v657 #1 SMP PREEMPT_DYNAMIC @0 \n"
        "   RealMemory=23000 AllocMem=23000 FreeMem=18553 Sockets=8 Boards=1\n"
        "   State=MIXED ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A\n"
        "   Partitions=batch,short \n"
        "   BootTime=2026-11-22T17:01:13 SlurmdStartTime=2026-11-22T17:26:14\n"
        "   LastBusyTime=2026-11-22T17:28:23 ResumeAfterTime=None\n"
        "   CfgTRES=cpu=8,mem=23000M,billing=8\n"
        "   AllocTRES=cpu=7,mem=23000M\n"
        "   CurrentWatts=0 AveWatts=0\n"
        "\n"
    )
    out = run(capfd, "show", "node", "n4")[1]
    assert "   State=MIXED+DRAIN ThreadsPerCore=1 " in out
    assert out.endswith("   Reason=bad dimm [root@2026-11-22T17:28:56]\n\n")
    assert run(capfd, "show", "node", "n9") == (1, "Node n9 not found\n", "")
    assert run(capfd, "-o", "show", "nodes", "n1")[1].count("\n") == 1


def test_partitions(controller, capfd):
    controller.replies["QueryNodes"] = {"nodes": [node("n1"), node("n2"), node("n3"), node("n4")]}
    batch = Partition(
        name="batch", nodes=("n1", "n2", "n3", "n4"), is_default=True, max_limit_s=2 * 86400, default_limit_s=3600
    )
    controller.replies["QueryPartitions"] = {"partitions": [plain(batch)]}

    expected = (
        "PartitionName=batch\n"
        "   AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL\n"
        "   AllocNodes=ALL Default=YES QoS=N/A\n"
        "   DefaultTime=01:00:00 DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO\n"
        "   MaxNodes=UNLIMITED MaxTime=2-00:00:00 MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED MaxCPUsPerSocket=UNLIMITED\n"
        "   Nodes=n[1-4]\n"
        "   PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO\n"
        "   OverTimeLimit=NONE PreemptMode=OFF\n"
        "   State=UP TotalCPUs=32 TotalNodes=4 SelectTypeParameters=NONE\n"
        "   JobDefaults=(null)\n"
        "   DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED\n"
        "   TRES=cpu=32,mem=92000M,node=4,billing=32\n"
        "\n"
    )
    assert run(capfd, "show", "partition") == (0, expected, "")
    assert run(capfd, "show", "part", "nosuch") == (1, "Partition nosuch not found\n", "")


def test_steps(controller, capfd):
    nodes = (
        StepNode(node="n1", ntasks=7, cpu_count=7, memory_mib=23000),
        StepNode(node="n2", ntasks=1, cpu_count=1, memory_mib=23000),
    )
    launched = step(5, 0, nodes, spec={"srun_host": "vm", "srun_pid": 3650})
    controller.replies["QuerySteps"] = {"steps": [step(5, -5, (StepNode(node="n1", ntasks=1),), "batch"), launched]}

    assert run(capfd, "show", "step")[1] == (
        "StepId=5.batch UserId=1001 StartTime=2026-11-22T17:28:24 TimeLimit=UNLIMITED\n"
        "   State=RUNNING Partition=batch NodeList=n1\n"
        "   Nodes=1 CPUs=0 Tasks=1 Name=batch Network=(null)\n"
        "   TRES=(null)\n"
        "   ResvPorts=(null)\n"
        "   CPUFreqReq=Default\n"
        "   SrunHost:Pid=(null):0\n"
        "\n"
        "StepId=5.0 UserId=1001 StartTime=2026-11-22T17:28:24 TimeLimit=UNLIMITED\n"
        "   State=RUNNING Partition=batch NodeList=n[1-2]\n"
        "   Nodes=2 CPUs=8 Tasks=8 Name=sleep Network=(null)\n"
        "   TRES=cpu=8,mem=46000M,node=2\n"
        "   ResvPorts=(null)\n"
        "   CPUFreqReq=Default Dist=Block\n"
        "   SrunHost:Pid=vm:3650\n"
        "\n"
    )
    assert run(capfd, "show", "step", "5.7") == (1, "Job step 5.7 not found\n", "")


def test_the_configuration_ends_with_a_ping(controller, capfd):
    controller.replies["QueryConfig"] = {
        "settings": [["AccountingStorageHost", "localhost"], ["AccountingStorageBackupHost", "(null)"]],
        "now_at": at("17:28:51"),
    }

    assert run(capfd, "show", "config")[1] == (
        "Configuration data as of 2026-11-22T17:28:51\n"
        "AccountingStorageHost   = localhost\n"
        "AccountingStorageBackupHost = (null)\n"
        "\n"
        "Slurmctld(primary) at vm is UP\n"
    )


def test_licenses(controller, capfd):
    controller.replies["QueryConfig"] = {"settings": [["Licenses", "lic:4,mat:2"]]}
    holder = started(6, (grant("n1", 1),), licenses="lic:1")
    controller.replies["QueryJobs"] = {"jobs": [holder]}
    kept = {"name": "r1", "start_at": 10.0, "end_at": 30.0, "licenses": [["mat", 2]]}
    controller.replies["QueryReservations"] = {"reservations": [kept], "now_at": 20.0}

    assert run(capfd, "-o", "show", "lic")[1] == (
        "LicenseName=lic Total=4 Used=1 Free=3 Reserved=0 Remote=no\n"
        "LicenseName=mat Total=2 Used=0 Free=2 Reserved=2 Remote=no\n"
    )


def test_what_there_is_none_of(controller, capfd):
    controller.replies["QuerySteps"] = {}

    assert run(capfd, "show", "step") == (0, "No job steps in the system\n", "")
    controller.replies["QueryTopology"] = {"is_flat": True}
    assert run(capfd, "show", "topology") == (0, "", "scontrol: error: No topology information available\n")


def test_units_of_the_topology_are_a_line_each(controller, capfd):
    fields = [["SwitchName", "s1"], ["Level", "0"], ["LinkSpeed", "1"], ["Nodes", "n[1-4]"]]
    controller.replies["QueryTopology"] = {"units": [{"name": "s1", "fields": fields}]}

    assert run(capfd, "show", "topology") == (0, "SwitchName=s1 Level=0 LinkSpeed=1 Nodes=n[1-4]\n", "")
    assert run(capfd, "-o", "show", "topo", "fabric", "unit=s1", "node=n2")[0] == 0
    assert [body for name, body in controller.requests if name == "QueryTopology"] == [
        {},
        {"name": "fabric", "unit": "s1", "node": "n2"},
    ]


def test_a_name_that_the_topology_does_not_have_is_said_and_no_error(controller, capfd):
    controller.replies["QueryTopology"] = {"units": []}

    assert run(capfd, "show", "topology", "nope") == (
        0,
        "",
        "scontrol: error: Topology information contains no switch or node named nope\n",
    )


HOSTLISTS = [
    ("n[3,1,2]", "n[3,1-2]", "n[1-3]"),
    ("n1,m2,n3", "n1,m2,n3", "m2,n[1,3]"),
    ("n1,n1,n2", "n[1,1-2]", "n[1,1-2]"),
    ("a1b1,a1b2,a2b1", "a1b[1-2],a2b1", "a1b[1-2],a2b1"),
    ("n1x,n2x", "n1x,n2x", "n1x,n2x"),
    ("n001,n002,n0003", "n[001-002,0003]", "n[001-002,0003]"),
]


@pytest.mark.parametrize(("text", "folded", "in_order"), HOSTLISTS)
def test_hostlists_as_recorded(capfd, text, folded, in_order):
    assert run(capfd, "show", "hostlist", text) == (0, f"{folded}\n", "")
    assert run(capfd, "show", "hostlistsorted", text) == (0, f"{in_order}\n", "")


def test_hostnames(capfd, monkeypatch):
    monkeypatch.delenv("SLURM_NODELIST", raising=False)
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    assert run(capfd, "show", "hostnames", "n[1-2,7]") == (0, "n1\nn2\nn7\n", "")
    assert run(capfd, "show", "hostname", "n[1-2]x") == (0, "n1x\nn2x\n", "")
    assert run(capfd, "show", "hostnames", "n[") == (1, "", "Invalid hostlist: n[\n")
    assert run(capfd, "show", "hostnames") == (0, "", "scontrol: error: host list is empty\n")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[3-4]")
    assert run(capfd, "show", "hostnames") == (0, "n3\nn4\n", "")


def test_json(controller, capfd):
    controller.replies["QueryNodes"] = {"nodes": [node("n1", "down", ("NOT_RESPONDING", "DRAIN"))]}
    controller.replies["QueryPartitions"] = {"partitions": [plain(Partition(name="batch", nodes=("n1",)))]}
    controller.replies["QueryConfig"] = {"settings": [["Licenses", "lic:4"]]}
    controller.replies["QueryReservations"] = {}

    assert json.loads(run(capfd, "show", "job", "5", "--json")[1])["jobs"][0]["job_id"] == 5
    assert json.loads(run(capfd, "show", "node", "--json")[1])["nodes"][0]["state"] == [
        "DOWN",
        "NOT_RESPONDING",
        "DRAIN",
    ]
    assert json.loads(run(capfd, "show", "part", "--json")[1])["partitions"][0]["cpus"] == {"total": 8}
    assert json.loads(run(capfd, "show", "lic", "--json")[1])["licenses"][0]["LicenseName"] == "lic"


def test_a_controller_that_is_away(controller, capfd):
    controller.replies.clear()

    assert run(capfd, "show", "job") == (
        1,
        "",
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n",
    )
    controller.replies["Ping"] = Unreachable("nobody there")
    status, out, _ = run(capfd, "ping")
    assert (status, out.split()[-1]) == (1, "DOWN")
