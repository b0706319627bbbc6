"""--test-only: when and where a job would start."""

import pytest
from msgspec.structs import replace

from sluice.errors import Infeasible
from sluicectld.scheduler.estimate import estimate
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster


def ask(cluster: Cluster, policy: Policy | None = None, begin_at: float | None = None, **request):
    job = replace(cluster.pending(**request), begin_at=begin_at)
    cluster.pending_jobs.pop()
    return estimate(cluster.snapshot(), policy or Policy(), job)


def test_a_job_that_fits_would_start_now():
    cluster = Cluster(nodes=3)

    answer = ask(cluster, nodes=2, ntasks=6)

    assert (answer.start_at, answer.cpu_count, answer.nodes, answer.partition) == (cluster.now_at, 6, "n[1-2]", "batch")


def test_a_job_that_has_to_wait_starts_behind_those_before_it():
    cluster = Cluster(nodes=1).running(ends_in_s=100)
    cluster.pending(ntasks=4, limit_s=50)

    answer = ask(cluster, ntasks=3)

    assert (answer.start_at, answer.cpu_count) == (cluster.now_at + 150, 3)


def test_bounds_and_window_do_not_matter():
    cluster = Cluster(nodes=1).running(ends_in_s=10_000_000)
    for _ in range(5):
        cluster.pending(ntasks=4)

    answer = ask(cluster, Policy(backfill_jobs_max=1, planned_per_shape_max=1), ntasks=4)

    assert answer.start_at >= cluster.now_at + 10_000_000


def test_it_begins_no_earlier_than_asked():
    cluster = Cluster()

    assert ask(cluster, begin_at=cluster.now_at + 60).start_at == cluster.now_at + 60


def test_a_partition_that_is_down_is_taken_as_up():
    cluster = Cluster().partition("batch", state="DOWN")

    assert ask(cluster).start_at == cluster.now_at


def test_what_can_not_run_is_refused_with_its_reason():
    with pytest.raises(Infeasible, match="9 nodes, partition batch has 2"):
        ask(Cluster(nodes=2), nodes=9)
