"""Generic resources with real daemons; device nodes made for the test stand in for GPUs, which no machine here has."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.testing import LocalCluster

SHOW = ("sh", "-c", "echo $SLURM_PROCID $CUDA_VISIBLE_DEVICES $SLURM_STEP_GPUS $SLURM_GPUS_ON_NODE")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    if os.geteuid() != 0:
        pytest.skip("needs root to make device nodes")
    with tempfile.TemporaryDirectory(prefix="sluice-devices-") as folder:
        for number in range(4):
            os.mknod(Path(folder, f"nvidia{number}"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        gres_conf = (
            f"Name=gpu Type=a100 File={folder}/nvidia[0-1] Cores=0-1\n"
            f"Name=gpu Type=h100 File={folder}/nvidia[2-3] Cores=2-3 Flags=nvidia_gpu_env\n"
            "Name=tokens Count=5 Flags=CountOnly\n"
        )
        settings = {"GresTypes": "gpu,tokens", "NodeName": "DEFAULT Gres=gpu:a100:2,gpu:h100:2,tokens:5"}
        with LocalCluster(nodes=1, cpus=4, settings=settings, files={"gres.conf": gres_conf}) as cluster:
            yield cluster


def _lines(text: str) -> list[str]:
    return sorted(text.splitlines())


def test_a_job_is_told_its_gpus(cluster: LocalCluster) -> None:
    script = "#!/bin/sh\necho $SLURM_JOB_GPUS $CUDA_VISIBLE_DEVICES ${ROCR_VISIBLE_DEVICES-unset} $SLURM_GPUS_ON_NODE\n"
    cluster.run("sbatch", "-W", "-o", "job.out", "--gres=gpu:h100:2", input=script)

    assert Path(cluster.folder, "job.out").read_text() == "2,3 2,3 unset 2\n"


def test_each_task_has_its_own_gpu_where_that_is_asked(cluster: LocalCluster) -> None:
    ran = cluster.run("srun", "-n3", "--gpus-per-task=1", *SHOW)

    assert [line.split()[0] for line in _lines(ran.stdout)] == ["0", "1", "2"]
    assert sorted(line.split()[1] for line in ran.stdout.splitlines()) == ["0", "1", "2"]
    assert {line.split()[2] for line in ran.stdout.splitlines()} == {"0,1,2"}


def test_a_step_takes_of_the_jobs_gpus_what_it_asks_for(cluster: LocalCluster) -> None:
    script = "\n".join(
        [
            "#!/bin/sh",
            f"srun -n1 --gres=gpu:1 {SHOW[0]} {SHOW[1]} '{SHOW[2]}'",
            f"srun -n1 {SHOW[0]} {SHOW[1]} '{SHOW[2]}'",
            f"srun -n1 --gres=none {SHOW[0]} {SHOW[1]} '{SHOW[2]}'",
            f"srun -n2 --gpu-bind=map_gpu:1,0 {SHOW[0]} {SHOW[1]} '{SHOW[2]}' | sort",
        ]
    )
    cluster.run("sbatch", "-W", "-n2", "-o", "steps.out", "-e", "steps.err", "--gres=gpu:a100:2", input=script)

    assert Path(cluster.folder, "steps.err").read_text() == ""
    assert Path(cluster.folder, "steps.out").read_text().splitlines() == [
        "0 0 0 1",
        "0 0,1 0,1 2",
        "0 0",
        "0 1 0,1 2",
        "1 0 0,1 2",
    ]


def test_more_than_the_step_has_is_refused_by_name(cluster: LocalCluster) -> None:
    ran = cluster.run("srun", "-n1", "--gres=gpu:2", "--gpu-bind=map_gpu:3", "true", check=False)

    assert ran.returncode != 0
    assert "the step has 0 to 1" in ran.stderr


def test_a_verbose_srun_prints_who_has_what(cluster: LocalCluster) -> None:
    ran = cluster.run("srun", "-v", "-n2", "--gpus-per-task=1", "true")

    table = [line for line in ran.stderr.splitlines() if re.match(r"srun: n1: task", line)]
    assert len(table) == 2
    assert all(re.search(r": cpus .*, gpus \d \(CUDA_VISIBLE_DEVICES=\d", line) for line in table)


def test_what_is_only_counted_is_counted(cluster: LocalCluster) -> None:
    ran = cluster.run("srun", "-n1", "--gres=tokens:6", "true", check=False)
    assert ran.returncode != 0

    cluster.run("srun", "-n1", "--gres=tokens:5", "true")


def test_devices_that_come_with_a_new_configuration_are_there_at_once(cluster: LocalCluster) -> None:
    """The agent reads its lines of gres.conf anew and registers again; a running job is left alone."""
    conf = Path(cluster.folder, "gres.conf")
    before = conf.read_text()
    try:
        conf.write_text(before.replace("Flags=nvidia_gpu_env", "Flags=amd_gpu_env"))
        cluster.run("scontrol", "reconfigure")

        def told() -> str:
            return cluster.run("srun", "--gres=gpu:h100:1", "sh", "-c", "echo ${ROCR_VISIBLE_DEVICES-unset}").stdout

        cluster.wait_until(lambda: told() == "2\n", "the agent has read gres.conf again")
        assert cluster.run("sinfo", "-h", "-o", "%T").stdout == "idle\n"
    finally:
        conf.write_text(before)
        cluster.run("scontrol", "reconfigure")
