"""What a step credential grants, and that srun's way of handing the records on does not change them."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.base import EXTERN_STEP
from sluice.model.job import Job
from sluice.model.request import JobSpec, StepSpec
from sluice.model.step import Step, StepNode
from sluice.wire.credentials import CLOCK_SKEW_MAX_S
from sluice.wire.messages import NodeAddress, StepCreated
from sluice.wire.step_credential import (
    check_step_credential,
    grant_access,
    grant_launch,
    mint_step_credential,
    records_digest,
)

KEY = bytes(range(32))
NOW_AT = 1_000_000.0
SPEC = JobSpec(name="j", uid=1, gid=2, user="ada")
JOB = Job(id=7, spec=SPEC, attempt=1)
STEP = Step(job_id=7, step_id=3, attempt=1, spec=StepSpec(name="s"), nodes=(StepNode(node="n1", ntasks=1),))


def test_a_grant_survives_its_credential() -> None:
    for grant in (
        grant_launch(JOB, STEP, NodeAddress(node="n1", address="::1", port=9)),
        grant_access(JOB, -4, ["n1"]),
    ):
        text = mint_step_credential(KEY, grant, "here", NOW_AT)
        assert check_step_credential(KEY, text, NOW_AT + 9) == replace(grant, issued_at=NOW_AT, host="here")


def test_the_clock_of_another_host_may_be_ahead() -> None:
    text = mint_step_credential(KEY, grant_launch(JOB, STEP), "here", NOW_AT)
    grant = check_step_credential(KEY, text, NOW_AT)
    assert grant.made_after("here") == NOW_AT
    assert grant.made_after("there") == NOW_AT - CLOCK_SKEW_MAX_S


def test_access_to_a_job_launches_nothing() -> None:
    assert grant_access(JOB, EXTERN_STEP, ["n1"]).records == ""


@pytest.mark.parametrize(
    ("job", "step"),
    [
        (replace(JOB, spec=replace(SPEC, account="other")), STEP),
        (JOB, replace(STEP, nodes=(StepNode(node="n1", ntasks=1, memory_mib=1),))),
        (JOB, replace(STEP, ports=(1, 2))),
    ],
)
def test_other_records_are_another_grant(job: Job, step: Step) -> None:
    assert grant_launch(job, step).records != grant_launch(JOB, STEP).records


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.frozensets(st.text("abc", max_size=3)),
    st.lists(st.text("n1", max_size=40), max_size=20),
)
def test_srun_hands_the_records_on_as_they_came(
    number: int, at: float, text: str, given_options: frozenset[str], nodes: list[str]
) -> None:
    """What a client that knows nothing of the records sends again has the digest that was signed."""
    job = Job(
        id=number,
        spec=replace(SPEC, work_dir=text, nice=number, given=given_options, begin_at=at),
        # As careless as a record can be: a whole number where a float is meant.
        started_at=5,
        allocation=Allocation(grants=tuple(NodeGrant(node=node, cpus="0-3", cpu_count=4) for node in nodes)),
    )
    step = Step(job_id=number, step_id=0, spec=StepSpec(name=text, argv=(text, *nodes)), started_at=at)
    grant = grant_launch(job, step)
    created = StepCreated(step=step, addresses=(), credential="c", job=job)

    sent: dict[str, Any] = msgpack.unpackb(msgspec.msgpack.encode(created))

    assert records_digest(**msgpack.unpackb(msgpack.packb({"job": sent["job"], "step": sent["step"]}))) == grant.records
