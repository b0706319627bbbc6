"""Reports until they are acknowledged."""

from __future__ import annotations

import pytest

from sluice.wire.messages import NodeClean
from sluiced.outbox import ReportOutbox
from tests.nodeagent.conftest import NODE


@pytest.mark.parametrize("count", [1, 499, 1201])
def test_the_outbox_loses_and_repeats_nothing_that_is_acknowledged(count: int) -> None:
    outbox = ReportOutbox()
    for number in range(count):
        outbox.add(NodeClean(node=NODE, job_id=number, attempt=0))
    told: list[int] = []

    assert outbox.next_report() is not None
    assert outbox.next_report() is None
    outbox.on_lost()
    while outbox.next_report() is not None:
        told += [item.job_id for item in outbox.on_done() if isinstance(item, NodeClean)]

    assert told == list(range(count))
    assert len(outbox) == 0


def test_the_outbox_gives_up_only_what_is_refused_alone() -> None:
    outbox = ReportOutbox()
    items = [NodeClean(node=NODE, job_id=number, attempt=0) for number in range(3)]
    for item in items:
        outbox.add(item)
    outbox.next_report()

    assert outbox.on_refused() is None
    outbox.next_report()
    assert outbox.on_refused() == items[0]
    outbox.next_report()
    assert outbox.on_done() == [items[1]]
