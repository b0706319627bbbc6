"""The TRES of a request and of an allocation, and billing."""

import pytest

from sluice.errors import InvalidRequest
from sluice.model.allocation import Allocation, GresGrant, NodeGrant
from sluice.model.partition import Partition
from sluice.model.request import GresRequest
from sluicectld.scheduler.limits.tres import compute_allocated, compute_billing, compute_request, parse_weights
from sluicectld.scheduler.needs import compute_needs
from sluicectld.scheduler.snapshot import Policy
from tests.builders import make_spec

GPU = GresRequest(name="gpu", type="a100", count=2)


def requested(nodes: int = 1, weights: str = "", **fields: object) -> dict[str, int]:
    needs = compute_needs(make_spec(nodes, **fields), Partition(name="batch"), Policy())
    return compute_request(needs, 3600, weights).tres


@pytest.mark.parametrize(
    ("fields", "tres"),
    [
        ({"ntasks": 3, "cpus_per_task": 2}, {"cpu": 6, "mem": 1, "node": 1, "billing": 6}),
        ({"nodes": 2, "memory_per_node_mib": 100}, {"cpu": 2, "mem": 200, "node": 2, "billing": 2}),
        ({"ntasks": 4, "memory_per_cpu_mib": 100}, {"cpu": 4, "mem": 400, "node": 1, "billing": 4}),
        (
            {"nodes": 2, "gres_per_node": (GPU,)},
            {"cpu": 2, "mem": 2, "node": 2, "billing": 2, "gres/gpu": 4, "gres/gpu:a100": 4},
        ),
        (
            {"ntasks": 3, "gres_per_task": (GresRequest(name="gpu"),)},
            {"cpu": 3, "mem": 1, "node": 1, "billing": 3, "gres/gpu": 3},
        ),
        (
            {"gres_per_job": (GresRequest(name="gpu", count=4),), "cpus_per_gpu": 3},
            {"cpu": 12, "mem": 1, "node": 1, "billing": 12, "gres/gpu": 4},
        ),
        ({"licenses": "matlab:2"}, {"cpu": 1, "mem": 1, "node": 1, "billing": 1, "license/matlab": 2}),
        ({"ntasks": 8, "is_overcommitted": True}, {"cpu": 1, "mem": 1, "node": 1, "billing": 1}),
    ],
    ids=lambda value: " ".join(value) if "billing" not in value else "",
)
def test_a_request_takes_at_least(fields, tres) -> None:
    assert requested(**fields) == tres


def test_the_fullest_node_gives_at_least_an_even_share() -> None:
    needs = compute_needs(make_spec(2, ntasks=5, memory_per_cpu_mib=10), Partition(name="batch"), Policy())

    assert compute_request(needs, None).node_tres == {"cpu": 3, "mem": 30}


def test_an_allocation_takes_what_was_granted() -> None:
    gres = (GresGrant(name="gpu", type="a100", units="0", count=1),)
    grants = (
        NodeGrant(node="n1", cpus="0-3", cpu_count=4, memory_mib=100, gres=gres),
        NodeGrant(node="n2", cpus="0", cpu_count=1, memory_mib=300),
    )

    demand = compute_allocated(Allocation(grants=grants, licenses=(("matlab", 2),)), 60, "CPU=1,license/matlab=10")

    assert demand.tres == {
        "cpu": 5, "mem": 400, "node": 2, "gres/gpu": 1, "gres/gpu:a100": 1, "license/matlab": 2, "billing": 25,
    }  # fmt: skip
    assert demand.node_tres == {"cpu": 4, "mem": 300, "gres/gpu": 1, "gres/gpu:a100": 1}


def test_billing_adds_weighted_tres_up_or_takes_the_most_of_each_node() -> None:
    weights = parse_weights("CPU=1.0,Mem=0.25G,GRES/gpu=2.5,license/matlab=3")
    nodes = [{"cpu": 2, "mem": 16384, "gres/gpu": 1}, {"cpu": 6, "mem": 4096}]

    assert compute_billing(nodes, {"license/matlab": 1}, weights) == 2 + 4 + 2.5 // 1 + 6 + 1 + 3
    assert compute_billing(nodes, {"license/matlab": 1}, weights, is_max=True) == 4 + 6 + 3


def test_billing_without_weights_counts_cpus() -> None:
    assert compute_billing([{"cpu": 2, "mem": 9}, {"cpu": 3}], {"license/matlab": 9}, None) == 5


@pytest.mark.parametrize(
    ("text", "weight"),
    [("Mem=1", 1.0), ("Mem=1M", 1.0), ("Mem=1G", 1 / 1024), ("Mem=1K", 1024.0), ("Mem=1T", 1 / 1024**2)],
)
def test_a_weight_of_memory_is_for_one_of_its_unit(text: str, weight: float) -> None:
    assert parse_weights(text) == {"mem": weight}


@pytest.mark.parametrize("text", ["CPU", "CPU=", "CPU=x", "=1", "CPU=-1", "CPU=nan", "CPU=inf"])
def test_other_weights_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_weights(text)
