"""What sbatch sends to the controller, and what it makes of the answer."""

import os
import signal
import threading

import pytest

from sluice import timepoint
from sluice.errors import Infeasible, InvalidRequest, NotPermitted, RequestError
from sluice.wire.light import time as light_time
from sluice.wire.messages import SubmitJob, TestJob
from sluice_cli import client
from sluice_cli.sbatch import main


@pytest.fixture
def submit(controller, monkeypatch, dead_cluster, capfd):
    """Run sbatch; return the spec that arrived, its environment and script checked by the wire's own types."""
    import msgspec

    controller.answers["SubmitJob"] = lambda body: {"job_id": 7}
    monkeypatch.chdir(dead_cluster)

    def run(*words):
        controller.requests.clear()
        assert main(list(words)) == 0, capfd.readouterr().err
        (body,) = controller.bodies("SubmitJob")
        return msgspec.convert(body, SubmitJob)

    return run


def test_the_reply_is_the_line_that_tools_match(submit, capfd):
    submit("--wrap", "true")

    assert capfd.readouterr() == ("Submitted batch job 7\n", "")


def test_parsable_is_the_bare_id(submit, capfd):
    submit("--parsable", "--wrap", "true")
    submit("--parsable", "-M", "test", "--wrap", "true")
    submit("-Q", "--wrap", "true")

    assert capfd.readouterr().out == "7\n7;test\n"


def test_wrap_makes_a_script(submit):
    job = submit("--wrap", "sleep 1 && true")

    assert job.script == b"#!/bin/sh\n# This script was created by sbatch --wrap.\n\nsleep 1 && true\n"
    assert (job.spec.name, job.spec.command, job.spec.origin, job.spec.is_batch) == ("wrap", "", "sbatch", True)
    assert job.spec.submit_line == "sbatch --wrap sleep 1 && true"


def test_a_word_that_is_no_text_keeps_no_job_out(submit):
    """Names of files from the days of Latin-1 go into scripts as they are."""
    job = submit("--wrap", "cat caf\udce9")

    assert job.script.endswith(b"cat caf\xe9\n")
    assert job.spec.submit_line == "sbatch --wrap cat caf\N{REPLACEMENT CHARACTER}"


def test_a_script_file_names_the_job_and_takes_arguments(submit, dead_cluster):
    (dead_cluster / "s.sh").write_text("#!/bin/bash\necho hi\n")
    job = submit("-t", "7", "s.sh", "a", "-b")

    assert (job.spec.name, job.spec.command) == ("s.sh", str(dead_cluster / "s.sh"))
    assert job.spec.arguments == ("a", "-b")
    assert job.spec.limit_s == 420
    assert job.spec.work_dir == str(dead_cluster)


def test_directives_as_they_really_come(submit, dead_cluster):
    (dead_cluster / "s.sh").write_text(
        "#!/bin/bash\n# a comment\n\n#SBATCH -J fromscript --time=5\n #SBATCH -n 4\n"
        '#SBATCH --comment="two words" -N1 # trailing comment\n##SBATCH -n 3\n#SBATCH\t-c\t2\n'
        "#SBATCH --mem      50\necho hi\n#SBATCH -n 5\n"
    )
    spec = submit("s.sh").spec

    assert (spec.name, spec.limit_s, spec.comment) == ("fromscript", 300, "two words")
    assert (spec.min_nodes, spec.max_nodes, spec.ntasks, spec.cpus_per_task) == (1, 1, 1, 2)
    assert spec.memory_per_node_mib == 50
    assert {"time", "comment", "nodes", "cpus-per-task", "mem", "job-name"} == set(spec.given)


def test_command_line_beats_environment_beats_directives(submit, dead_cluster, monkeypatch):
    (dead_cluster / "s.sh").write_text("#!/bin/sh\n#SBATCH -J script -t 1 -A script\n")
    monkeypatch.setenv("SBATCH_JOB_NAME", "env")
    monkeypatch.setenv("SBATCH_TIMELIMIT", "2")
    spec = submit("-J", "line", "s.sh").spec

    assert (spec.name, spec.limit_s, spec.account) == ("line", 120, "script")


def test_a_stronger_source_replaces_the_memory_option(submit, monkeypatch):
    monkeypatch.setenv("SBATCH_MEM_PER_CPU", "10")
    spec = submit("--mem=20", "--wrap", "true").spec

    assert (spec.memory_per_node_mib, spec.memory_per_cpu_mib) == (20, None)


