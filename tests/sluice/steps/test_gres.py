"""Generic resources of steps: their own, shared, or not yet free."""

from collections.abc import Sequence
from typing import Any

import pytest

from sluice.errors import InvalidRequest
from sluice.model.allocation import GresGrant, NodeGrant
from sluice.model.request import GresRequest, StepSpec
from sluice.model.step import Step, StepNode
from sluice.steps.gres import Missing, check_gres, share_gres

#: Four GPUs of two types on the first node, two on the second, and a number of licences.
GRANTS = (
    NodeGrant(
        node="n1",
        cpus="0-3",
        cpu_count=4,
        gres=(
            GresGrant(name="gpu", type="a100", units="0-1", count=2),
            GresGrant(name="gpu", type="h100", units="4-5", count=2),
            GresGrant(name="tokens", count=10),
        ),
    ),
    NodeGrant(node="n2", cpus="0-3", cpu_count=4, gres=(GresGrant(name="gpu", type="a100", units="2-3", count=2),)),
)


def _gres(text: str) -> tuple[GresRequest, ...]:
    from sluice import gres_spec

    return tuple(GresRequest(name=name, type=kind, count=count) for name, kind, count in gres_spec.parse(text))


def _spec(**fields: Any) -> StepSpec:
    return StepSpec(
        name="s", **{key: _gres(value) if key.startswith("gres") else value for key, value in fields.items()}
    )


def _step(step_id: int, shares: Sequence[tuple[GresGrant, ...]], spec: StepSpec, **fields: Any) -> Step:
    nodes = tuple(
        StepNode(node=grant.node, ntasks=1, gres=own) for grant, own in zip(GRANTS, shares, strict=False) if own
    )
    names = tuple(node.node for node in nodes)
    return Step(job_id=1, step_id=step_id, spec=spec, nodes=nodes, running_nodes=names, **fields)


def _shown(shares: Sequence[tuple[GresGrant, ...]]) -> list[str]:
    return [
        " ".join(f"{own.name}{':' + own.type if own.type else ''}={own.units or own.count}" for own in node)
        for node in shares
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["gpu:a100=0-1 gpu:h100=4-5 tokens=10", "gpu:a100=2-3"]),
        ({"has_no_gres": True}, ["", ""]),
        ({"gres_per_node": "gpu:1"}, ["gpu:a100=0 tokens=10", "gpu:a100=2"]),
        ({"gres_per_node": "gpu:a100:2"}, ["gpu:a100=0-1 tokens=10", "gpu:a100=2-3"]),
        ({"gres_per_step": "gpu:3"}, ["gpu:a100=0-1 tokens=10", "gpu:a100=2"]),
        ({"gres_per_step": "gpu:5"}, ["gpu:a100=0-1 gpu:h100=4 tokens=10", "gpu:a100=2-3"]),
        ({"gres_per_step": "gpu:4", "gres_per_task": "gpu:1"}, ["gpu:a100=0-1 gpu:h100=4 tokens=10", "gpu:a100=2"]),
        ({"gres_per_node": "gpu:1", "gres_per_task": "gpu:1"}, ["gpu:a100=0-1 gpu:h100=4 tokens=10", "gpu:a100=2"]),
        ({"gres_per_task": "gpu:1"}, ["gpu:a100=0-1 gpu:h100=4 tokens=10", "gpu:a100=2"]),
    ],
)
def test_a_step_has(fields: dict[str, Any], expected: list[str]) -> None:
    """Three tasks on the first node, one on the second."""
    assert _shown(share_gres(_spec(**fields), GRANTS, (3, 1), ())) == expected


def test_steps_that_ask_do_not_share() -> None:
    spec = _spec(gres_per_node="gpu:1")
    first = _step(0, share_gres(spec, GRANTS[:1], (1,), ()), spec)

    assert _shown(share_gres(spec, GRANTS[:1], (1,), [first])) == ["gpu:a100=1 tokens=10"]
    with pytest.raises(Missing, match="4 gpu on node n1 requested, 3 are free"):
        share_gres(_spec(gres_per_node="gpu:4"), GRANTS[:1], (1,), [first])


def test_a_step_that_does_not_ask_shares_with_everybody() -> None:
    asking = _spec(gres_per_node="gpu:4")
    first = _step(0, share_gres(asking, GRANTS[:1], (1,), ()), asking)
    plain = _step(1, share_gres(_spec(), GRANTS[:1], (1,), [first]), _spec())

    assert _shown([plain.nodes[0].gres]) == ["gpu:a100=0-1 gpu:h100=4-5 tokens=10"]
    # And it is in nobody's way.
    assert _shown(share_gres(_spec(gres_per_node="gpu:h100:2"), GRANTS[:1], (1,), [plain])) == [
        "gpu:h100=4-5 tokens=10"
    ]


def test_numbers_are_counted_down() -> None:
    spec = _spec(gres_per_node="tokens:7")
    first = _step(0, share_gres(spec, GRANTS[:1], (1,), ()), spec)

    with pytest.raises(Missing, match="7 tokens on node n1 requested, 3 are free"):
        share_gres(spec, GRANTS[:1], (1,), [first])


def test_what_a_step_had_is_free_when_it_is_gone_from_the_node() -> None:
    from msgspec.structs import replace

    spec = _spec(gres_per_node="gpu:4")
    first = replace(_step(0, share_gres(spec, GRANTS[:1], (1,), ()), spec), running_nodes=())

    assert share_gres(spec, GRANTS[:1], (1,), [first])


def test_what_the_job_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="job 7: 5 gpu on node n1 requested, 4 are free"):
        check_gres(_spec(gres_per_node="gpu:5"), GRANTS[:1], (1,), 7)
