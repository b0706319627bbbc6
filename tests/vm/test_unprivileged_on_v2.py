"""An agent without privilege and without a group that was delegated to it, where the machine has cgroup v2."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodeagent.conftest import Cluster
from tests.nodeagent.test_agent_without_root import (
    UID,
    test_its_own_users_job_runs,
    test_its_suspended_jobs_are_stopped_and_go_on,
)

__all__ = ["test_its_own_users_job_runs", "test_its_suspended_jobs_are_stopped_and_go_on"]


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="sluiced-"))
    folder.chmod(0o755)
    made = Cluster(folder)
    for path in (made.folder, made.work, made.folder / "sluice.key"):
        os.chown(path, UID, UID)
    made.start_agent(uid=UID)
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_it_says_what_it_cannot_enforce_and_why(own_cluster: Cluster) -> None:
    assert own_cluster.controller.registrations[-1].inventory.unenforced == (
        "cgroups: memory, cores, processes, swap, devices, freezing: "
        "not permitted (the agent does not run as root, and / is not delegated to it)"
    )
