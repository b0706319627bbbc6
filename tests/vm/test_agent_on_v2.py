"""The agent's own tests of enforcement and of ending jobs, where the machine has cgroup v2."""

from __future__ import annotations

from tests.nodeagent.test_cgroups import *  # noqa: F403
