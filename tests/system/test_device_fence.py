"""Devices that others have are out of a job's reach; the kernel's own devices stand in for GPUs."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.model.confinement import CgroupSettings
from sluice.testing import LocalCluster
from sluiced.cgroup.detect import fences_devices

#: /dev/zero and /dev/full, which everybody may open.
NUMBERS = (5, 7)


@pytest.fixture(scope="module")
def gpus() -> Iterator[list[str]]:
    if os.geteuid() != 0:
        pytest.skip("needs root to make device nodes")
    if not fences_devices(CgroupSettings(constrain_devices=True)):
        pytest.skip("cgroups fence no devices on this machine")
    with tempfile.TemporaryDirectory(prefix="sluice-fence-") as folder:
        paths = [str(Path(folder, f"nvidia{number}")) for number in range(len(NUMBERS))]
        for path, minor in zip(paths, NUMBERS, strict=True):
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        yield paths


@pytest.fixture(scope="module")
def cluster(gpus: list[str]) -> Iterator[LocalCluster]:
    settings = {"GresTypes": "gpu", "NodeName": f"DEFAULT Gres=gpu:{len(gpus)}"}
    files = {
        "gres.conf": f"Name=gpu File={Path(gpus[0]).parent}/nvidia[0-1]\n",
        "cgroup.conf": "ConstrainDevices=yes\n",
    }
    with LocalCluster(nodes=1, cpus=4, settings=settings, files=files) as cluster:
        yield cluster


def _opener(gpus: list[str]) -> tuple[str, ...]:
    """Return a command that says which of the devices it can open."""
    tries = "; ".join(f"(: <{path}) 2>/dev/null && echo {number}" for number, path in enumerate(gpus))
    return "sh", "-c", f"{tries}; true"


def test_a_job_opens_its_own_device_and_no_other(cluster: LocalCluster, gpus: list[str]) -> None:
    assert cluster.run("srun", "-n1", "--gres=gpu:1", *_opener(gpus)).stdout.split() == ["0"]
    assert cluster.run("srun", "-n1", "--gres=gpu:2", *_opener(gpus)).stdout.split() == ["0", "1"]
    assert cluster.run("srun", "-n1", *_opener(gpus)).stdout.split() == []


def test_tasks_of_a_job_open_each_others_devices(cluster: LocalCluster, gpus: list[str]) -> None:
    ran = cluster.run("srun", "-n2", "-l", "--gpus-per-task=1", *_opener(gpus))

    assert sorted(ran.stdout.splitlines()) == ["0: 0", "0: 1", "1: 0", "1: 1"]


def test_a_task_that_is_bound_to_a_device_opens_no_other(cluster: LocalCluster, gpus: list[str]) -> None:
    ran = cluster.run("srun", "-n2", "-l", "--gres=gpu:2", "--gpu-bind=map_gpu:1,0", *_opener(gpus))

    assert sorted(ran.stdout.splitlines()) == ["0: 1", "1: 0"]


def test_a_fenced_job_counts_its_devices_from_zero(cluster: LocalCluster) -> None:
    holder = cluster.submit("-n1", "--gres=gpu:1", "--wrap", "sleep 600")
    cluster.wait_until(
        lambda: cluster.run("squeue", "-h", "-o", "%T", "-j", str(holder)).stdout == "RUNNING\n", "the other job runs"
    )
    ran = cluster.run("srun", "-n1", "--gres=gpu:1", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES $SLURM_STEP_GPUS")
    cluster.run("scancel", str(holder))

    assert ran.stdout == "0 1\n"
