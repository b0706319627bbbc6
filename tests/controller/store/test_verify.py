"""Verification tells every difference between the journal and the tables as a sentence."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Engine, delete, update

from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.reservation import Reservation
from sluice.model.step import Step
from sluicectld.store import tables
from sluicectld.store.batch import Batch, StepKey, StoredEvent
from sluicectld.store.save import save
from sluicectld.store.verify import verify
from tests.controller.store.store_records import a_job, a_step, an_event, running


@dataclass
class Expected:
    jobs: dict[int, Job] = field(default_factory=dict)
    steps: dict[StepKey, Step] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    partitions: dict[str, Partition] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    events: list[StoredEvent] = field(default_factory=list)

    def replay(self, events: Iterable[StoredEvent]) -> "Expected":
        self.events = list(events)
        return self


@pytest.fixture
def expected(engine: Engine) -> Expected:
    job = running(a_job(1), "n1", "n2")
    expected = Expected({1: job}, {(1, 0, -5): a_step(1)}, {"n1": Node(name="n1")}, {"p": Partition(name="p")})
    batch = Batch(
        events=[an_event(number) for number in (1, 2, 3)],
        jobs=dict(expected.jobs),
        specs={1: job.spec},
        steps=dict(expected.steps),
        nodes=dict(expected.nodes),
        partitions=dict(expected.partitions),
    )
    with engine.begin() as connection:
        save(connection, batch)
    return expected


def test_equal_is_silence(engine: Engine, expected: Expected) -> None:
    assert verify(engine, expected.replay) == []
    assert [event.sequence for event in expected.events] == [1, 2, 3]


def change(statement: object) -> Callable[[Engine], None]:
    def do(engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    return do


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (change(delete(tables.event).where(tables.event.c.sequence == 2)), "journal: events 2 to 2 are missing"),
        (change(delete(tables.job)), "job 1: in the journal, not in the table"),
        (change(delete(tables.step)), "step 1.0.-5: in the journal, not in the table"),
        (change(delete(tables.partition_)), "partition p: in the journal, not in the table"),
        (
            change(tables.partition_.insert().values(name="q", record='{"name":"q"}')),
            "partition q: in the table, not in",
        ),
        (
            change(update(tables.node).values(record='{"name":"n1","cpus":8}')),
            "node n1: cpus is 1 by the journal, 8 in the table",
        ),
        (
            change(update(tables.job).values(state="PENDING")),
            "job 1: column state is 'PENDING', its record says 'RUNNING'",
        ),
        (change(delete(tables.job_spec)), "job 1: its spec 1 is not stored"),
    ],
)
def test_a_difference_is_told(
    engine: Engine, expected: Expected, damage: Callable[[Engine], None], sentence: str
) -> None:
    damage(engine)

    assert verify(engine, expected.replay)[0].startswith(sentence)
