"""The list of `scontrol show config`, its report on a file, and what changes between two."""

import os
import pwd
from typing import Any

import pytest

from sluice.config.check import list_findings, render_report
from sluice.config.diff import Change, diff
from sluice.config.load import inspect, load
from sluice.config.show import cgroup_entries, config_entries, format_entries

Folder = Any

ME = pwd.getpwuid(os.getuid())


def shown(folder: Folder, settings: str = "", **reported: str) -> dict[str, str]:
    return dict(config_entries(load(folder.write(settings=settings)), reported))


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        pytest.param("", "SlurmdTimeout", "300 sec", id="a default in seconds"),
        pytest.param("CompleteWait=4", "CompleteWait", "4 sec", id="seconds"),
        pytest.param("ResvOverRun=5", "ResvOverRun", "5 min", id="minutes"),
        pytest.param("OverTimeLimit=UNLIMITED", "OverTimeLimit", "UNLIMITED", id="minutes without limit"),
        pytest.param("", "SuspendTime", "INFINITE", id="seconds without limit"),
        pytest.param("SuspendTime=-1", "SuspendTime", "INFINITE", id="minus one is infinite"),
        pytest.param("PriorityDecayHalfLife=14-0", "PriorityDecayHalfLife", "14-00:00:00", id="days"),
        pytest.param("PreemptExemptTime=1:30", "PreemptExemptTime", "00:01:30", id="minutes and seconds"),
        pytest.param("DisableRootJobs=1", "DisableRootJobs", "Yes", id="yes"),
        pytest.param("JobRequeue=0", "JobRequeue", "0", id="a switch that is a number"),
        pytest.param("MaxStepCount=1", "MaxStepCount", "1", id="a number that is one"),
        pytest.param("", "GresTypes", "gpu,nic", id="text as written"),
        pytest.param("", "MailDomain", "(null)", id="unset"),
        pytest.param("", "PriorityFlags", "", id="no flags"),
        pytest.param("", "PrivateData", "none", id="no words"),
        pytest.param("", "TaskPluginParam", "(null type)", id="no parameters of task plugins"),
        pytest.param("SelectTypeParameters=cr_core,cr_lln", "SelectTypeParameters", "CR_CORE,CR_LLN", id="upper case"),
        pytest.param("PreemptMode=requeue,gang", "PreemptMode", "GANG,REQUEUE", id="gang first"),
        pytest.param("PrologFlags=contain", "PrologFlags", "Alloc,Contain", id="flags with what they bring"),
        pytest.param("EnforcePartLimits=yes", "EnforcePartLimits", "ANY", id="an old spelling"),
        pytest.param("SlurmdDebug=3", "SlurmdDebug", "info", id="a level that was a number"),
        pytest.param("ResumeRate=10", "ResumeRate", "10 nodes/min", id="a rate"),
        pytest.param("DefMemPerCPU=1000", "DefMemPerCPU", "1000", id="memory per CPU"),
        pytest.param("", "DefMemPerNode", "UNLIMITED", id="memory without limit"),
        pytest.param("DefCpuPerGPU=4", "JobDefaults", "DefCpuPerGPU=4", id="defaults per GPU together"),
        pytest.param("PropagateResourceLimitsExcept=MEMLOCK", "PropagateResourceLimits", "(null)", id="all but some"),
        pytest.param("", "MaxNodeCount", "4", id="as many nodes as there are"),
        pytest.param("", "SlurmctldHost[0]", "head(10.0.0.1)", id="the controller with its address"),
        pytest.param(f"SlurmUser={ME.pw_name}", "SlurmUser", f"{ME.pw_name}({ME.pw_uid})", id="a user with uid"),
        pytest.param("SlurmUser=nosuchuser", "SlurmUser", "nosuchuser", id="a user unknown here"),
        pytest.param("", "VSizeFactor", "0 percent", id="a key without effect here"),
    ],
)
def test_a_value_is_shown_as_slurm_shows_it(folder: Folder, setting: str, key: str, value: str) -> None:
    assert shown(folder, setting)[key] == value


def test_only_the_memory_key_in_force_is_listed(folder: Folder) -> None:
    assert "DefMemPerCPU" not in shown(folder)
    assert "DefMemPerNode" not in shown(folder, "DefMemPerCPU=1000")


