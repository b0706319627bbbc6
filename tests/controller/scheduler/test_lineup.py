"""The order of the queue, kept from pass to pass."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.partition import Partition
from sluicectld.scheduler.lineup import Lineup, by_arrival, by_priority
from tests.builders import make_spec

PARTITIONS = {name: Partition(name=name, priority_tier=tier) for name, tier in (("a", 1), ("b", 1), ("top", 2))}
ASKED = (("a",), ("b", "a"), ("top", "a"), ("a", "top", "b"), ("nowhere",))
jobs = st.builds(
    lambda number, priority, asked: Job(id=number, spec=make_spec(partitions=asked), priority=priority),
    st.integers(1, 40),
    st.integers(0, 3),
    st.sampled_from(ASKED),
)
queues = st.lists(jobs, unique_by=lambda job: job.id, max_size=40)
#: How the queue goes on: who leaves, who comes, and whose record changes.
changes = st.lists(st.tuples(st.sets(st.integers(1, 40), max_size=3), queues), max_size=4)


@given(queues, changes, st.sampled_from([by_arrival, by_priority]))
def test_a_queue_that_changed_stands_as_one_made_anew(first, later, key):
    lineup = Lineup(key)
    queue = {job.id: job for job in first}
    lineup.enter(tuple(queue.values()), PARTITIONS)

    for gone, came in later:
        queue = {job.id: job for job in queue.values() if job.id not in gone} | {job.id: job for job in came[:3]}
        pending = tuple(queue.values())

        assert lineup.enter(pending, PARTITIONS) == Lineup(key).enter(pending, PARTITIONS)


@given(queues, st.sampled_from([by_arrival, by_priority]))
def test_the_order_does_not_depend_on_the_order_of_the_jobs(queue, key):
    assert Lineup(key).enter(tuple(queue), PARTITIONS) == Lineup(key).enter(tuple(reversed(queue)), PARTITIONS)


def test_a_job_comes_once_for_each_partition_in_the_order_that_it_asks():
    job = Job(id=1, spec=make_spec(partitions=("b", "a", "nowhere")))

    assert Lineup(by_priority).enter((job,), PARTITIONS) == ([(job, PARTITIONS["b"]), (job, PARTITIONS["a"])], [])


def test_partitions_that_change_change_the_queue():
    job = Job(id=1, spec=make_spec(partitions=("b", "a")))
    lineup, raised = Lineup(by_priority), PARTITIONS | {"a": replace(PARTITIONS["a"], priority_tier=9)}
    lineup.enter((job,), PARTITIONS)

    assert [partition.name for _, partition in lineup.enter((job,), raised)[0]] == ["a", "b"]


def test_whoever_has_the_entries_of_before_has_them_still():
    lineup, queue = Lineup(by_priority), tuple(Job(id=number, spec=make_spec(partitions=("a",))) for number in range(9))
    before, _ = lineup.enter(queue, PARTITIONS)
    lineup.enter(queue[1:], PARTITIONS)

    assert [job.id for job, _ in before] == list(range(9))
