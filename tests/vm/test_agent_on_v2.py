"""The agent's own tests of enforcement and of ending jobs, where the machine has cgroup v2."""

from __future__ import annotations

from tests.nodeagent.test_cgroups import *  # noqa: F403
from tests.nodeagent.test_ending import (
    test_a_job_that_ignores_term_is_killed,
    test_a_stopped_job_can_still_end,
    test_what_a_script_leaves_behind_ends_with_it,
)
from tests.nodeagent.test_extern import (
    contained,
    login,
    test_an_adopted_login_is_in_the_jobs_group_accounted_and_ended_with_it,
    test_guests_of_a_dead_step_daemon_are_killed,
    test_guests_stand_still_with_a_suspended_job_and_hear_no_other_signal,
    test_one_that_ignores_term_is_killed_after_the_wait,
)

__all__ = [
    "contained",
    "login",
    "test_a_job_that_ignores_term_is_killed",
    "test_a_stopped_job_can_still_end",
    "test_an_adopted_login_is_in_the_jobs_group_accounted_and_ended_with_it",
    "test_guests_of_a_dead_step_daemon_are_killed",
    "test_guests_stand_still_with_a_suspended_job_and_hear_no_other_signal",
    "test_one_that_ignores_term_is_killed_after_the_wait",
    "test_what_a_script_leaves_behind_ends_with_it",
]
