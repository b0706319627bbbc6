"""The search for the cheapest change, and the requests that a refusal suggests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import GresRequest
from sluicectld.scheduler.change import Ground
from sluicectld.scheduler.changes import CHANGES
from sluicectld.scheduler.cheapest import Candidate, Search, find_first, find_first_of_some
from sluicectld.scheduler.feasible import check_request
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster, make_spec

GROUND = Ground(now_at=0.0, node_memory_mib=4000)


@given(st.integers(0, 50), st.integers(0, 60))
def test_the_first_place_that_holds_is_found(count, first):
    """find_first(n, x >= k) is k if there is one."""
    assert find_first(count, lambda place: place >= first) == (first if first < count else None)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 80))
def test_the_first_place_is_found_although_the_last_ones_do_not_hold(first, more, count):
    """find_first_of_some(n, k <= x < m) is k if the places from k to m-1 are more than those before it."""
    end = first + first + 1 + more

    assert find_first_of_some(max(count, end), lambda place: first <= place < end) == first


def test_a_search_looks_no_more_often_than_it_may():
    looks: list[Job] = []
    job = Cluster().pending(nodes=4, ntasks=64, cpus_per_task=8, memory_per_node_mib=3000)

    Search(job, GROUND, CHANGES, lambda changed: bool(looks.append(changed)), tries_max=7).run(Candidate(job))

    assert len(looks) == 7


def test_less_is_given_up_at_a_lower_cost():
    job = Cluster().pending(limit_s=7200)

    def search(longest_s: int) -> Candidate:
        return Search(job, GROUND, CHANGES, lambda changed: changed.limit_s <= longest_s).run(Candidate(job))[0]

    short, long = search(600), search(6000)

    assert long.cost < short.cost
    assert [job.limit_s for job in (short.job, long.job)] == [600, 6000]


NODES = [
    Node(name="n1", cpus=8, cores_per_socket=8, memory_mib=16000, features=("ssd",)),
    Node(name="n2", cpus=8, cores_per_socket=8, memory_mib=16000),
    Node(name="g1", cpus=4, cores_per_socket=4, memory_mib=64000, gres=(GresRequest(name="gpu", count=2),)),
]
BATCH = Partition(name="batch", nodes=("n1", "n2", "g1"))


def nearest(**request: object) -> list[str]:
    verdict = check_request(make_spec(**{"nodes": 0} | request), NODES, BATCH, Policy())
    assert verdict is not None
    assert verdict.is_refusal
    return verdict.nearest.split("\n")


@pytest.mark.parametrize(
    ("request_fields", "lines"),
    [
        pytest.param(
            {"ntasks": 1, "cpus_per_task": 12},
            [
                "3 nodes in partition batch -> 0 with 12 CPUs; needs 1 node",
                "nearest request that fits: -c 8 instead of 12",
            ],
            id="more CPUs than a node has",
        ),
        pytest.param(
            {"memory_per_node_mib": 100_000},
            [
                "3 nodes in partition batch -> 0 with 100000 MiB; needs 1 node",
                "nearest request that fits: --mem=64000M instead of 100000M",
            ],
            id="more memory than a node has",
        ),
        pytest.param(
            {"gres_per_node": (GresRequest(name="gpu", count=4),)},
            [
                "3 nodes in partition batch -> 0 with 4 gpu; needs 1 node",
                "nearest request that fits: --gres=gpu:2 instead of gpu:4",
            ],
            id="more units than a node has",
        ),
        pytest.param(
            {"features": "ssd", "memory_per_node_mib": 30_000},
            [
                "nearest request that fits: without -C ssd",
            ],
            id="demands that do not meet: the refusal itself tells the funnel",
        ),
        pytest.param(
            {"ntasks": 1, "cpus_per_task": 16, "memory_per_node_mib": 100_000},
            [
                "3 nodes in partition batch -> 0 with 16 CPUs; needs 1 node",
                "nearest request that fits: --mem=64000M instead of 100000M, -c 4 instead of 16",
            ],
            id="two demands at once",
        ),
    ],
)
def test_a_refusal_tells_the_nearest_request_that_fits(request_fields, lines):
    assert nearest(**request_fields) == lines