def test_foreign_directives_count_unless_ignored(submit, dead_cluster):
    (dead_cluster / "s.sh").write_text("#!/bin/sh\n#PBS -N pbs -l nodes=2:ppn=3,walltime=1:00:00\n#BSUB -q night\n")
    spec = submit("s.sh").spec

    assert (spec.name, spec.min_nodes, spec.ntasks, spec.limit_s, spec.partitions) == ("pbs", 2, 6, 3600, ("night",))
    assert submit("--ignore-pbs", "s.sh").spec.name == "s.sh"


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["-N2"], {"min_nodes": 2, "max_nodes": 2, "ntasks": 2}),
        (["-N1k"], {"min_nodes": 1024}),
        (["-N2-4", "--ntasks-per-node=3"], {"min_nodes": 2, "max_nodes": 4, "ntasks": 6, "ntasks_per_node": 3}),
        (["-N2,4,8-16:4"], {"min_nodes": 2, "max_nodes": 16, "other": (("nodes", "2,4,8-16:4"),)}),
        (["-N0"], {"min_nodes": 0, "max_nodes": 0}),
        (["-n4", "--ntasks-per-node=2"], {"min_nodes": 2, "ntasks": 4}),
        (["-w", "n[1-2]"], {"required_nodes": ("n1", "n2"), "min_nodes": 2, "max_nodes": 0, "ntasks": 2}),
        (["-x", "n3"], {"excluded_nodes": ("n3",)}),
        (["-t", "0"], {"limit_s": None, "is_unlimited": True}),
        (["-t", "-1"], {"limit_s": None, "is_unlimited": True}),
        (["-t", "1:30"], {"limit_s": 120}),
        (["-t", "30-0"], {"limit_s": 30 * 86400}),
        (["--mem=0"], {"memory_per_node_mib": 0}),
        (["--mem=1g"], {"memory_per_node_mib": 1024}),
        (["-a", "0-9%2"], {"array": ((0, 9, 1),), "array_throttle": 2}),
        (["-a", "1-10%0"], {"array": ((1, 10, 1),), "array_throttle": 0}),
        (["-a", "1-3%x"], {"array": ((1, 3, 1),), "array_throttle": 0}),
        (["-a", ""], {"array": ()}),
        (["--nice"], {"nice": 100}),
        (["--nice=-5"], {"nice": -5}),
        (["--priority=TOP"], {"priority": 4294967292}),
        (["--exclusive"], {"exclusive": "node"}),
        (["--exclusive=user"], {"exclusive": "user"}),
        (["--requeue", "--no-requeue"], {"can_requeue": False}),
        (["--no-requeue", "--requeue"], {"can_requeue": True}),
        (["-k"], {"no_kill": True}),
        (["--no-kill=off"], {"no_kill": False}),
        (["--mail-type=BEGIN,end,X"], {"mail_types": ("BEGIN", "END")}),
        (["-p", "a,b"], {"partitions": ("a", "b")}),
        (["-C", " a&b "], {"features": "a&b"}),
        (["-o", "none"], {"std_out": "/dev/null"}),
        (["--open-mode=append"], {"open_mode": "a"}),
        (["-s", "-O"], {"can_oversubscribe": True, "is_overcommitted": True}),
        (["-B", "2:4:*"], {"sockets_per_node": 2, "cores_per_socket": 4, "threads_per_core": 0}),
        (["-H"], {"is_held": True}),
        (["--export=NONE"], {"export": "NONE", "get_user_env": True}),
        (["--export=NIL"], {"export": "NIL", "get_user_env": False}),
        (["--export=ALL,A=b"], {"export": "ALL,A=b", "get_user_env": False}),
        (["--get-user-env=L"], {"get_user_env": True}),
        (["--mcs-label=x", "--reboot"], {"other": (("mcs-label", "x"), ("reboot", ""))}),
        (["--propagate=NONE"], {"rlimits": ()}),
        (["--kill-on-invalid-dep=YES"], {"kill_on_invalid_dependency": True}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_land_in_the_spec(submit, words, fields):
    spec = submit(*words, "--wrap", "true").spec

    assert {name: getattr(spec, name) for name in fields} == fields


def requests(entries):
    return [(each.name, each.type, each.count) for each in entries]


def test_generic_resources(submit):
    spec = submit("--gres=gpu:a100:2,nic", "-G4", "--gpus-per-task=1", "-n2", "--wrap", "true").spec

    assert requests(spec.gres_per_node) == [("gpu", "a100", 2), ("nic", "", 1)]
    assert requests(spec.gres_per_job) == [("gpu", "", 4)]
    assert requests(spec.gres_per_task) == [("gpu", "", 1)]
    assert submit("--ntasks-per-gpu=2", "-G1", "--wrap", "true").spec.ntasks == 2


def test_tres_per_task_sets_cpus_and_gpus(submit):
    spec = submit("-n2", "--tres-per-task=cpu=3,gres/gpu:a100=1", "--wrap", "true").spec

    assert spec.cpus_per_task == 3
    assert requests(spec.gres_per_task) == [("gpu", "a100", 1)]


def test_dependencies_and_signals_are_structured(submit):
    spec = submit("-d", "afterok:1:2_3,after:4+5", "--signal=B:USR1@90", "--wrap", "true").spec

    terms = [(term.type, term.job_id, term.task_id, term.delay_s) for term in spec.dependency.terms]
    assert terms == [("afterok", 1, None, 0), ("afterok", 2, 3, 0), ("after", 4, None, 300)]
    assert (spec.warn_signal.number, spec.warn_signal.before_s, spec.warn_signal.to_batch_only) == (10, 90, True)


def test_fewer_tasks_than_nodes_is_a_warning(submit, capfd):
    spec = submit("-N2", "-n1", "--wrap", "true").spec

    assert (spec.min_nodes, spec.max_nodes) == (1, 1)
    assert capfd.readouterr().err == "sbatch: Warning: can't run 1 processes on 2 nodes, setting nnodes to 1\n"


@pytest.mark.parametrize(
    ("words", "nodes", "counts"),
    [
        (["-n2", "-w", "n1,n2,n3"], ("n1", "n2"), (2, 0)),
        (["-N3-4", "-n1", "-w", "n1,n2"], ("n1",), (1, 1)),
        (["-n1", "--ntasks-per-node=3", "-w", "n1,n2,n3", "-x", "n2"], ("n1",), (1, 0)),
    ],
    ids=["-n2 of 3", "-N3-4 -n1 of 2", "-n1 --ntasks-per-node=3 of 3"],
)
def test_a_list_of_more_nodes_than_tasks_is_cut(words, nodes, counts, submit):
    spec = submit(*words, "--wrap", "true").spec

    assert (spec.required_nodes, (spec.min_nodes, spec.max_nodes)) == (nodes, counts)


@pytest.mark.parametrize(
    ("words", "tasks"),
    [
        ([], ("n3", "n2", "n3")),
        (["-n2"], ("n3", "n2")),
        (["-N1"], ("n3",)),
        (["-m", "cyclic"], ("n3", "n2", "n3")),
    ],
    ids=["all of it", "as many as -n", "as many as -N", "whatever -m says"],
)
def test_the_host_file_names_the_node_of_each_task(words, tasks, submit, monkeypatch, tmp_path):
    (tmp_path / "hosts").write_text("n3\nn2\nn3\n")
    monkeypatch.setenv("SLURM_HOSTFILE", str(tmp_path / "hosts"))

    spec = submit(*words, "--wrap", "true").spec

    assert (spec.task_nodes, spec.ntasks, spec.distribution) == (tasks, len(tasks), "arbitrary")


def test_named_nodes_stand_in_place_of_the_host_file(submit, monkeypatch):
    monkeypatch.setenv("SLURM_HOSTFILE", "/nosuch")

    assert submit("-w", "n1", "--wrap", "true").spec.required_nodes == ("n1",)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (
            "n3\nn2\n",
            "sbatch: error: SLURM_HOSTFILE={path} names 2 nodes, 3 are needed\n"
            "sbatch: error: Too few NodeNames in Slurm Hostfile\n",
        ),
        (
            None,
            "sbatch: error: slurm_allocate_resources error opening file {path}, No such file or directory\n",
        ),
    ],
    ids=["too short", "missing"],
)
def test_a_host_file_that_does_not_do_is_refused(content, lines, dead_cluster, monkeypatch, tmp_path, capfd):
    path = tmp_path / "hosts"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SLURM_HOSTFILE", str(path))

    assert main(["-n3", "--wrap", "true"]) == 1
    end = "sbatch: error: Failure getting NodeNames from hostfile\n"
    assert capfd.readouterr().err == lines.format(path=path) + end


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/dev/null", "/dev/null names no node"),
        ("", "SLURM_HOSTFILE is set and names no file; unset it for any nodes"),
    ],
    ids=["an empty file", "an empty variable"],
)
def test_a_host_file_without_names_is_refused(path, words, dead_cluster, monkeypatch, capfd):
    monkeypatch.setenv("SLURM_HOSTFILE", path)

    assert main(["--wrap", "true"]) == 1
    assert capfd.readouterr().err.splitlines() == [
        f"sbatch: error: {words}",
        "sbatch: error: Hostlist is empty!",
        "sbatch: error: Failure getting NodeNames from hostfile",
    ]


