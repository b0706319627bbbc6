"""A step's own time limit: kept by its step daemons, and standing still while the step does."""

from __future__ import annotations

import re
import signal

import pytest

from sluiced.steps.time_limit import TimeLimit
from tests.nodeagent.conftest import Cluster
from tests.nodeagent.fake_srun import Srun


def test_the_time_is_over_after_the_limit() -> None:
    limit = TimeLimit(60, 100.0)

    assert (limit.wait_s(130.0), limit.is_over(159.0)) == (30.0, False)
    assert limit.is_over(160.0)


def test_a_suspended_step_uses_up_none_of_its_time() -> None:
    limit = TimeLimit(60, 100.0)
    limit.suspend(150.0)
    limit.suspend(170.0)
    assert (limit.wait_s(1000.0), limit.is_over(1000.0)) == (None, False)
    limit.resume(1000.0)
    limit.resume(1005.0)

    assert (limit.wait_s(1000.0), limit.is_over(1009.0)) == (10.0, False)
    assert limit.is_over(1010.0)


def test_a_step_without_a_limit_goes_on_for_ever() -> None:
    limit = TimeLimit(None, 100.0)
    limit.suspend(150.0)
    limit.resume(160.0)

    assert (limit.wait_s(1e9), limit.is_over(1e9)) == (None, False)


@pytest.mark.system
def test_a_step_ends_when_its_own_time_is_over(cluster: Cluster) -> None:
    srun = Srun(cluster, ["sleep", "300"], limit_s=1).wait_done()

    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
    line = rf"slurmstepd-n1: error: \*\*\* STEP 1.0 ON n1 CANCELLED AT {when} DUE TO TIME LIMIT \*\*\*"
    assert any(re.fullmatch(line, told) for told in srun.talk)
    assert cluster.result(1, 0).exit_signal == signal.SIGTERM
