"""bf_resolution: planned starts at whole multiples, so that fewer moments are looked at."""

from __future__ import annotations

import pytest

from sluicectld.scheduler.decide import Pass, decide
from sluicectld.scheduler.memory import make_scene
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster

MINUTES = Policy(backfill_resolution_s=60.0)


def busy(nodes: int, apart_s: float = 1.0) -> Cluster:
    """Every node has a job, and each of them ends a little after the one before."""
    cluster = Cluster(nodes=nodes, now_at=600_000.0)
    for number in range(1, nodes + 1):
        cluster.running((f"n{number}",), ends_in_s=100.0 + number * apart_s)
    return cluster


@pytest.mark.parametrize(("nodes", "exact_s"), [(1, 101), (3, 103)], ids=["on one node", "on several"])
def test_a_planned_start_is_rounded_up(nodes: int, exact_s: int) -> None:
    cluster = busy(4)
    job = cluster.pending(nodes=nodes)

    assert decide(cluster.snapshot()).planned[job.id].at == cluster.now_at + exact_s
    assert decide(cluster.snapshot(), MINUTES).planned[job.id].at == cluster.now_at + 120


def test_a_job_starts_whenever_it_fits() -> None:
    """Only plans are rounded: what is free now is taken now, at any second."""
    cluster = Cluster(nodes=1, now_at=600_007.0)
    job = cluster.pending()

    assert [start.job_id for start in decide(cluster.snapshot(), MINUTES).starts] == [job.id]


def test_a_lower_job_may_run_until_the_rounded_moment() -> None:
    cluster = busy(2)
    cluster.node("n3", cpus=4).partition("batch", ("n1", "n2", "n3"))
    cluster.pending(nodes=3)
    lower = cluster.pending(nodes=1, limit_s=120)

    assert not decide(cluster.snapshot()).starts
    assert [start.job_id for start in decide(cluster.snapshot(), MINUTES).starts] == [lower.id]


def test_fewer_moments_are_looked_at() -> None:
    """Every other node is free first; a job that wants neighbours is tried at each end, or once in a minute."""

    def looks(policy: Policy) -> int:
        cluster = Cluster(nodes=60, now_at=600_000.0)
        for number in range(60):
            place = number * 2 % 59 if number < 59 else 59
            cluster.running((f"n{place + 1}",), ends_in_s=61.0 + 0.5 * number)
        cluster.pending(nodes=40, is_contiguous=True)
        one_pass = Pass(cluster.snapshot(), policy, 0, make_scene(cluster.snapshot(), policy))
        one_pass.run()
        return one_pass.timeline.tracks.looks

    assert looks(MINUTES) < looks(Policy()) / 3


def test_licenses_are_planned_at_multiples_too() -> None:
    cluster = Cluster(nodes=2, now_at=600_000.0).licenses(matlab=1)
    cluster.running(cpus=1, ends_in_s=61, licenses=(("matlab", 1),))
    job = cluster.pending(licenses="matlab")

    assert decide(cluster.snapshot(), MINUTES).planned[job.id].at == cluster.now_at + 120
