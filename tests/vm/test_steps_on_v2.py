"""Steps that an srun launches, where the machine has cgroup v2 and tasks are born in their groups."""

from __future__ import annotations

from tests.nodeagent.conftest import cluster, make_cluster
from tests.nodeagent.test_steps import test_every_task_has_its_streams_and_its_end

__all__ = [
    "cluster",
    "make_cluster",
    "test_every_task_has_its_streams_and_its_end",
]