def test_facts_of_the_daemon_come_from_the_caller(folder: Folder) -> None:
    entries = shown(folder, NEXT_JOB_ID="14", BOOT_TIME="2026-11-22T17:26:13")
    assert (entries["NEXT_JOB_ID"], entries["BOOT_TIME"]) == ("14", "2026-11-22T17:26:13")
    assert entries["SLURM_CONF"] == str(folder.folder / "sluice.conf")
    assert entries["MULTIPLE_SLURMD"] == "No"


def test_passwords_are_not_listed(folder: Folder) -> None:
    entries = shown(folder, "SluiceDatabase=postgresql://u:secret@db/sluice\nAccountingStoragePass=secret")
    assert "secret" not in str(entries)


def test_lines_are_padded_keys_and_values_in_the_table_s_order(folder: Folder) -> None:
    lines = format_entries(config_entries(load(folder.write()), {})).splitlines()
    assert lines[0] == "AccountingStorageBackupHost = (null)"
    assert "BatchStartTimeout       = 10 sec" in lines
    keys = [line.split(" ")[0] for line in lines]
    assert keys.index("SlurmctldPidFile") == keys.index("SlurmSchedLogLevel") + 1


def test_the_cgroup_section_shows_percentages_and_units(folder: Folder) -> None:
    folder.file("cgroup.conf", "ConstrainCores=yes\nAllowedRAMSpace=95\n")
    entries = dict(cgroup_entries(load(folder.write())))
    assert entries["ConstrainCores"] == "yes"
    assert entries["ConstrainDevices"] == "no"
    assert entries["AllowedRAMSpace"] == "95.0%"
    assert entries["MinRAMSpace"] == "30 MB"
    assert entries["MemorySwappiness"] == "(null)"


def test_a_report_names_every_problem_and_sums_up(folder: Folder) -> None:
    path = folder.write(settings="KillWiat=3\nSwitchType=none")
    inspection = inspect(path)
    assert render_report(inspection).splitlines() == [
        f"error   {path}:4: KillWiat: 'KillWiat' is not a cluster key; did you mean 'KillWait'?",
        f"warning {path}:5: SwitchType: known Slurm key without effect here",
        f"{path}: refused, 1 error, 1 warning",
    ]
    assert [(finding.severity, finding.line) for finding in list_findings(inspection)] == [("error", 4), ("warning", 5)]


def test_a_report_on_a_good_file_says_what_it_describes(folder: Folder) -> None:
    path = folder.write()
    assert render_report(inspect(path)) == f"{path}: ok, cluster anchor, 4 nodes (n[1-4]), 1 partition, 0 warnings"


def test_equal_meanings_are_no_change(folder: Folder) -> None:
    old = load(folder.write(settings="SlurmdTimeout=300\nPriorityMaxAge=7-0"))
    new = load(folder.write(settings="PriorityMaxAge=7-00:00:00", nodes="NodeName=n[1,2-4] RealMemory=16000 CPUs=8"))
    assert diff(old, new).is_empty


def test_changes_are_listed_by_what_they_touch(folder: Folder) -> None:
    old = load(folder.write(settings="KillWait=30\nSluiceDatabase=sqlite:///a", nodes="NodeName=n[1-3] CPUs=4"))
    folder.file("cgroup.conf", "ConstrainCores=yes\n")
    new = load(
        folder.write(
            settings="KillWait=60\nSluiceDatabase=sqlite:///b\nSwitchType=x",
            nodes="NodeName=n[2-4] CPUs=4\nDownNodes=n3 Reason=fan",
            partitions="PartitionName=batch Nodes=n[2-3] Default=YES\nPartitionName=new",
        )
    )

    changes = diff(old, new)

    assert changes.settings == (
        Change("KillWait", "30", "60"),
        Change("SluiceDatabase", "(not shown)", "(not shown)"),
        Change("SwitchType", "switch/none", "x", has_effect=False),
    )
    assert changes.cgroup == (Change("ConstrainCores", "no", "yes"),)
    assert (changes.nodes_added, changes.nodes_removed) == (("n4",), ("n1",))
    (node,) = changes.nodes_changed
    assert (node.name, node.changes) == ("n3", (Change("state", "UNKNOWN", "DOWN"), Change("reason", "(unset)", "fan")))
    assert (changes.partitions_added, changes.partitions_removed) == (("new",), ())
    (partition,) = changes.partitions_changed
    assert partition.changes == (Change("nodes", "n[1-3]", "n[2-3]"),)
