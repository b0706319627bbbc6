"""What is saved comes back as it was: records, numbers, names."""

import msgspec
import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError

from sluice.model.job import PendingArray
from sluice.model.node import Inventory, Node
from sluice.model.partition import Partition
from sluice.model.reason import Reason
from sluice.model.request import Dependency, DependencyTerm, GresRequest
from sluice.model.reservation import Reservation
from sluice.model.states import JobState, NodeState
from sluice.wire.messages import StreamTail
from sluicectld.store import tables
from sluicectld.store.batch import Batch, StoredConfig
from sluicectld.store.load import Loaded, load
from sluicectld.store.save import save
from sluicectld.store.tokens import find_token, forget_tokens
from tests.controller.store.store_records import (
    a_job,
    a_spec,
    a_step,
    a_submission,
    an_ended_step,
    an_event,
    ended,
    running,
)


def save_all(engine: Engine, *batches: Batch) -> None:
    with engine.begin() as connection:
        for batch in batches:
            save(connection, batch)


def load_all(engine: Engine) -> Loaded:
    return load(engine, ended_after_at=0, tokens_after_at=0)


def test_an_empty_database_starts_at_one(engine: Engine) -> None:
    loaded = load_all(engine)

    assert (loaded.next_sequence, loaded.next_job_id, loaded.next_spec_id) == (1, 1, 1)
    assert loaded.jobs == loaded.nodes == loaded.meta == {}
    assert loaded.config is None


def test_jobs_come_back_with_all_their_fields(engine: Engine) -> None:
    """Optional records, tuples, enums, numbers beyond 32 bits, any text."""
    spec = a_spec(
        name="naïve 'quoted' \\ % %s :x 日本",
        comment="tab\tnewline\nnul\0",
        gres_per_node=(GresRequest(name="gpu", type="a100", count=2),),
        given=frozenset({"mem", "time"}),
        memory_per_node_mib=2**40,
    )
    job = a_job(
        7,
        spec,
        array_job_id=7,
        pending_array=PendingArray(ranges=((0, 9, 2), (20, 30, 1)), throttle=3),
        dependency=Dependency(terms=(DependencyTerm(type="afterok", job_id=3),)),
        reason=Reason.DEPENDENCY,
        priority=2**32 - 2,
        eligible_at=1_732_300_000.123456,
    )

    save_all(engine, Batch(jobs={7: job}, specs={7: spec}))

    assert load_all(engine).jobs == {7: job}


def test_jobs_of_one_spec_share_it(engine: Engine) -> None:
    spec = a_spec()
    jobs = {number: a_job(number, spec, spec_id=1) for number in (1, 2, 3)}

    save_all(engine, Batch(jobs=jobs, specs={1: spec}))
    loaded = load_all(engine)

    assert loaded.jobs[1].spec is loaded.jobs[3].spec is loaded.specs[1]
    assert loaded.next_job_id == 4
    assert loaded.next_spec_id == 2


def test_the_latest_version_of_a_record_counts(engine: Engine) -> None:
    job = a_job()
    started = running(job, "n2", "n3")

    save_all(engine, a_submission(1), Batch(jobs={1: started}))

    assert load_all(engine).jobs == {1: started}
    with engine.connect() as connection:
        row = connection.execute(select(tables.job)).one()
    assert (row.state, row.node_list, row.node_count, row.cpu_count) == ("RUNNING", "n[2-3]", 2, 8)


def test_what_a_user_may_choose_never_fails_the_transaction(engine: Engine) -> None:
    """The transaction is everybody's: one odd job must not refuse the others."""
    spec = a_spec(name="a\0b", command="\0", work_dir="/\0")
    job = a_job(1, spec, priority=2**64 - 1, limit_s=2**64 - 1)

    save_all(engine, Batch(jobs={1: job}, specs={1: spec}))

    assert load_all(engine).jobs == {1: job}


@pytest.mark.parametrize("count", [1, 3, 4, 5, 63, 64, 65, 200])
def test_any_number_of_rows_is_written(engine: Engine, count: int) -> None:
    batch = Batch()
    for number in range(1, count + 1):
        batch.merge(a_submission(number))

    save_all(engine, batch)

    loaded = load_all(engine)
    assert loaded.jobs == batch.jobs
    assert loaded.tokens == batch.tokens
    assert loaded.next_sequence == count + 1


def test_ended_jobs_are_loaded_while_they_are_young(engine: Engine) -> None:
    old, young = ended(a_job(1), at=2000.0), ended(a_job(2), at=3000.0)
    save_all(engine, Batch(jobs={1: old, 2: young}, specs={1: old.spec, 2: young.spec}))

    loaded = load(engine, ended_after_at=2500.0, tokens_after_at=0)

    assert loaded.jobs == {2: young}
    assert set(loaded.specs) == {2}
    assert loaded.next_job_id == 3


def test_an_ended_job_with_processes_left_is_loaded_at_any_age(engine: Engine) -> None:
    job = ended(running(a_job(1), "n1"), at=2000.0, completing_nodes=("n1",))
    save_all(engine, Batch(jobs={1: job}, specs={1: job.spec}))

    assert load(engine, ended_after_at=9e9, tokens_after_at=0).jobs == {1: job}


