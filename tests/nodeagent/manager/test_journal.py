"""The book of a job's steps on disk: what a killed agent knew, the next one knows."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sluiced.manager.book import StepBook
from sluiced.manager.journal import Journal
from tests.nodeagent.manager.books import end, managed, spec


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(str(tmp_path))
    made.begin(managed(next_step_id=2))
    return made


def test_the_next_agent_knows_what_ran_what_ended_and_which_number_is_next(journal: Journal, tmp_path: Path) -> None:
    book = StepBook(managed(next_step_id=2))
    first, second = book.create(spec(), "a", 1.0), book.create(spec(), "b", 1.0)
    for step in (first, second):
        journal.append(step)
    end(book, first)
    journal.append(book.untold[2])

    found = Journal(str(tmp_path)).read()

    assert found is not None
    assert found.running == {3: second}
    assert found.untold == {2: book.untold[2], 3: second}
    assert found.create(spec(), "b", 2.0) == second
    assert found.create(spec(), "c", 2.0).step_id == 4


@pytest.mark.parametrize("kept", [0, 1, 3, 20, -1])
def test_a_journal_that_was_cut_off_misses_its_last_record_alone(journal: Journal, tmp_path: Path, kept: int) -> None:
    book = StepBook(managed(next_step_id=2))
    first, second = book.create(spec(), "", 1.0), book.create(spec(), "", 1.0)
    journal.append(first)
    whole = (tmp_path / "steps").read_bytes()
    journal.append(second)
    rest = (tmp_path / "steps").read_bytes()[len(whole) :]
    (tmp_path / "steps").write_bytes(whole + rest[: kept if kept >= 0 else len(rest) - 1])

    found = Journal(str(tmp_path)).read()

    assert found is not None
    assert found.running == {2: first}


def test_no_book_is_found_where_no_steps_were_handed_over(tmp_path: Path) -> None:
    assert Journal(str(tmp_path)).read() is None


def test_a_long_journal_is_tidied_up_and_no_number_is_given_twice(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluiced.manager.journal._SIZE_MAX", 4096)
    book = StepBook(managed(next_step_id=2))
    running = book.create(spec(), "", 1.0)
    journal.append(running)
    for _ in range(30):
        step = book.create(spec(), "", 1.0)
        journal.append(step)
        end(book, step)
        journal.append(book.untold[step.step_id])
        if book.on_told(book.untold[step.step_id]):
            journal.tidy_up(book)
        book.on_told(running)

    assert (tmp_path / "steps").stat().st_size < 8192
    found = Journal(str(tmp_path)).read()
    assert found is not None
    assert found.running == {2: running}
    assert found.create(spec(), "", 3.0).step_id == 33


@given(st.binary(max_size=200))
def test_no_journal_makes_an_agent_fail(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Journal(folder).begin(managed())
        (Path(folder) / "steps").write_bytes(data)
        assert Journal(folder).read() is not None
        (Path(folder) / "managed").write_bytes(data)
        Journal(folder).read()


def test_a_step_with_ports_keeps_them(journal: Journal) -> None:
    book = StepBook(managed())
    step = book.create(spec(ports=2), "", 1.0)
    with_ports = book.set_ports(step.step_id, (13000, 13001))
    assert with_ports == replace(step, ports=(13000, 13001))
    assert book.running[step.step_id] == with_ports
