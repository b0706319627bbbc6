"""The agent's own tests of enforcement and of ending jobs, where the machine has cgroup v2."""

from __future__ import annotations

from tests.nodeagent.test_cgroups import *  # noqa: F403
from tests.nodeagent.test_ending import (
    test_a_job_that_ignores_term_is_killed,
    test_a_stopped_job_can_still_end,
    test_what_a_script_leaves_behind_ends_with_it,
)

__all__ = [
    "test_a_job_that_ignores_term_is_killed",
    "test_a_stopped_job_can_still_end",
    "test_what_a_script_leaves_behind_ends_with_it",
]
