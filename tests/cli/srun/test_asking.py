"""srun and the controller: steps inside a job, refusals, waiting, questions."""

import os

import pytest

from sluice.errors import InvalidRequest, NotFound, RequestError
from sluice_cli import allocation, client
from sluice_cli.srun import main
from sluice_cli.srun_loop import StepLoop
from tests.cli.srun.fake_node import JOB, finished


def refuse(error):
    def answer(body):
        raise error

    return answer


def test_inside_a_job_only_the_id_is_needed(controller, nodes, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    for node in nodes:
        node.end()

    assert main(["-n1", "--cpu-bind=q", "--cpus-per-task=2", "--nodes=1", "prog"]) == 0
    assert [name for name, _ in controller.requests] == ["LocateJob", "CreateStep"]


def test_a_step_waits_for_room(controller, nodes, monkeypatch, capfd):
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    created = controller.answers["CreateStep"]
    waits = ("StepWaits", {"request_id": 1, "reason": "Requested nodes are busy"})
    controller.answers["CreateStep"] = lambda body: {**created(body), "notices": [waits]}
    for node in nodes:
        node.end()

    assert main(["prog"]) == 0
    assert capfd.readouterr().err == (
        "srun: Job 43 step creation temporarily disabled, retrying (Requested nodes are busy)\n"
        "srun: Step created for StepId=43.0\n"
    )


@pytest.mark.parametrize(
    ("step_id", "said"),
    [
        ("4", "srun: step 43.4, in which this srun runs, has the CPUs that it waits for; --overlap shares them\n"),
        ("5", ""),
        (None, ""),
    ],
    ids=["its own", "another", "none, as in a batch script"],
)
def test_a_step_that_waits_for_the_step_it_is_asked_from(step_id, said, controller, nodes, monkeypatch, capfd):
    """It would wait for ever: srun ends before that step does."""
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    if step_id:
        monkeypatch.setenv("SLURM_STEP_ID", step_id)
    created = controller.answers["CreateStep"]
    why = "1 tasks of 1 CPUs on 1 nodes requested, 0 CPUs are free; step 43.4 (bash) has 1"
    waits = ("StepWaits", {"request_id": 1, "reason": "Requested nodes are busy", "text": why})
    controller.answers["CreateStep"] = lambda body: {**created(body), "notices": [waits]}
    for node in nodes:
        node.end()

    assert main(["prog"]) == 0
    assert capfd.readouterr().err == (
        "srun: Job 43 step creation temporarily disabled, retrying (Requested nodes are busy)\n"
        f"{said}srun: Step created for StepId=43.0\n"
    )


@pytest.mark.parametrize(
    ("error", "detail", "text"),
    [
        (RequestError("4 CPUs are free", "step_busy"), "", "Requested nodes are busy"),
        (
            InvalidRequest("job 43: 9 tasks", "too_many_cpus"),
            "srun: error: job 43: 9 tasks\n",
            "More processors requested than permitted",
        ),
    ],
    ids=["it would have to wait", "it is too large"],
)
def test_a_refused_step(controller, nodes, monkeypatch, error, detail, text, capfd):
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    controller.answers["CreateStep"] = refuse(error)

    assert main(["-I", "prog"]) == 1
    assert capfd.readouterr().err == f"{detail}srun: error: Unable to create step for job 43: {text}\n"


def test_a_word_that_is_no_text_is_named(controller, nodes, monkeypatch, capfd):
    monkeypatch.setenv("SLURM_JOB_ID", "43")

    assert main(["prog", "caf\udce9"]) == 1
    assert capfd.readouterr().err == (
        r"srun: error: Unable to create step for job 43: the word 'caf\xe9' is not UTF-8, as the words, options and "
        "folders of a request have to be; hand such a name on in an environment variable, in the script or by --wrap\n"
    )


def test_no_step_is_made_in_a_folder_that_is_gone(controller, nodes, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()

    assert main(["prog"]) == 1
    assert "srun: fatal: getcwd failed" in capfd.readouterr().err
    assert controller.bodies("CreateStep") == []


def test_more_nodes_than_allocated(nodes, capfd):
    assert main(["--jobid=43", "-N3", "prog"]) == 1
    assert capfd.readouterr().err == "srun: error: Only allocated 2 nodes asked for 3\n"


def test_tasks_per_node_that_do_not_fit_the_job_are_passed_over(controller, nodes, capfd):
    """Nothing but the job itself says here how many nodes it has."""
    for node in nodes:
        node.end()

    assert main(["--jobid=43", "-n3", "--ntasks-per-node=1", "prog"]) == 0
    assert capfd.readouterr().err == (
        "srun: Warning: can't honor --ntasks-per-node set to 1 which doesn't match the requested tasks 3 with the "
        "number of requested nodes 2. Ignoring --ntasks-per-node.\n"
    )
    assert "ntasks_per_node" not in controller.bodies("CreateStep")[0]["spec"]


NO_MPI = "srun: error: Invalid MPI type '{}', --mpi=list for acceptable types: none, pmi2, pmix, pmix_v4, pmix_v5\n"
CHECK = "srun: Check SLURM_JOB_ID environment variable. Expired or invalid job {}\n"


def test_an_unknown_and_an_ended_job(controller, nodes, capfd):
    controller.answers["LocateJob"] = refuse(NotFound("job 99 is not known", "invalid_job"))
    assert main(["--jobid=99", "prog"]) == 1
    controller.answers["LocateJob"] = lambda body: {"job": JOB, "is_ended": True}
    assert main(["--jobid=43", "prog"]) == 1

    assert capfd.readouterr().err == (
        "srun: error: Unable to confirm allocation for job 99: Invalid job id specified\n"
        + CHECK.format(99)
        + "srun: error: Slurm job 43 has expired\n"
        + CHECK.format(43)
    )


def test_waiting_for_the_allocation_is_told(controller, nodes, monkeypatch, capfd):
    monkeypatch.setattr(allocation, "_AT_ONCE_S", 0.0)
    for node in nodes:
        node.end()

    assert main(["prog"]) == 0
    assert capfd.readouterr().err == (
        "srun: job 43 queued and waiting for resources\nsrun: job 43 has been allocated resources\n"
    )


def test_a_signal_while_queued_cancels_the_job(controller, nodes, capfd):
    controller.silent.add("WaitJobStart")
    controller.on_silence = lambda name: os.kill(os.getpid(), 2)

    assert main(["prog"]) == 1
    assert capfd.readouterr().err.endswith(
        "srun: Job allocation 43 has been revoked\nsrun: Force Terminated JobId=43\n"
    )
    assert finished(controller) == (43, 0, 0)


@pytest.mark.parametrize(
    ("words", "stderr", "status"),
    [
        ([], "srun: fatal: No command given to execute.\n", 1),
        ([""], "srun: fatal: No command given to execute.\n", 1),
        (["--bogus", "x"], "srun: unrecognized option '--bogus'\nTry \"srun --help\" for more information\n", 255),
        (["-a", "1-2", "x"], "srun: invalid option -- 'a'\nTry \"srun --help\" for more information\n", 255),
        (
            ["--job", "x"],
            "srun: option '--job' is ambiguous; possibilities: '--jobid' '--job-name'\n"
            'Try "srun --help" for more information\n',
            255,
        ),
        (["-n", "x", "true"], 'srun: error: Invalid numeric value "x" for --ntasks.\n', 1),
        (["--jobid=abc", "true"], 'srun: error: Invalid numeric value "abc" for --jobid.\n', 1),
        (["-r1", "true"], "srun: fatal: --relative option invalid for job allocation request\n", 1),
        (["--mpi=bogus", "true"], NO_MPI.format("bogus"), 1),
        (["--mpi=", "true"], NO_MPI.format(""), 1),
        (["--mpi=pmix_v9", "true"], NO_MPI.format("pmix_v9"), 1),
        (["--mpi=none_v4", "true"], NO_MPI.format("none_v4"), 1),
        (
            ["-K2", "true"],
            'srun: error: Invalid numeric value "2" for --kill-on-bad-exit:'
            " 1 ends the step when a task fails, 0 does not\n",
            1,
        ),
        (
            ["--launch=bogus", "true"],
            "srun: error: Invalid launcher 'bogus', --launch=list for acceptable ones: env, torchrun\n",
            1,
        ),
        (["--multi-prog", "nosuch"], "srun: error: Could not open multi_prog config file nosuch\n", 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refusals(dead_cluster, words, stderr, status, capfd):
    assert main(words) == status
    assert capfd.readouterr() == ("", stderr)


def test_failures_exit_as_the_user_says(dead_cluster, monkeypatch, capfd):
    monkeypatch.setattr(client, "PATIENCE_S", 0.0)
    monkeypatch.setenv("SLURM_EXIT_ERROR", "77")

    assert main(["true"]) == 77
    assert capfd.readouterr().err == (
        "srun: error: Unable to allocate resources: Unable to contact slurm controller (connect failure)\n"
    )


def test_questions_that_need_no_cluster(capfd):
    assert main(["--mpi=list"]) == 0
    assert main(["--version"]) == 0
    listed = "\tnone\n\tpmi2\n\tpmix\nspecific pmix plugin versions available: pmix_v4,pmix_v5\n"
    assert capfd.readouterr().out == f"MPI plugin types are...\n{listed}slurm 25.05.0\n"


def test_test_only(controller, nodes, capfd):
    controller.answers["TestJob"] = {"start_at": 0.0, "cpu_count": 4, "nodes": "n1", "partition": "batch"}

    assert main(["--test-only", "-n4", "true"]) == 0
    assert capfd.readouterr().err.endswith("using 4 processors on nodes n1 in partition batch\n")
    assert not controller.bodies("SubmitJob")


def test_each_component_is_tested_until_one_is_refused(controller, capfd):
    def answer(body):
        if body["spec"]["ntasks"] > 2:
            raise RequestError("too many", "infeasible")
        return {"job_id": 9, "cpu_count": body["spec"]["ntasks"], "nodes": "n1", "partition": "p", "start_at": 5.0}

    controller.answers["TestJob"] = answer

    assert main(["--test-only", "-n1", ":", "-n2", "true"]) == 0
    told = capfd.readouterr().err
    assert [
        f"using {count} processors on nodes n1" in line for count, line in zip((1, 2), told.splitlines(), strict=False)
    ] == [True, True]

    assert main(["--test-only", "-n1", ":", "-n3", ":", "-n2", "true"]) == 1
    assert [body["spec"]["ntasks"] for body in controller.bodies("TestJob")] == [1, 2, 1, 3]


def test_an_allocation_of_its_own_is_held_until_the_end_and_another_is_not(controller, nodes, monkeypatch):
    for node in nodes:
        node.end()
    assert main(["prog"]) == 0
    assert [body["holds_allocation"] for body in controller.bodies("WaitJobStart")] == [True]

    controller.answers["LocateJob"] = lambda body: {"job": {"id": 9}}
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    controller.answers["CreateStep"] = refuse(NotFound("no", "invalid_job"))
    main(["prog"])
    assert [body["holds_allocation"] for body in controller.bodies("WaitJobStart")] == [True, False]


def test_an_srun_comes_back_to_a_controller_that_was_restarted_while_its_tasks_ran(controller, nodes, monkeypatch):
    """Before its epilog, which may be long."""
    for node in nodes:
        node.end()
    controller.answers["WaitJobStart"] = lambda body: {"job": JOB}
    original = StepLoop.run

    def run(loop):
        original(loop)
        controller.close_all()

    monkeypatch.setattr(StepLoop, "run", run)
    assert main(["--epilog=/bin/true", "prog"]) == 0
    assert len(controller.bodies("WaitJobStart")) == 2
