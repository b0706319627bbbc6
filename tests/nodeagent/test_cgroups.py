"""What control groups enforce, on a machine with cgroup v1 and privilege."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from sluiced.cgroup import detect, v1
from tests.nodeagent.conftest import CONFIG, Cluster
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(detect.unenforced()), reason=f"needs cgroup v1: {detect.unenforced()}"),
]


def _constrained(make_cluster: Callable[..., Cluster], **fields: bool) -> Cluster:
    cluster = make_cluster(replace(CONFIG, cluster=f"test{os.getpid()}", **fields))
    cluster.start_agent()
    return cluster


def _leftovers() -> list[Path]:
    return [path for name in v1.CONTROLLERS for path in Path(v1.ROOT, name).glob(f"sluice_test{os.getpid()}_*")]


def test_a_job_that_takes_too_much_memory_is_killed(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster, constrain_memory=True, constrain_swap=True)

    result = cluster.run('exec python3 -c "x = bytearray(300_000_000)"')

    assert (result.reason, result.exit_code, result.exit_signal) == ("OutOfMemory", 0, 125)
    assert cluster.read() == (
        "slurmstepd-n1: error: Detected 1 oom_kill event in StepId=1.batch. "
        "Some of the step tasks have been OOM Killed.\n"
    )
    assert _leftovers() == []


def test_a_job_runs_on_its_own_cpus(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster, constrain_cores=True)

    cluster.run("grep Cpus_allowed_list /proc/self/status")

    assert cluster.read().split() == ["Cpus_allowed_list:", "0"]
    assert _leftovers() == []


def test_what_forks_faster_than_it_is_killed_ends_all_the_same(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _constrained(make_cluster)
    # Each process replaces itself by a child with another pid, for ever, deaf to TERM.
    script = (
        "trap '' TERM\nhop() { if test -e stop; then exit; fi; hop & }\nhop\nhop\ntouch ready\n"
        "while ! test -e stop; do :; done"
    )
    job_id = cluster.submit(script)
    wait_until((cluster.work / "ready").exists)

    cluster.end(job_id, kill_wait_s=0.2)

    try:
        assert cluster.result(job_id).exit_signal == signal.SIGKILL
    finally:
        (cluster.work / "stop").touch()
    assert _leftovers() == []