def variables(job):
    return dict(entry.split(b"=", 1) for entry in job.environment)


def test_the_environment_goes_along_with_the_submissions_own(submit, monkeypatch, dead_cluster):
    monkeypatch.setenv("FOO", "1")
    found = variables(submit("--wrap", "true"))

    assert found[b"FOO"] == b"1"
    assert found[b"SLURM_SUBMIT_DIR"] == os.fsencode(dead_cluster)
    assert found[b"SLURM_SUBMIT_HOST"] == os.uname().nodename.encode()


def test_export_chooses(submit, monkeypatch):
    monkeypatch.setenv("FOO", "1")
    monkeypatch.setenv("BAR", "2")
    monkeypatch.setenv("SLURM_TEST", "3")
    found = variables(submit("--export=FOO,BAZ='a,b',NOSUCH", "--wrap", "true"))

    assert {name: value for name, value in found.items() if name in (b"FOO", b"BAR", b"BAZ", b"NOSUCH")} == {
        b"FOO": b"1",
        b"BAZ": b"a,b",
    }
    assert found[b"SLURM_TEST"] == b"3"
    assert b"PATH" not in found
    assert variables(submit("--export=ALL,BAR=9", "--wrap", "true"))[b"BAR"] == b"9"


def test_export_file(submit, dead_cluster, monkeypatch):
    monkeypatch.setenv("FOO", "1")
    (dead_cluster / "env").write_bytes(b"A=1\0B=two\nlines\0")
    found = variables(submit("--export-file=env", "--wrap", "true"))

    assert (found[b"A"], found[b"B"], b"FOO" in found) == (b"1", b"two\nlines", False)