def test_steps_of_active_jobs_current_attempts_are_loaded(engine: Engine) -> None:
    active, gone = running(a_job(1), attempt=1), ended(a_job(2), at=2000.0)
    steps = [a_step(1, attempt=1), an_ended_step(1, 0, attempt=1), an_ended_step(1, attempt=0), an_ended_step(2)]
    batch = Batch(jobs={1: active, 2: gone}, specs={1: active.spec, 2: gone.spec})
    batch.steps = {(step.job_id, step.attempt, step.step_id): step for step in steps}

    save_all(engine, batch)

    assert load_all(engine).steps == {(1, 1, -5): steps[0], (1, 1, 0): steps[1]}


def test_nodes_and_partitions_come_and_go(engine: Engine) -> None:
    node = Node(name="n1", cpus=4, state=NodeState.UP, inventory=Inventory(cpus=4, memory_mib=900))
    partition = Partition(name="batch", nodes=("n1",), is_default=True)

    save_all(engine, Batch(nodes={"n1": node, "n2": Node(name="n2")}, partitions={"batch": partition}))
    save_all(engine, Batch(removed_nodes={"n2"}, removed_partitions={"batch"}))

    loaded = load_all(engine)
    assert loaded.nodes == {"n1": node}
    assert loaded.partitions == {}


def test_a_node_that_is_removed_and_made_again_stays() -> None:
    batch = Batch(removed_nodes={"n1"})

    batch.merge(Batch(nodes={"n1": Node(name="n1")}))
    batch.merge(Batch(removed_nodes={"n2"}))

    assert set(batch.nodes) == {"n1"}
    assert batch.removed_nodes == {"n2"}


def test_reservations_come_and_go_in_the_order_in_which_they_were_made(engine: Engine) -> None:
    one, two, three = (
        Reservation(id=number, name=name, start_at=10.0, end_at=20.0, users=("ada",), nodes=("n1", "n2"))
        for number, name in ((1, "z"), (2, "a"), (3, "m"))
    )

    save_all(engine, Batch(reservations={"a": two, "z": one, "m": three}))
    save_all(engine, Batch(removed_reservations={"m"}))

    assert list(load_all(engine).reservations.items()) == [("z", one), ("a", two)]


def test_a_reservation_that_is_deleted_before_it_was_written_is_not() -> None:
    kept = Reservation(id=1, name="r1", start_at=10.0, end_at=20.0)
    batch = Batch(reservations={"r1": kept})

    batch.merge(Batch(removed_reservations={"r1"}))

    assert not batch.reservations
    assert batch.removed_reservations == {"r1"}


def test_meta_and_the_latest_configuration_are_loaded(engine: Engine) -> None:
    configs = [StoredConfig(version, f"digest{version}", 10.0, "ClusterName=x") for version in (1, 2)]

    save_all(engine, Batch(meta={"epoch": "3"}, configs=configs), Batch(meta={"epoch": "4"}))

    loaded = load_all(engine)
    assert loaded.meta == {"epoch": "4"}
    assert loaded.config == configs[1]


def test_a_token_keeps_its_first_job(engine: Engine) -> None:
    save_all(engine, Batch(tokens={"t": 1}), Batch(tokens={"t": 2}))

    assert find_token(engine, "t") == 1
    assert find_token(engine, "other") is None


def test_old_tokens_are_forgotten(engine: Engine) -> None:
    save_all(engine, a_submission(1), a_submission(2))

    assert forget_tokens(engine, before_at=1002.0) == 1
    assert load_all(engine).tokens == {"token-2": 2}
    assert load(engine, ended_after_at=0, tokens_after_at=1003.0).tokens == {}


def test_an_event_number_is_given_once(engine: Engine) -> None:
    save_all(engine, Batch(events=[an_event(1)]))

    with pytest.raises(IntegrityError):
        save_all(engine, Batch(events=[an_event(1, kind="JobEnded")]))


def test_one_tail_a_stream_is_kept(engine: Engine) -> None:
    """A repeated report writes the same key twice in one transaction."""
    first = StreamTail(step_id=-5, node="n1", stream="stdout", tail=b"\x00\xff")
    second = msgspec.structs.replace(first, tail=bytes(range(256)), is_cut=True)

    save_all(engine, Batch(tails=[(1, 0, first), (1, 0, second)]))

    with engine.connect() as connection:
        row = connection.execute(select(tables.stream_tail)).one()
    assert (row.tail, row.is_cut) == (bytes(range(256)), True)


def test_a_job_that_is_requeued_keeps_its_earlier_run(engine: Engine) -> None:
    run = ended(running(a_job(1)), at=1200.0, state=JobState.NODE_FAIL)

    save_all(engine, Batch(jobs={1: a_job(1, attempt=1)}, specs={1: run.spec}, attempts=[run]))

    with engine.connect() as connection:
        row = connection.execute(select(tables.job_attempt)).one()
    assert (row.attempt, row.state, row.ended_at) == (0, "NODE_FAIL", 1200.0)


def test_an_empty_batch_writes_nothing(engine: Engine) -> None:
    assert Batch().is_empty
    assert not Batch(removed_nodes={"n1"}).is_empty
    with engine.begin() as connection:
        assert save(connection, Batch()) == 0
        assert connection.scalar(select(func.count()).select_from(tables.event)) == 0
