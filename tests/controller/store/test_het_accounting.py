"""Heterogeneous jobs in the tables: which components sacct means, and that a restart has all or none."""

import pytest
from sqlalchemy import Engine

from sluice.model.job import Job
from sluicectld.store.load import load
from tests.controller.store.store_records import a_job, ended, running
from tests.controller.store.test_accounting import rows, store


def components(first: int, size: int = 2) -> list[Job]:
    return [a_job(first + place, het_job_id=first, het_offset=place, het_size=size) for place in range(size)]


@pytest.mark.parametrize(
    ("ids", "whole_het", "expected"),
    [
        (("10",), None, [10, 11, 12]),
        (("11",), None, [11]),
        (("10+2",), None, [12]),
        (("10+0",), None, [10]),
        (("11",), True, [10, 11, 12]),
        (("10",), False, [10]),
        (("2", "10+1"), None, [2, 11]),
        (("2+1",), None, []),
    ],
    ids=[
        "the leader stands for all",
        "another for itself",
        "a component by its number",
        "the first by its number",
        "all with any of them",
        "none but the named one",
        "beside a plain job",
        "a plain job has no components",
    ],
)
def test_the_components_that_an_id_means(
    engine: Engine, ids: tuple[str, ...], whole_het: bool | None, expected: list[int]
) -> None:
    store(engine, a_job(2), a_job(3), *components(10, size=3))

    assert [row.job.id for row in rows(engine, ids=ids, whole_het=whole_het)] == expected


def test_a_component_that_ended_long_ago_is_loaded_with_the_others(engine: Engine) -> None:
    """It would be missed when the job goes back to the queue."""
    leader, other = components(10)
    store(engine, running(leader), ended(running(other), at=100.0))

    loaded = load(engine, ended_after_at=5000.0, tokens_after_at=0.0)

    assert loaded.jobs.keys() == {10, 11}
    assert loaded.jobs[11].spec == other.spec
