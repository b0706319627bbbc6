"""Tasks on their CPUs, with real daemons on one node that counts this machine's CPUs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.testing import LocalCluster

CPUS = sorted(os.sched_getaffinity(0))

pytestmark = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs to bind to")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    settings = {"TaskPlugin": "task/affinity,task/cgroup"}
    with LocalCluster(nodes=1, cpus=len(CPUS), settings=settings) as cluster:
        yield cluster


def _allowed(text: str) -> list[str]:
    return [line.split()[1] for line in text.splitlines() if line.startswith("Cpus_allowed_list")]


SHOW = ("grep", "Cpus_allowed_list", "/proc/self/status")


def test_each_task_runs_on_its_own_cpu_and_says_so(cluster: LocalCluster) -> None:
    ran = cluster.run("srun", "-n2", "-l", "--cpu-bind=verbose,threads", *SHOW)

    assert sorted(line.split()[2] for line in ran.stdout.splitlines()) == ["0", "1"]
    lines = sorted(re.sub(r"\[\d+\]", "[PID]", line) for line in ran.stderr.splitlines())
    assert lines == [
        "0: cpu-bind=MASK - n1, task  0  0 [PID]: mask 0x1 set",
        "1: cpu-bind=MASK - n1, task  1  1 [PID]: mask 0x2 set",
    ]


def test_a_batch_script_and_its_unbound_steps_have_the_jobs_cpus(cluster: LocalCluster) -> None:
    script = f"{' '.join(SHOW)}; srun --cpu-bind=none {' '.join(SHOW)}"

    cluster.run("sbatch", "-W", "-n1", "-o", "batch.out", f"--wrap={script}")

    assert _allowed(Path(cluster.folder, "batch.out").read_text()) == ["0", "0"]


def test_a_map_is_followed_and_told_to_the_task(cluster: LocalCluster) -> None:
    ran = cluster.run("srun", "-n2", "--cpu-bind=map_cpu:1,0", "sh", "-c", " ".join(SHOW) + "; env | grep SLURM_CPU_BI")

    assert sorted(_allowed(ran.stdout)) == ["0", "1"]
    variables = set(line for line in ran.stdout.splitlines() if line.startswith("SLURM_"))
    assert variables == {
        "SLURM_CPU_BIND=quiet,map_cpu:1,0",
        "SLURM_CPU_BIND_LIST=1,0",
        "SLURM_CPU_BIND_TYPE=map_cpu:",
        "SLURM_CPU_BIND_VERBOSE=quiet",
    }


def test_a_map_outside_of_the_grant_does_not_run(cluster: LocalCluster) -> None:
    ran = cluster.run("srun", "-n1", "--cpu-bind=map_cpu:1", "true", check=False)

    assert ran.returncode != 0
    # As many digits as the machine has CPUs for.
    assert re.search(r"CPU binding outside of job step allocation, allocated CPUs are: 0x0*1\.", ran.stderr)


def test_a_step_inside_of_a_bound_task_is_not_bound_to_that_tasks_masks(cluster: LocalCluster) -> None:
    inner = "srun --overlap -n2 --cpu-bind=threads " + " ".join(SHOW)
    ran = cluster.run("srun", "-n2", "sh", "-c", f"test $SLURM_PROCID = 1 || {inner}")

    assert sorted(_allowed(ran.stdout)) == ["0", "1"]
    assert ran.stderr == ""


def test_memory_is_bound_to_the_domain_that_there_is(cluster: LocalCluster) -> None:
    ran = cluster.run("srun", "-n1", "--mem-bind=verbose,map_mem:0", "sh", "-c", "env | grep MEM_BIND")

    assert sorted(ran.stdout.splitlines()) == [
        "SLURM_MEM_BIND=verbose,map_mem:0",
        "SLURM_MEM_BIND_LIST=0",
        "SLURM_MEM_BIND_TYPE=map_mem:",
        "SLURM_MEM_BIND_VERBOSE=verbose",
    ]
    assert re.search(r"mem-bind=MAP - n1, task  0  0 \[\d+\]: mask 0x1 set$", ran.stderr, re.MULTILINE)
