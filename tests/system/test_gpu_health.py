"""GPUs that become unusable, on a live cluster: the daemons find a double of NVIDIA's library in place of pynvml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.testing import LocalCluster
from tests.system.nvml_double import Machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.fixture
def cluster(machine: Machine) -> Iterator[LocalCluster]:
    settings = {
        "GresTypes": "gpu",
        "NodeName": "DEFAULT Gres=gpu:2",
        # GPUs are looked at with every health check.
        "HealthCheckProgram": "/bin/true",
        "HealthCheckInterval": "1",
    }
    with LocalCluster(nodes=1, cpus=2, settings=settings, files={"gres.conf": "AutoDetect=nvml\n"}) as running:
        yield running


def state(cluster: LocalCluster) -> str:
    return cluster.run("sinfo", "-h", "-n", "n1", "-o", "%T %E").stdout.strip()


@pytest.mark.parametrize(
    ("ill", "why"),
    [
        ({"recovery_action": 1}, "the driver asks for a reset of the GPU"),
        ({"is_lost": True}, "it does not answer: GPU is lost"),
    ],
    ids=["a reset is needed", "fallen off the bus"],
)
def test_a_gpu_that_falls_ill_takes_its_node_out_until_it_is_well(
    cluster: LocalCluster, machine: Machine, ill: dict[str, Any], why: str
) -> None:
    assert state(cluster) == "idle none"

    machine.set_second(**ill)

    told = f"drained GPU not healthy: GPU 1 (GPU-1): {why}"
    cluster.wait_until(lambda: state(cluster) == told, "n1 is drained")
    machine.set_second()
    cluster.wait_until(lambda: state(cluster) == "idle none", "n1 is back")


def test_an_agent_that_starts_anew_finds_the_gpu_well(cluster: LocalCluster, machine: Machine) -> None:
    """The one before has told that it is ill."""
    machine.set_second(recovery_action=1)
    cluster.wait_until(lambda: state(cluster).startswith("drained GPU"), "n1 is drained")
    cluster.kill_agent("n1")
    machine.set_second()

    cluster.start_agent("n1")

    cluster.wait_until(lambda: state(cluster) == "idle none", "n1 is back")


def test_a_gpu_that_was_ill_when_the_agent_started_counts_when_it_is_well(
    cluster: LocalCluster, machine: Machine
) -> None:
    """Its node is held all the time, and its jobs find both GPUs."""
    cluster.kill_agent("n1")
    machine.set_second(recovery_action=1)
    cluster.start_agent("n1")
    cluster.wait_until(lambda: state(cluster).startswith("drained GPU not healthy: GPU 1 (GPU-1)"), "n1 is drained")

    machine.set_second()

    cluster.wait_until(lambda: state(cluster) == "idle none", "n1 is back")
    done = cluster.run("srun", "--gres=gpu:2", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
    assert done.stdout == "0,1\n"
