"""What users and administrators see of enforced limits: from cgroup.conf to sacct, scontrol and sluice explain."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sluice.model.confinement import CgroupSettings
from sluice.testing import LocalCluster
from sluiced.cgroup import detect

_MISSING = detect.unenforced(CgroupSettings())

pytestmark = pytest.mark.skipif(bool(_MISSING), reason=f"needs root and cgroups: {_MISSING}")


@contextmanager
def cluster_with(cgroup_conf: str) -> Iterator[LocalCluster]:
    with LocalCluster(nodes=1, cpus=2) as cluster:
        Path(cluster.conf_path).with_name("cgroup.conf").write_text(cgroup_conf)
        cluster.run("scontrol", "reconfigure")
        yield cluster


def test_a_job_out_of_memory_is_told_with_host_limit_peak_and_victim() -> None:
    with cluster_with("ConstrainRAMSpace=yes\nConstrainSwapSpace=yes\n") as cluster:
        node = cluster.run("sinfo", "-h", "-o", "%n").stdout.strip()
        neighbour = cluster.submit("--mem=60M", "--wrap", "while ! test -e stop; do sleep 0.1; done")
        job_id = cluster.submit("--mem=50M", "--wrap", f"{sys.executable} -c 'x = bytearray(200 << 20)'")
        cluster.wait_until(
            lambda: cluster.run("squeue", "-h", "-t", "all", "-j", str(job_id), "-o", "%t").stdout == "OOM\n",
            "the job is out of memory",
        )

        shown = cluster.run("sacct", "-n", "-P", "-j", str(job_id), "-o", "State,ExitCode").stdout
        assert shown.splitlines() == ["OUT_OF_MEMORY|0:125"] * 2
        story = f"out of memory on {node}: limit 50 MiB, peak "
        assert story in cluster.run("sluice", "explain", str(job_id)).stdout
        assert story in Path(cluster.folder, f"slurm-{job_id}.out").read_text()
        assert cluster.run("squeue", "-h", "-j", str(neighbour), "-o", "%t").stdout == "R\n"
        Path(cluster.folder, "stop").touch()
        cluster.wait_jobs_ended()
        assert cluster.run("sacct", "-X", "-n", "-P", "-j", str(neighbour), "-o", "State").stdout == "COMPLETED\n"


def test_a_script_that_fails_for_its_steps_memory_is_out_of_memory_too() -> None:
    """Through a shell, whose exit code 137 is all that srun sees of it."""
    with cluster_with("ConstrainRAMSpace=yes\nConstrainSwapSpace=yes\n") as cluster:
        hog = f"{sys.executable} -c 'x = bytearray(200 << 20)'; exit $?"
        job_id = cluster.submit("--mem=50M", "--wrap", f"srun sh -c {shlex.quote(hog)}")
        cluster.wait_jobs_ended()

        shown = cluster.run("sacct", "-n", "-P", "-j", str(job_id), "-o", "JobID,State,ExitCode").stdout.splitlines()
        assert [shown[0], shown[2]] == [f"{each}|OUT_OF_MEMORY|0:125" for each in (job_id, f"{job_id}.0")]
        assert "out of memory on n1: limit 50 MiB, peak " in cluster.run("sluice", "explain", str(job_id)).stdout


def test_an_srun_of_its_own_out_of_memory_is_explained_too() -> None:
    with cluster_with("ConstrainRAMSpace=yes\nConstrainSwapSpace=yes\n") as cluster:
        hog = (sys.executable, "-c", "x = bytearray(200 << 20)")
        cluster.run("srun", "-J", "hog", "--mem=50M", *hog, check=False)
        job_id = cluster.run("squeue", "-h", "-t", "all", "-n", "hog", "-o", "%i").stdout.strip()

        cluster.wait_jobs_ended()
        told = cluster.run("sluice", "explain", job_id).stdout
        assert "OutOfMemory: out of memory on n1: limit 50 MiB, peak " in told


def test_a_node_that_enforces_all_says_nothing_and_one_that_does_not_says_what() -> None:
    with LocalCluster(nodes=1, cpus=2) as cluster:
        assert "Unenforced=" not in cluster.run("scontrol", "show", "node").stdout

        Path(cluster.conf_path).with_name("cgroup.conf").write_text("CgroupPlugin=disabled\n")
        cluster.run("scontrol", "reconfigure")

        cluster.wait_until(
            lambda: (
                "Unenforced=cgroups: memory, swap, cores, devices, processes, freezing: CgroupPlugin=disabled\n"
                in cluster.run("scontrol", "show", "node").stdout
            ),
            "the node says what it does not enforce",
        )
