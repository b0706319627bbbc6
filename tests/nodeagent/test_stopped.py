"""Step daemons that were stopped when their steps are to end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from sluiced import process_id
from sluiced.processes import DAEMON_DIED
from tests.nodeagent.conftest import CONFIG, Cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def test_a_stopped_step_daemon_does_not_keep_its_job_from_ending(make_cluster: Callable[..., Cluster]) -> None:
    """The task stops its parent; what it started goes all the same, and the step is told as lost."""
    cluster = make_cluster(replace(CONFIG, unkillable_timeout_s=0.1))
    cluster.start_agent()
    job_id = cluster.submit("sleep 300 & echo $! > pid; sync pid; kill -STOP $PPID; wait")
    path = cluster.work / "pid"
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    child = int(path.read_text())

    cluster.end(job_id, kill_wait_s=0.1)

    result = cluster.result(job_id)
    assert (result.reason_text, result.is_node_clean) == (DAEMON_DIED, True)
    assert process_id.stat_fields(child)[:1] in ([], [b"Z"])


def test_a_stopped_daemon_is_found_by_the_next_agent(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(replace(CONFIG, unkillable_timeout_s=0.1))
    cluster.start_agent()
    job_id = cluster.submit("touch up; kill -STOP $PPID; exec sleep 300")
    wait_until((cluster.work / "up").exists)
    cluster.kill_agent()
    cluster.start_agent()

    cluster.end(job_id, kill_wait_s=0.1)

    assert cluster.result(job_id).reason_text == DAEMON_DIED
