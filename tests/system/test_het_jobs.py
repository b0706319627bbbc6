"""A heterogeneous job with real processes: one script, several allocations, all told to it."""

from pathlib import Path

import pytest

from sluice.testing import LocalCluster

SCRIPT = """#!/bin/sh
#SBATCH -J pair -n1
#SBATCH hetjob
#SBATCH -n2 -c2
echo "$SLURM_JOB_ID $SLURM_HET_SIZE $SLURM_JOB_ID_HET_GROUP_0 $SLURM_JOB_ID_HET_GROUP_1 $SLURM_NTASKS_HET_GROUP_1"
srun --het-group=1 sh -c 'echo "step $SLURM_JOB_ID $SLURM_NTASKS $SLURM_CPUS_PER_TASK $SLURM_HET_SIZE"' | sort
srun sh -c 'echo "step $SLURM_JOB_ID $SLURM_NTASKS"'
exit 3
"""


@pytest.fixture
def work_dir(tmp_path: Path, local_cluster: LocalCluster) -> Path:
    local_cluster.wait_jobs_ended()
    return tmp_path


def test_a_script_uses_all_components_of_its_job(local_cluster: LocalCluster, work_dir: Path) -> None:
    (work_dir / "pair.sh").write_text(SCRIPT)
    first = local_cluster.submit("pair.sh", cwd=work_dir)
    local_cluster.wait_jobs_ended()

    lines = (work_dir / f"slurm-{first}.out").read_text().splitlines()
    assert lines[0] == f"{first} 2 {first} {first + 1} 2"
    assert lines[1:3] == [f"step {first + 1} 2 2 2"] * 2
    assert lines[3:] == [f"step {first} 1"]
    told = local_cluster.run("sacct", "-n", "-X", "-P", "-j", str(first), "-o", "JobID,State,ExitCode,AllocCPUS").stdout
    assert told.splitlines() == [f"{first}+0|FAILED|3:0|1", f"{first}+1|FAILED|3:0|4"]


def test_sbatch_waits_for_all_components(local_cluster: LocalCluster, work_dir: Path) -> None:
    done = local_cluster.run("sbatch", "--wait", "-n1", ":", "-n2", "--wrap", "exit 4", cwd=work_dir, check=False)

    assert done.returncode == 4


def test_an_interactive_job_has_all_components_and_gives_them_back(local_cluster: LocalCluster, work_dir: Path) -> None:
    done = local_cluster.run(
        *("salloc", "-n1", ":", "-n3", "sh", "-c"),
        'squeue -h -o "%i %t" -S i -j $SLURM_JOB_ID; srun --het-group=1 -l true && echo "$SLURM_HET_SIZE"',
        cwd=work_dir,
    )

    first = int(done.stderr.split("Granted job allocation ")[1].split()[0])
    assert done.stdout.splitlines() == [f"{first}+0 R", f"{first}+1 R", "2"]
    local_cluster.wait_jobs_ended()


def test_a_component_that_does_not_fit_keeps_the_others_waiting(local_cluster: LocalCluster, work_dir: Path) -> None:
    blocker = local_cluster.submit("-n", "12", "--wrap", "sleep 60", cwd=work_dir)
    first = local_cluster.submit("-n1", ":", "-n", "12", "--wrap", "true", cwd=work_dir)

    def listed() -> str:
        return local_cluster.run("squeue", "-h", "-o", "%i %t", "-S", "i", "-j", str(first)).stdout

    expected = f"{first}+0 PD\n{first}+1 PD\n"
    local_cluster.wait_until(lambda: listed() == expected, f"squeue says {expected!r}")
    assert local_cluster.run("scancel", f"{first}+1", check=False).returncode == 60
    local_cluster.run("scancel", str(first), str(blocker))
    local_cluster.wait_jobs_ended()


def test_a_step_over_all_components_is_one(local_cluster: LocalCluster, work_dir: Path) -> None:
    """Ranks go on from component to component, the variables describe the whole, the step has one number."""
    shown = "echo $SLURM_PROCID $SLURM_NODEID $SLURM_LOCALID $SLURM_NTASKS $SLURM_JOB_ID $SLURM_STEP_ID"
    done = local_cluster.run(
        *("salloc", "-n1", ":", "-n2", "sh", "-c"),
        f"srun --het-group=0,1 -l sh -c '{shown}'; srun -l sh -c 'echo first' : sh -c 'echo second $SLURM_PROCID'",
        cwd=work_dir,
    )

    first = int(done.stderr.split("Granted job allocation ")[1].split()[0])
    ranks = [(0, 0, 0), (1, 1, 0), (2, 1, 1)]
    expected = [f"{rank}: {rank} {node} {local} 3 {first} 0" for rank, node, local in ranks]
    assert sorted(done.stdout.splitlines()[:3]) == expected
    assert sorted(done.stdout.splitlines()[3:]) == ["0: first", "1: second 1", "2: second 2"]


def test_srun_gets_an_allocation_of_several_components(local_cluster: LocalCluster, work_dir: Path) -> None:
    done = local_cluster.run("srun", "-n1", "-l", "echo", "a", ":", "-n2", "echo", "b", cwd=work_dir)

    assert sorted(done.stdout.splitlines()) == ["0: a", "1: b", "2: b"]
    local_cluster.wait_jobs_ended()


def test_one_bad_exit_ends_the_step_in_all_components(local_cluster: LocalCluster, work_dir: Path) -> None:
    done = local_cluster.run(
        *("srun", "-K", "-n1", "sh", "-c", "exit 3", ":", "-n2", "sleep", "600"), cwd=work_dir, check=False
    )

    assert done.returncode == 143
    assert "task 0: Exited with exit code 3" in done.stderr
    local_cluster.wait_jobs_ended()