def test_a_restarted_controller_is_waited_for_with_one_token(controller, submit, monkeypatch, capfd):
    monkeypatch.setattr(light_time, "sleep", lambda seconds: None)
    controller.drops["SubmitJob"] = 2

    assert main(["--wrap", "true"]) == 0

    tokens = [body["token"] for body in controller.bodies("SubmitJob")]
    assert len(tokens) == 3
    assert len(set(tokens)) == 1
    out, err = capfd.readouterr()
    assert out == "Submitted batch job 7\n"
    assert err.count("\n") == 1
    assert err.startswith("sbatch: Unable to contact slurm controller (connect failure), retrying")


def refuse(error):
    def answer(body):
        raise error

    return answer


def test_a_refusal_has_its_reason_and_slurms_sentence(controller, capfd):
    controller.answers["SubmitJob"] = refuse(
        InvalidRequest("invalid partition specified: nopart", code="invalid_partition")
    )

    assert main(["-p", "nopart", "--wrap", "true"]) == 1
    assert capfd.readouterr() == (
        "",
        "sbatch: error: invalid partition specified: nopart\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
    )


def test_an_unknown_gres_is_refused_without_the_frame(controller, capfd):
    controller.answers["SubmitJob"] = refuse(InvalidRequest("no node of partition debug has bogus", "invalid_gres"))

    assert main(["--gres=bogus", "--wrap", "true"]) == 1
    assert capfd.readouterr().err == (
        "sbatch: error: no node of partition debug has bogus\n"
        "sbatch: error: Invalid generic resource (gres) specification\n"
    )


