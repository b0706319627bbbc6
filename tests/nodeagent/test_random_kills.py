"""Agents killed at random moments: whatever the moment, each job runs once and has one result."""

from __future__ import annotations

import random
import time

import pytest

from sluice.model.job import Job
from tests.nodeagent.conftest import Cluster, make_job
from tests.waiting import wait_until

pytestmark = pytest.mark.system

_KILLS = 4
_JOBS_A_LIFE = 5
#: Around what a launch takes on a busy machine, so that the kill hits every stage of it.
_LIFE_MAX_S = 0.4


@pytest.mark.parametrize("seed", range(3))
def test_each_job_runs_once_wherever_the_agent_is_killed(cluster: Cluster, seed: int) -> None:
    rng = random.Random(seed)
    jobs: dict[int, Job] = {}
    for life in range(_KILLS):
        for number in range(_JOBS_A_LIFE):
            job = make_job(life * _JOBS_A_LIFE + number + 1, cluster.work, std_out="ran-%j", open_mode="a")
            jobs[job.id] = job
            cluster.launch(job, "#!/bin/sh\necho ran\n")
        moment = time.monotonic() + rng.uniform(0, _LIFE_MAX_S)
        wait_until(lambda moment=moment: time.monotonic() >= moment)  # type: ignore[misc]
        cluster.kill_agent()
        cluster.start_agent()
        _launch_what_is_missing(cluster, jobs)

    for job_id in jobs:
        assert cluster.result(job_id).exit_code == 0, f"seed {seed}"
    assert {job_id: cluster.read(f"ran-{job_id}") for job_id in jobs} == dict.fromkeys(jobs, "ran\n")
    told = {(result.job_id, result.started_at) for result in cluster.controller.results}
    assert len(told) == len(jobs), "a repeated result is the same one"
    wait_until(lambda: not list(cluster.spool.glob("jobs/*")) and not list(cluster.spool.glob("forgotten/*")))


def _launch_what_is_missing(cluster: Cluster, jobs: dict[int, Job]) -> None:
    """As the controller does: what it believes to run, and the registration does not list, was never received."""
    present = {step.job_id for step in cluster.controller.registrations[-1].steps}
    ended = {result.job_id for result in cluster.controller.results}
    for job_id in sorted(set(jobs) - present - ended):
        cluster.launch(jobs[job_id], "#!/bin/sh\necho ran\n")
