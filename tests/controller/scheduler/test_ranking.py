"""The order in which the causes of a wait are told."""

import itertools
from pathlib import Path

import pytest

from sluice.model.reason import Blocker, Reason
from sluicectld.scheduler.ranking import LIMIT_PREFIXES, ORDER, place_of, rank_blockers

PAGE = Path(__file__).parents[3] / "docs/decisions/order-of-reasons.md"


def told(*reasons: Reason) -> tuple[Blocker, ...]:
    return tuple(Blocker(reason=reason) for reason in reasons)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_place(reason):
    is_listed = sum(reason in group for group in ORDER)

    assert is_listed == 1 or (is_listed == 0 and reason.value.startswith(LIMIT_PREFIXES))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_on_the_page(reason):
    assert f"`{reason.value}`" in PAGE.read_text() or reason.value.startswith(LIMIT_PREFIXES)


def test_the_page_has_the_order_of_the_table():
    listed = [reason for group in ORDER for reason in group]
    text = PAGE.read_text().partition("| place |")[2]
    found = [text.index(f"`{reason.value}`") for reason in listed]

    assert found == sorted(found)


def test_the_order_does_not_depend_on_the_order_of_finding():
    causes = told(Reason.RESOURCES, Reason.JOB_HELD_USER, Reason.DEPENDENCY, Reason.PARTITION_DOWN, Reason.PRIORITY)
    expected = told(Reason.JOB_HELD_USER, Reason.DEPENDENCY, Reason.PARTITION_DOWN, Reason.PRIORITY, Reason.RESOURCES)

    assert {rank_blockers(each) for each in itertools.permutations(causes)} == {expected}


def test_a_cause_is_told_once():
    assert rank_blockers(told(Reason.PRIORITY, Reason.PRIORITY)) == told(Reason.PRIORITY)


def test_the_partition_that_is_nearest_to_a_start_goes_first():
    job = Blocker(reason=Reason.BEGIN_TIME)
    down = Blocker(reason=Reason.PARTITION_DOWN, partition="a")
    full = Blocker(reason=Reason.RESOURCES, partition="b")

    assert rank_blockers((down, full, job)) == (job, full, down)


def test_limits_of_accounts_and_qos_stand_between_the_partition_and_the_array():
    assert place_of(Reason.PARTITION_TIME_LIMIT) < ORDER.index(()) < place_of(Reason.JOB_ARRAY_TASK_LIMIT)