def test_warnings_of_the_reply_are_talk(controller, capfd):
    controller.answers["SubmitJob"] = lambda body: {"job_id": 8, "warnings": ["something\nnearest"]}

    assert main(["--wrap", "true"]) == 0
    assert capfd.readouterr() == ("Submitted batch job 8\n", "sbatch: something\nsbatch: nearest\n")


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        ({"state": "COMPLETED", "exit_code": 0}, 0),
        ({"state": "FAILED", "exit_code": 7}, 7),
        ({"state": "FAILED", "exit_code": 0, "exit_signal": 9}, 1),
    ],
)
def test_wait_exits_with_the_jobs_code(controller, submit, ended, status, capfd):
    controller.answers["WaitJobEnd"] = lambda body: dict(ended)

    assert main(["-W", "--wrap", "true"]) == status
    assert controller.bodies("WaitJobEnd") == [{"job_id": 7}]


def test_wait_lasts_through_a_restart(controller, submit, monkeypatch):
    monkeypatch.setattr(light_time, "sleep", lambda seconds: None)
    controller.answers["WaitJobEnd"] = lambda body: {"state": "COMPLETED", "exit_code": 0}
    controller.drops["WaitJobEnd"] = 1

    assert main(["-W", "--wrap", "true"]) == 0


def test_test_only_says_when_and_where_on_stderr(controller, capfd):
    import msgspec

    start = timepoint.format_local(1795378112.0)
    controller.answers["TestJob"] = {"start_at": 1795378112.0, "cpu_count": 2, "nodes": "n[1-2]", "partition": "batch"}

    assert main(["--test-only", "--wrap", "true"]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("sbatch: Job ")
    assert err.endswith(f" to start at {start} using 2 processors on nodes n[1-2] in partition batch\n")
    msgspec.convert(controller.bodies("TestJob")[0], TestJob)


def test_test_only_of_the_impossible(controller, capfd):
    controller.answers["TestJob"] = refuse(NotPermitted("no"))

    assert main(["--test-only", "--wrap", "true"]) == 1
    assert capfd.readouterr() == ("", "sbatch: error: no\nallocation failure: Access/permission denied\n")


@pytest.mark.parametrize(
    ("fields", "verdict", "is_estimated"),
    [
        ({}, "would start now on n1 in partition batch with 2 CPUs", True),
        (
            {"gates": ["held by its user", "waits for afterok:7 (job 7 waits itself)"]},
            "but held by its user; waits for afterok:7 (job 7 waits itself); without that it would start now on n1 "
            "in partition batch with 2 CPUs",
            False,
        ),
        (
            {"gates": ["held by its user"], "start_at": 0.0},
            "but held by its user; without that it would have to wait: no start is in sight",
            False,
        ),
        ({"start_at": 0.0}, "but has to wait: no start is in sight", False),
        ({"is_awaited": True}, "would start at any moment on n1 in partition batch with 2 CPUs", True),
        (
            {"is_presumed": True},
            "would start now on n1 in partition batch with 2 CPUs, jobs without a time limit taken to run for a year",
            True,
        ),
    ],
    ids=["free", "held and dependent", "held, and no room", "no room", "not clean yet", "behind a job without a limit"],
)
def test_the_verdict_says_what_has_to_be_over_first(controller, capfd, fields, verdict, is_estimated):
    blockers = [] if fields == {} else [{"reason": "Resources", "text": "x"}]
    explanation = {"job": {"id": 7, "spec": {"name": "wrap"}}, "blockers": blockers}
    found = {"start_at": 5.0, "now_at": 5.0, "cpu_count": 2, "nodes": "n1", "partition": "batch"}
    controller.answers["TestJob"] = {**found, "explanation": explanation, **fields}

    assert main(["--explain", "--wrap", "true"]) == 0
    out, err = capfd.readouterr()
    assert out.split("\n")[0] == f"verdict: accepted, {verdict}"
    assert ("to start at" in err) == is_estimated


def test_explain_tells_verdict_causes_and_changes_on_stdout(controller, capfd):
    controller.answers["TestJob"] = {
        "job_id": 7,
        "start_at": 1795378112.0,
        "cpu_count": 2,
        "nodes": "n[1-2]",
        "partition": "batch",
        "now_at": 1.0,
        "warnings": ["30 nodes requested"],
        "explanation": {
            "job": {"id": 7, "spec": {"name": "wrap"}},
            "place": 2,
            "queue_length": 2,
            "blockers": [{"reason": "Priority", "text": "behind job 3 in partition batch"}],
            "suggestions": [{"words": ["-t 00:10:00 instead of 01:00:00"]}],
        },
    }

    assert main(["--explain", "--wrap", "true"]) == 0
    out, err = capfd.readouterr()
    start = timepoint.format_local(1795378112.0)
    assert out.splitlines() == [
        f"verdict: accepted, would start at {start} on n[1-2] in partition batch with 2 CPUs",
        "warning: 30 nodes requested",
        "place 2 of 2 in the queue",
        "what stands before its start:",
        "  Priority: behind job 3 in partition batch",
        "it would start now with",
        "  -t 00:10:00 instead of 01:00:00",
    ]
    assert err.startswith("sbatch: Job 7 to start at ")
    assert controller.bodies("TestJob")[0]["is_explained"] is True


def test_explain_of_what_would_start_now_is_short(controller, capfd):
    controller.answers["TestJob"] = {
        "start_at": 5.0,
        "now_at": 5.0,
        "cpu_count": 1,
        "nodes": "n1",
        "partition": "batch",
        "explanation": {"blockers": [{"reason": "None", "text": "nothing stands against it"}], "is_searched": True},
    }

    assert main(["--explain", "--wrap", "true"]) == 0
    assert capfd.readouterr().out == "verdict: accepted, would start now on n1 in partition batch with 1 CPU\n"


def test_explain_accepts_what_a_submission_would_although_no_start_is_in_sight(controller, capfd):
    controller.answers["TestJob"] = {
        "now_at": 5.0,
        "warnings": ["5 nodes requested, partition batch has 3\nnearest request that fits: -N 3 instead of 5"],
        "explanation": {"blockers": [{"reason": "PartitionNodeLimit", "text": "5 nodes, partition batch has 3"}]},
    }

    assert main(["--explain", "--wrap", "true"]) == 0
    assert capfd.readouterr() == (
        "verdict: accepted, but has to wait: no start is in sight\n"
        "warning: 5 nodes requested, partition batch has 3\n"
        "warning: nearest request that fits: -N 3 instead of 5\n"
        "what stands before its start:\n"
        "  PartitionNodeLimit: 5 nodes, partition batch has 3\n",
        "",
    )


def test_explain_of_the_impossible_tells_the_numbers(controller, capfd):
    controller.answers["TestJob"] = refuse(Infeasible("9 CPUs requested, the largest node has 4"))

    assert main(["--explain", "--wrap", "true"]) == 1
    assert capfd.readouterr() == (
        "verdict: refused\n  9 CPUs requested, the largest node has 4\n",
        "allocation failure: Requested node configuration is not available\n",
    )


def test_patience_is_bounded(dead_cluster, monkeypatch, capfd):
    monkeypatch.setattr(client, "PATIENCE_S", 0.0)

    assert main(["--wrap", "true"]) == 1


def test_ctrl_c_leaves_quietly(controller, monkeypatch, dead_cluster, capfd):
    monkeypatch.chdir(dead_cluster)
    controller.answers["SubmitJob"] = lambda body: {"job_id": 7}
    controller.silent = {"WaitJobEnd"}
    main_thread = threading.main_thread().ident
    controller.on_silence = lambda name: signal.pthread_kill(main_thread, signal.SIGINT)

    assert main(["--wait", "--wrap", "true"]) == 130
    assert capfd.readouterr() == ("Submitted batch job 7\n", "")


def test_wait_outlives_a_database_that_refuses(controller, monkeypatch, dead_cluster, capfd):
    monkeypatch.chdir(dead_cluster)
    controller.answers["SubmitJob"] = lambda body: {"job_id": 7}
    refusals = ["database is locked"]

    def answer(body):
        if refusals:
            raise RequestError(refusals.pop(), "storage")
        return {"exit_code": 3}

    controller.answers["WaitJobEnd"] = answer

    assert main(["--wait", "--wrap", "true"]) == 3
    assert "sbatch: database is locked\n" in capfd.readouterr().err


def test_wait_says_what_it_does_not_know(controller, monkeypatch, dead_cluster, capfd):
    monkeypatch.chdir(dead_cluster)
    controller.answers["SubmitJob"] = lambda body: {"job_id": 7}
    monkeypatch.setattr(client, "PATIENCE_S", 0.2)

    def refuse(body):
        raise RequestError("database is locked", "storage")

    controller.answers["WaitJobEnd"] = refuse

    assert main(["--wait", "--wrap", "true"]) == 1
    assert capfd.readouterr().err.endswith(
        "sbatch: error: database is locked\n"
        "sbatch: error: job 7 is not waited for any more: The controller can not store the request now\n"
    )
