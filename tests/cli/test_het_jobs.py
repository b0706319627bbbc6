"""Heterogeneous jobs on the command line: what is submitted, what each component inherits, how they are listed."""

import json
import os

import msgspec
import pytest

from sluice import timepoint
from sluice.errors import Infeasible
from sluice.wire.messages import SubmitHetJob
from sluice_cli import components, sbatch, scancel, scontrol, squeue, srun, srun_het
from sluice_cli.options import table_for
from tests.cli import fake_controller
from tests.cli.records import grant, pending, started

SCRIPT = """#!/bin/bash
#SBATCH -n1 -J first -t 10 --comment hello
#SBATCH hetjob
#SBATCH -n3 --mem 100
true
"""


@pytest.fixture
def submit(controller, monkeypatch, dead_cluster, capfd):
    """Run sbatch; return the request that arrived, checked by the wire's own type."""
    controller.answers["SubmitHetJob"] = lambda body: {"job_id": 7}
    monkeypatch.chdir(dead_cluster)
    (dead_cluster / "b.sh").write_text(SCRIPT)

    def run(*words, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        controller.requests.clear()
        assert sbatch.main(list(words)) == 0, capfd.readouterr().err
        (body,) = controller.bodies("SubmitHetJob")
        return msgspec.convert(body, SubmitHetJob)

    return run


def asked(request, *fields):
    return [tuple(getattr(spec, field) for field in fields) for spec in request.specs]


def test_a_colon_separates_components(submit, capfd):
    request = submit("-n1", "-c2", ":", "-n4", "--wrap", "true")

    assert asked(request, "ntasks", "cpus_per_task") == [(1, 2), (4, 1)]
    assert request.script.endswith(b"\n\ntrue\n")
    assert [spec.is_batch for spec in request.specs] == [True, False], "the script runs once"
    assert capfd.readouterr().out == "Submitted batch job 7\n"


def test_a_directive_separates_components(submit):
    request = submit("b.sh")

    assert asked(request, "ntasks", "memory_per_node_mib") == [(1, None), (3, 100)]


def test_the_old_word_of_the_directive_does_too(submit, dead_cluster):
    (dead_cluster / "old.sh").write_text(SCRIPT.replace("hetjob", "packjob"))

    assert len(submit("old.sh").specs) == 2


def test_names_and_times_are_handed_on_sizes_are_not(submit):
    request = submit("b.sh")

    assert asked(request, "name", "limit_s", "comment") == [("first", 600, "hello")] * 2


def test_a_component_may_say_otherwise(submit):
    request = submit("-t5", "-J", "one", ":", "-J", "two", "--wrap", "true")

    assert asked(request, "name", "limit_s") == [("one", 300), ("two", 300)]


def test_what_is_handed_on_from_the_command_line_beats_the_environment(submit):
    request = submit("-t5", ":", "--wrap", "true", SBATCH_TIMELIMIT="22")

    assert asked(request, "limit_s") == [(300,), (300,)]


def test_the_environment_counts_for_all_components(submit):
    request = submit("-n1", ":", "-n5", "b.sh", SBATCH_TIMELIMIT="22")

    assert asked(request, "limit_s", "ntasks") == [(1320, 1), (1320, 5)]


@pytest.mark.parametrize(
    ("words", "tasks"),
    [
        (["-t5", ":", "-n1"], [1, 1]),
        (["-t5", ":", "-n1", ":", "-n4"], [1, 1, 4]),
        ([":", ":"], [1, 3, 1]),
        (["-n2"], [2, 3]),
    ],
    ids=["both two", "more on the command line", "nothing but colons", "more in the script"],
)
def test_there_are_as_many_components_as_the_longer_source_has(submit, words, tasks):
    """As Slurm 22.05 counts them."""
    request = submit(*words, "b.sh")

    assert [spec.ntasks for spec in request.specs] == tasks
    assert {spec.comment for spec in request.specs} == {"hello"}


def test_the_partition_is_a_components_own(submit):
    request = submit("-p", "gpu", ":", "-n1", "--wrap", "true")

    assert asked(request, "partitions") == [(("gpu",),), ((),)]


ASKED_OF_TWO = ["-n1", ":", "-n2", "--wrap", "true"]


def test_test_only_answers_for_all_components_together(controller, capfd):
    """The latest start, all processors and nodes, in the words of Slurm 22.05, which leave the partition out."""
    base = {"job_id": 7, "partition": "batch"}
    replies = iter(
        [
            base | {"start_at": 1795378112.0, "cpu_count": 1, "nodes": "n[1-2]"},
            base | {"start_at": 1795378172.0, "cpu_count": 2, "nodes": "n[2-3]"},
        ]
    )
    controller.answers["TestJob"] = lambda body: next(replies)

    assert sbatch.main(["--test-only", *ASKED_OF_TWO]) == 0
    start = timepoint.format_local(1795378172.0)
    assert capfd.readouterr().err == f"sbatch: Job 7 to start at {start} using 3 processors on n[1-3]\n"
    assert [body["spec"]["ntasks"] for body in controller.bodies("TestJob")] == [1, 2]


def test_test_only_tells_which_component_is_refused(controller, capfd):
    answers = iter([{"start_at": 1.0, "cpu_count": 1, "nodes": "n1", "partition": "batch"}])

    def answer(body):
        if (reply := next(answers, None)) is None:
            raise Infeasible("9 nodes requested, 3 are there")
        return reply

    controller.answers["TestJob"] = answer

    assert sbatch.main(["--test-only", *ASKED_OF_TWO]) == 1
    assert capfd.readouterr().err == (
        "sbatch: error: component 1: 9 nodes requested, 3 are there\n"
        "allocation failure: Requested node configuration is not available\n"
    )


def test_explain_takes_one_component(capfd, dead_cluster):
    assert sbatch.main(["--explain", *ASKED_OF_TWO]) == 1
    assert "--explain takes one component" in capfd.readouterr().err


def test_options_of_every_component_are_read_before_the_script():
    found, rest = components.parse(table_for("sbatch"), ["-n1", ":", "-N", "2", "script", ":", "x"])

    assert found == [[("ntasks", "1")], [("nodes", "2")]]
    assert rest == ["script", ":", "x"], "a colon among the script's arguments is an argument"


# --- steps


def test_a_group_sees_its_own_variables():
    variables = {
        "HOME": "/home/ann",
        "SLURM_JOB_ID": "5",
        "SLURM_NTASKS": "1",
        "SLURM_JOB_ID_HET_GROUP_0": "5",
        "SLURM_JOB_ID_HET_GROUP_1": "6",
        "SLURM_NTASKS_HET_GROUP_0": "1",
        "SLURM_MEM_PER_CPU": "10",
        "SLURM_MEM_PER_CPU_HET_GROUP_0": "10",
        "SLURM_MEM_PER_NODE_HET_GROUP_1": "100",
    }

    own = components.group_environment(variables, 1)

    assert own["SLURM_JOB_ID"] == "6"
    assert "SLURM_NTASKS" not in own, "the first component's does not count for the second"
    assert "SLURM_MEM_PER_CPU" not in own
    assert own["SLURM_MEM_PER_NODE"] == "100"
    assert own["HOME"] == "/home/ann"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--het-group=5", "hostname"], "Requested het-group offset exceeds highest hetjob index (5 > 1)"),
        (["-n1", "a", ":", "-n1", "b", ":", "c"], "Requested het-group offset exceeds highest hetjob index (2 > 1)"),
        (["--het-group=0-x", "hostname"], "Invalid --het-group specification: 0-x"),
        (["--het-group=0-99999999", "hostname"], "Invalid --het-group specification: 0-99999999"),
        (["--het-group=1", "a", ":", "--het-group=1", "b"], "a component of the job is named twice"),
        (["--mpi=pmi2", "a", ":", "--mpi=pmix", "b"], "--mpi: a step has one for all of its components, pmi2 and pmix"),
        (["a", ":", "-n1"], "No command given to execute."),
    ],
    ids=["no such component", "too many", "no number", "a large number", "one twice", "MPI", "no program"],
)
def test_steps_that_cannot_be_are_refused(monkeypatch, capfd, dead_cluster, words, text):
    monkeypatch.setenv("SLURM_HET_SIZE", "2")

    assert srun.main(words) == 1
    assert text in capfd.readouterr().err


