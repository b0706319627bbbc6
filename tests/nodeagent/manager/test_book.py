"""The book of a job's steps: numbers, room, results, and what is still to be told."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import cpuset
from sluice.errors import RequestError
from sluice.steps.grant import StepBusy
from sluiced.manager.book import StepBook
from tests.nodeagent.manager.books import NODES, end, managed, result, spec


def test_steps_are_numbered_from_where_the_controller_left_off() -> None:
    book = StepBook(managed(next_step_id=3))
    assert [book.create(spec(), "", 1.0).step_id for _ in range(3)] == [3, 4, 5]


def test_a_repeated_request_gets_the_step_that_it_made() -> None:
    book = StepBook(managed())
    step = book.create(spec(), "token", 1.0)
    assert book.create(spec(), "token", 1.5) is step

    end(book, step)
    assert book.create(spec(), "token", 3.0).step_id == 1


def test_a_step_waits_for_the_cpus_of_others_and_is_told_who_has_them() -> None:
    book = StepBook(managed())
    first = book.create(spec(3), "", 1.0)

    with pytest.raises(StepBusy, match=r"step 7\.0 \(s\) has 3"):
        book.create(spec(2), "", 1.0)

    end(book, first)
    assert book.create(spec(2), "", 1.0).step_id == 1


def test_what_never_fits_is_refused_and_takes_no_number() -> None:
    book = StepBook(managed())
    with pytest.raises(RequestError, match="5 tasks"):
        book.create(spec(5), "", 1.0)
    assert book.create(spec(), "", 1.0).step_id == 0


def test_a_part_that_ends_gives_its_nodes_cpus_back() -> None:
    book = StepBook(managed())
    step = book.create(spec(4), "", 1.0)
    book.take(result(step, "n1"), 2.0)

    assert [node.node for node in book.create(spec(2), "", 2.0).nodes] == ["n1"]
    with pytest.raises(StepBusy):
        book.create(spec(1), "", 2.0)


def test_a_result_that_comes_twice_counts_once() -> None:
    book = StepBook(managed())
    step = book.create(spec(4), "", 1.0)
    assert book.take(result(step, "n1", exit_code=1), 2.0) is not None
    assert book.take(result(step, "n1", exit_code=9), 2.0) is None
    last = book.take(result(step, "n2"), 2.0)
    assert last is not None
    assert (last.exit_code, last.running_nodes) == (1, ())


def test_a_step_that_its_srun_gives_up_ends_on_all_nodes() -> None:
    book = StepBook(managed())
    step = book.create(spec(4), "", 1.0)
    ended = book.finish(step.step_id, 1, 2.0)
    assert ended is not None
    assert (ended.running_nodes, ended.exit_code, ended.ended_at) == ((), 1, 2.0)
    assert book.finish(step.step_id, 1, 2.0) is None


@pytest.mark.parametrize(
    ("prepare", "code"), [(lambda book: book.suspend(True), "not_running"), (lambda book: close(book), "already_done")]
)
def test_a_job_that_stands_still_or_ends_gets_no_steps(prepare: object, code: str) -> None:
    book = StepBook(managed())
    prepare(book)  # type: ignore[operator]
    with pytest.raises(RequestError) as refusal:
        book.create(spec(), "", 1.0)
    assert refusal.value.code == code


def close(book: StepBook) -> None:
    book.is_closed = True


def test_a_job_has_as_many_steps_as_the_site_allows() -> None:
    book = StepBook(managed(steps_max=2))
    for _ in range(2):
        end(book, book.create(spec(), "", 1.0))
    with pytest.raises(RequestError, match="has had 2 steps"):
        book.create(spec(), "", 1.0)


def test_a_step_is_told_until_the_controller_has_it_as_it_is() -> None:
    book = StepBook(managed())
    begun = book.create(spec(), "", 1.0)
    end(book, begun)
    ended = book.untold[0]

    assert not book.on_told(begun)
    assert book.untold == {0: ended}
    assert book.on_told(ended)
    assert book.untold == {}


def test_what_runs_is_told_again_after_a_registration() -> None:
    book = StepBook(managed())
    begun = book.create(spec(), "", 1.0)
    book.on_told(begun)
    book.retell()
    assert book.untold == {0: begun}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.booleans()), max_size=40))
def test_no_cpu_belongs_to_two_steps(story: list[tuple[int, int, bool]]) -> None:
    """(which running step ends, or none), (tasks of the next one), (one node alone ends)."""
    book = StepBook(managed())
    for which, ntasks, is_partial in story:
        running = list(book.running.values())
        if which < len(running):
            step = running[which]
            for node in step.running_nodes[:1] if is_partial else step.running_nodes:
                book.take(result(step, node), 2.0)
        with contextlib.suppress(StepBusy):
            book.create(spec(ntasks), "", 1.0)
        for node in NODES:
            masks = [
                cpuset.parse(part.cpus)
                for step in book.running.values()
                for part in step.nodes
                if part.node == node and node in step.running_nodes
            ]
            assert sum(mask.bit_count() for mask in masks) <= 2
            for index, mask in enumerate(masks):
                assert not any(mask & other for other in masks[:index])
