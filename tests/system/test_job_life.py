"""The life of a job as its user sees it: submitted, listed, run, written, accounted."""

from pathlib import Path

import pytest

from sluice.testing import LocalCluster


@pytest.fixture
def work_dir(tmp_path: Path, local_cluster: LocalCluster) -> Path:
    """An empty folder to submit from, once the jobs of the test before are gone."""
    local_cluster.wait_jobs_ended()
    return tmp_path


def accounting(cluster: LocalCluster, job_id: int, fields: str) -> list[list[str]]:
    done = cluster.run("sacct", "-n", "-P", "-j", str(job_id), "-o", fields)
    return [line.split("|") for line in done.stdout.splitlines()]


def test_a_script_runs_and_is_accounted(local_cluster: LocalCluster, work_dir: Path) -> None:
    """The id is printed, squeue lists it, the output lies beside the script, sacct tells the end."""
    script = work_dir / "hello.sh"
    script.write_text(
        '#!/bin/sh\n#SBATCH -J hello -c 2\necho "$SLURM_JOB_ID $SLURM_JOB_NAME $SLURM_CPUS_PER_TASK"\nexit 3\n'
    )

    submitted = local_cluster.run("sbatch", "hello.sh", cwd=work_dir)

    job_id = int(submitted.stdout.removeprefix("Submitted batch job "))
    local_cluster.wait_jobs_ended()
    assert (work_dir / f"slurm-{job_id}.out").read_text() == f"{job_id} hello 2\n"
    assert accounting(local_cluster, job_id, "JobID,State,ExitCode,AllocCPUS")[0] == [str(job_id), "FAILED", "3:0", "2"]


def test_squeue_shows_what_runs_and_what_waits(local_cluster: LocalCluster, work_dir: Path) -> None:
    """Twelve CPUs are there: a job of twelve runs, the next one waits for them."""
    running = local_cluster.submit("-n", "12", "--wrap", "sleep 60", cwd=work_dir)
    waiting = local_cluster.submit("-n", "12", "--wrap", "true", cwd=work_dir)

    def listed() -> str:
        return local_cluster.run("squeue", "-h", "-o", "%i %t %r", "-S", "i").stdout

    expected = f"{running} R None\n{waiting} PD Resources\n"
    local_cluster.wait_until(lambda: listed() == expected, f"squeue says {expected!r}")
    local_cluster.run("scancel", str(running), str(waiting))
    local_cluster.wait_jobs_ended()
    assert accounting(local_cluster, running, "State")[0][0].startswith("CANCELLED")


def test_each_array_task_writes_its_own_file(local_cluster: LocalCluster, work_dir: Path) -> None:
    job_id = local_cluster.submit("-a", "1-5%2", "-o", "out-%A-%a", "--wrap", "echo $SLURM_ARRAY_TASK_ID", cwd=work_dir)

    local_cluster.wait_jobs_ended()

    written = {path.name: path.read_text() for path in work_dir.iterdir()}
    assert written == {f"out-{job_id}-{task}": f"{task}\n" for task in range(1, 6)}


def test_a_chain_runs_in_order_and_stops_at_a_failure(local_cluster: LocalCluster, work_dir: Path) -> None:
    """The second waits for the first; the third needs success of a job that fails, and never runs."""
    first = local_cluster.submit("--wrap", "sleep 0.3; echo first >> log", cwd=work_dir)
    second = local_cluster.submit("-d", f"afterok:{first}", "--wrap", "echo second >> log; exit 1", cwd=work_dir)
    local_cluster.submit(
        "-d", f"afterok:{second}", "--kill-on-invalid-dep=yes", "--wrap", "echo third >> log", cwd=work_dir
    )

    local_cluster.wait_jobs_ended()

    assert (work_dir / "log").read_text() == "first\nsecond\n"


def test_srun_runs_tasks_on_two_nodes(local_cluster: LocalCluster, work_dir: Path) -> None:
    command = ("sh", "-c", "echo $SLURM_PROCID $SLURMD_NODENAME")

    done = local_cluster.run("srun", "-N2", "--ntasks-per-node", "2", "-l", *command, cwd=work_dir)

    lines = sorted(done.stdout.splitlines())
    assert lines == ["0: 0 n1", "1: 1 n1", "2: 2 n2", "3: 3 n2"]


def test_srun_gets_the_room_that_its_list_of_nodes_names(local_cluster: LocalCluster) -> None:
    command = (
        "srun",
        "-l",
        "-w",
        "n1,n3,n3",
        "-m",
        "arbitrary",
        "sh",
        "-c",
        "echo $SLURMD_NODENAME $SLURM_JOB_CPUS_PER_NODE",
    )

    assert sorted(local_cluster.run(*command).stdout.splitlines()) == ["0: n1 1,2", "1: n3 1,2", "2: n3 1,2"]


def test_a_batch_script_launches_a_step_over_its_nodes(local_cluster: LocalCluster, work_dir: Path) -> None:
    script = "#!/bin/sh\nsrun sh -c 'echo $SLURMD_NODENAME $SLURM_STEP_ID' | sort\n"

    job_id = local_cluster.submit("-N", "3", "--ntasks-per-node", "1", "-o", "out", input=script, cwd=work_dir)

    local_cluster.wait_jobs_ended()
    assert (work_dir / "out").read_text() == "n1 0\nn2 0\nn3 0\n"
    assert [row[0] for row in accounting(local_cluster, job_id, "JobID")] == [
        str(job_id),
        f"{job_id}.batch",
        f"{job_id}.0",
    ]


def test_output_of_a_job_whose_file_cannot_be_written_is_kept(local_cluster: LocalCluster, work_dir: Path) -> None:
    """The folder of the output file is missing: the reason is in `sluice output`."""
    job_id = local_cluster.submit("-o", str(work_dir / "missing" / "out"), "--wrap", "echo hello", cwd=work_dir)

    local_cluster.wait_jobs_ended()

    told = local_cluster.run("sluice", "output", str(job_id)).stdout
    assert f"'{work_dir}/missing' does not exist" in told


def test_explain_tells_the_numbers(local_cluster: LocalCluster, work_dir: Path) -> None:
    job_id = local_cluster.submit("-H", "--wrap", "true", cwd=work_dir)

    told = local_cluster.run("sluice", "explain", str(job_id)).stdout

    local_cluster.run("scancel", str(job_id))
    assert f"job {job_id} (wrap) is pending" in told
    assert "JobHeldUser" in told


def test_tables_and_journal_agree(local_cluster: LocalCluster, work_dir: Path) -> None:
    """After all the jobs of this module."""
    assert "agree" in local_cluster.run("sluice", "verify").stdout


def test_every_pass_made_again_decides_the_same(local_cluster: LocalCluster) -> None:
    """After all the jobs of this module, from the journal of a controller that was in a hurry."""
    told = local_cluster.run("sluice", "replay", "--history").stdout

    assert told.endswith("every start is decided again as it was recorded\n")