@pytest.mark.parametrize("group", ["3", "0,3"])
def test_a_job_without_components_has_only_the_first(monkeypatch, capfd, controller, group):
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    controller.answers["LocateJob"] = lambda body: {"job": {"id": 9, "allocation": {"grants": []}}}

    assert srun.main([f"--het-group={group}", "hostname"]) == 1
    assert capfd.readouterr().err == (
        "srun: error: job 9 is not heterogeneous: its one component is 0\n"
        "srun: error: Requested het-group offset exceeds highest hetjob index (3 > 0)\n"
    )


@pytest.mark.parametrize(
    ("words", "size", "expected"),
    [
        (["a", "1"], 2, [(None, ["a", "1"])]),
        (["--het-group=0,1", "a"], 2, [(0, ["a"]), (1, ["a"])]),
        (["--het-group=1-2,0", "a"], 3, [(0, ["a"]), (1, ["a"]), (2, ["a"])]),
        (["a", ":", "b", "-n", "x"], 2, [(0, ["a"]), (1, ["b", "-n", "x"])]),
        (["-n1", ":", "-n2", "b"], 2, [(0, ["b"]), (1, ["b"])]),
        (["--het-group=1", "a", ":", "--het-group=0", "b"], 2, [(1, ["a"]), (0, ["b"])]),
        (["--het-group=3", "a"], 0, [(None, ["a"])]),
        (["--het-group=0,1", "a", ":", "b"], 0, [(None, ["a"]), (None, ["a"]), (None, ["b"])]),
    ],
    ids=[
        "one program runs in the leader",
        "one program in two components",
        "a list of components",
        "a program each",
        "a part without a program runs the next one",
        "in an order of one's own",
        "outside of a job its number says nothing",
        "outside of a job each named one runs the program",
    ],
)
def test_what_runs_in_which_component(words, size, expected):
    found = srun_het.commands(srun_het.parse(table_for("srun"), words), size)

    assert [(number, argv) for number, _, argv in found] == expected


