"""Emulated nodes: timers for jobs, batched reports, nothing lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluice.wire.messages import LaunchJob
from sluiced.emulated import read_script
from tests.nodeagent.conftest import Cluster, make_job
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(b"#!/bin/sh\ntrue\n", (0.0, 0), id="at once"),
        pytest.param(b"#!/bin/sh\n#SLUICE runtime=2.5\nreal work\n", (2.5, 0), id="a runtime"),
        pytest.param(b"#!/bin/sh\n#SLUICE runtime=1 exit=3\n", (1.0, 3), id="a runtime and an exit code"),
        pytest.param(b"#!/bin/sh\n#SBATCH -n1\nsleep 30\n", (30.0, 0), id="a lone sleep"),
        pytest.param(b"#!/bin/sh\nsleep 30\necho done\n", (0.0, 0), id="a sleep among others"),
    ],
)
def test_a_script_says_how_long_it_runs(script: bytes, expected: tuple[float, int]) -> None:
    assert read_script(script) == expected


@pytest.mark.system
def test_a_hundred_nodes_end_thousands_of_jobs(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    cluster.start_agent("-N", "e[1-100]", "--emulate")
    wait_until(lambda: len(cluster.controller.registrations) == 100)

    for first in range(0, 3000, 500):
        orders = tuple(_launch(cluster, job_id) for job_id in range(first + 1, first + 501))
        cluster.controller.order(launches=orders)

    wait_until(lambda: len(cluster.controller.results) == 3000, 20)
    assert sorted(result.job_id for result in cluster.controller.results) == list(range(1, 3001))
    assert all(result.is_node_clean and result.exit_code == 2 for result in cluster.controller.results)
    assert cluster.controller.reports < 300


@pytest.mark.system
def test_results_wait_for_the_controller(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    cluster.start_agent("-N", "e[1-4]", "--emulate")
    cluster.controller.is_mute = True
    cluster.controller.order(launches=(_launch(cluster, 1),))
    cluster.controller.hang_up()
    cluster.controller.is_mute = False

    cluster.controller.listen()

    assert cluster.result(1).exit_code == 2
    last = cluster.controller.registrations[-4:]
    assert [len(report.steps) for report in last] == [0, 1, 0, 0]


def _launch(cluster: Cluster, job_id: int) -> LaunchJob:
    job = make_job(job_id, cluster.work)
    return LaunchJob(node=f"e{1 + job_id % 100}", epoch=1, job=job, script=b"#!/bin/sh\n#SLUICE runtime=0 exit=2\n")
