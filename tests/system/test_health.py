"""Nodes that go out of service and come back by themselves, on a live cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.testing import LocalCluster


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a check that fails on the nodes for which there is a file, with its words."""
    folder = tmp_path_factory.mktemp("site")
    check = folder / "check"
    check.write_text(f"#!/bin/sh\n! cat {folder}/$SLURMD_NODENAME 2> /dev/null\n")
    check.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def cluster(site: Path) -> Iterator[LocalCluster]:
    settings = {"HealthCheckProgram": str(site / "check"), "HealthCheckInterval": "1", "SluiceFailingUsers": "2"}
    with LocalCluster(nodes=2, cpus=4, settings=settings) as running:
        yield running


def state(cluster: LocalCluster, node: str) -> str:
    return cluster.run("sinfo", "-h", "-n", node, "-o", "%T %E").stdout.strip()


def test_a_sick_node_is_drained_and_comes_back(cluster: LocalCluster, site: Path) -> None:
    (site / "n2").write_text("ECC errors\n")
    sick = f"drained Health check failed: {site}/check: exit 1: ECC errors"
    cluster.wait_until(lambda: state(cluster, "n2") == sick, "n2 is drained")
    assert state(cluster, "n1") == "idle none"

    (site / "n2").unlink()

    cluster.wait_until(lambda: state(cluster, "n2") == "idle none", "n2 is back")


def test_a_node_that_an_administrator_drained_stays_so(cluster: LocalCluster, site: Path) -> None:
    (site / "n2").write_text("ECC errors\n")
    cluster.wait_until(lambda: state(cluster, "n2").startswith("drained"), "n2 is drained")
    cluster.run("scontrol", "update", "NodeName=n2", "State=DRAIN", "Reason=new memory on Monday")

    (site / "n2").unlink()
    cluster.kill_agent("n2")
    cluster.start_agent("n2")
    cluster.wait_ready()

    cluster.wait_until(lambda: state(cluster, "n2") == "drained new memory on Monday", "n2 is the administrator's")
    cluster.run("scontrol", "update", "NodeName=n2", "State=RESUME")


def test_a_node_on_which_jobs_of_two_users_fail_is_set_aside(cluster: LocalCluster, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for uid in ("0", "65534"):
        options = ("--uid", uid, "-w", "n1", "-D", "/tmp", "-o", "/dev/null")
        cluster.submit(*options, "--wrap", "exit 127")
        cluster.wait_jobs_ended()

    cluster.wait_until(lambda: state(cluster, "n1").startswith("drained"), "n1 is set aside")
    told = state(cluster, "n1")
    assert told.startswith("drained Set aside: jobs of 2 users failed in a row: job ")
    assert "of nobody exit 127 after 0 s" in told