# --- listings


@pytest.fixture
def listed(monkeypatch):
    fake = fake_controller.install(monkeypatch)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    place = {"job_het_job_id": 9, "job_het_size": 2}
    jobs = [
        started(9, (grant("n1", 4),), name="hh", ntasks=1, **place),
        started(10, (grant("n2", 4),), name="hh", ntasks=2, job_het_offset=1, is_batch=False, **place),
        pending(11, name="plain"),
    ]
    fake.replies["QueryJobs"] = lambda body: [{"jobs": jobs, "now_at": 0.0}]
    return fake


def test_components_are_listed_by_the_common_id(listed, capfd):
    assert squeue.main(["-h", "-S", "i", "-o", "%i %A"]) == 0

    assert capfd.readouterr().out == "9+0 9\n9+1 10\n11 11\n"


def test_the_fields_of_components(listed, capfd):
    fields = "JobID:4,HetJobID:4,HetJobOffset:4,HetJobIDSet:6,BatchFlag:2"
    assert squeue.main(["-h", "-S", "i", "-O", fields]) == 0

    assert capfd.readouterr().out.splitlines() == [
        "9   9   0   9-10  1 ",
        "10  9   1   9-10  1 ",
        "11  N/A N/A N/A   1 ",
    ]


@pytest.mark.parametrize(
    ("ids", "shown"), [("9+1", ["9+1"]), ("9,11", ["9+0", "9+1", "11"]), ("9+0,11", ["9+0", "11"])]
)
def test_a_component_is_asked_for_by_its_number(listed, capfd, ids, shown):
    assert squeue.main(["-h", "-S", "i", "-o", "%i", "-j", ids]) == 0

    assert capfd.readouterr().out.split() == shown


def test_the_record_of_a_component(listed, capfd):
    assert scontrol.main(["show", "job", "9+1"]) == 0

    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "JobId=10 HetJobId=9 HetJobOffset=1 JobName=hh"
    assert lines[1] == "   HetJobIdSet=9-10"
    assert sum(line.startswith("JobId=") for line in lines) == 1


def test_structured_output_names_the_components(listed, capfd):
    assert squeue.main(["--json"]) == 0

    jobs = json.loads(capfd.readouterr().out)["jobs"]
    assert [(job["het_job_id"]["number"], job["het_job_id_set"]) for job in jobs[:2]] == [(9, "9-10")] * 2
    assert [job["het_job_offset"]["set"] for job in jobs] == [True, True, False]


def test_a_waiting_component_is_not_cancelled_alone(monkeypatch, capfd):
    fake = fake_controller.install(monkeypatch)
    message = "Operation not permitted on individual component of heterogeneous job"
    fake.replies["KillJobs"] = {"outcomes": [{"id": "9+1", "code": "component", "message": message}]}

    assert scancel.main(["9+1"]) == 60
    assert capfd.readouterr().err == f"scancel: error: Kill job error on job id 9+1: {message}\n"
