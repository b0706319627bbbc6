"""From memory into the tables and back: what a controller that starts knows, and what it must not have forgotten."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from sluice.model.reason import Reason
from sluice.model.states import JobState
from sluicectld.loading import load_cluster
from sluicectld.state.cluster import Cluster
from sluicectld.state.invariants import validate
from sluicectld.store.database import open_engine
from sluicectld.store.save import save
from sluicectld.store.schema import upgrade
from sluicectld.store.verify import verify
from sluicectld.verify import rebuild
from tests.engine_builder import ANN, BOB, World
from tests.simulated_cluster import Simulation

Reload = Callable[..., Cluster]


@pytest.fixture
def reload(tmp_path: Path) -> Reload:
    """Writes all that a world has done into a database, verifies it, and loads it again, so much later."""
    url = f"sqlite:///{tmp_path / 'state.db'}"

    def write_and_load(world: World, later_s: float = 0.0) -> Cluster:
        upgrade(url)
        engine = open_engine(url)
        with engine.begin() as connection:
            for batch in world.batches:
                save(connection, batch)
        assert verify(engine, rebuild) == []
        engine.dispose()
        cluster = load_cluster(replace(world.settings, database_url=url), world.now + later_s)
        validate(cluster)
        return cluster

    return write_and_load


def test_everything_that_is_in_memory_is_there_again(world: World, reload: Reload) -> None:
    array = world.submit(array="0-5%2", token="arr")
    world.pass_()
    world.cancel(f"{array}_[4-5]")
    job_id = world.start(nodes=2)
    step = world.step(job_id, token="srun")
    world.submit(after=f"afterok:{job_id}", begin_at=world.now + 60)
    world.end_script(world.task(array, 0).id, exit_code=1)

    cluster = reload(world)

    assert cluster.jobs == world.cluster.jobs
    assert cluster.steps[job_id] == world.cluster.steps[job_id]
    assert cluster.nodes == world.cluster.nodes
    assert cluster.partitions == world.cluster.partitions
    assert cluster.free == world.cluster.free
    assert cluster.tokens == {"arr": array}
    assert cluster.step_tokens == {job_id: {"srun": step.step_id}}
    assert cluster.dependents == world.cluster.dependents
    for counter in ("next_job_id", "next_spec_id", "next_sequence", "config_version"):
        assert getattr(cluster, counter) == getattr(world.cluster, counter)


def test_equal_requests_are_one_object_again(world: World, reload: Reload) -> None:
    one, twin, other = world.submit(), world.submit(), world.submit(nodes=2)

    jobs = reload(world).jobs

    assert jobs[one].spec is jobs[twin].spec
    assert jobs[one].spec is not jobs[other].spec


def test_a_job_that_another_waits_for_is_loaded_however_long_ago_it_ended(world: World, reload: Reload) -> None:
    failed = world.start()
    waiting = world.submit(after=f"afterok:{failed}")
    world.end_script(failed, exit_code=1)

    cluster = reload(world, later_s=30 * 86400)

    assert cluster.jobs[waiting].reason is Reason.DEPENDENCY_NEVER_SATISFIED
    assert cluster.jobs[failed].state is JobState.FAILED


def test_an_array_is_loaded_with_all_its_tasks(world: World, reload: Reload) -> None:
    """One task failed long ago, one still runs: a job that comes now and wants both to succeed must hear of it."""
    array = world.submit(array="0-1", is_unlimited=True)
    world.pass_()
    world.end_script(world.task(array, 0).id, exit_code=1)

    cluster = reload(world, later_s=30 * 86400)

    assert cluster.tasks[array].keys() == {0, 1}
    outcome = cluster.outcome(array)
    assert outcome is not None
    assert (outcome.is_ended, outcome.is_success) == (False, False)


def test_what_ended_long_ago_is_left_in_the_tables(world: World, reload: Reload) -> None:
    job_id = world.start()
    world.end_script(job_id)

    assert reload(world, later_s=30 * 86400).jobs == {}


def test_predictions_are_those_from_before_the_restart(reload: Reload) -> None:
    """Everything that ran ended so long ago that it is not in memory any more."""
    world = World(scheduler_parameters={"bf_policy": "predict"})
    for caller, run_s, limit_s in ((ANN, 300, 3600), (ANN, 60, 600), (BOB, 10, 3600), (ANN, 500, 3600), (ANN, 30, 600)):
        job_id = world.start(caller, limit_s=limit_s)
        world.pass_time(run_s)
        world.end_script(job_id)
    world.start(ntasks=4, is_unlimited=True)
    before = world.submit(limit_s=3600)
    world.pass_time(86400)
    other = world.submit(BOB, limit_s=1200)
    known = world.cluster.run_book

    cluster = reload(world)
    book = cluster.run_book

    assert cluster.jobs.keys() == {before - 1, before, other}
    assert known.predicted_s == {before: 400.0, other: 1200 * 10 / 3600}
    assert book.predicted_s == known.predicted_s
    assert book.runs_by_uid == known.runs_by_uid


@pytest.mark.parametrize("seed", range(100, 104))
def test_whatever_happened_the_tables_give_it_back(seed: int, reload: Reload) -> None:
    simulation = Simulation(seed)
    for _ in range(120):
        simulation.step_by_dice()
    world = simulation.world

    cluster = reload(world)

    for job_id, job in world.cluster.jobs.items():
        assert cluster.jobs.get(job_id) == job or job.is_ended, f"seed {seed}: job {job_id}"
    assert cluster.nodes == world.cluster.nodes
    assert {name: free.free_cpus for name, free in cluster.free.items()} == {
        name: free.free_cpus for name, free in world.cluster.free.items()
    }
    assert cluster.running_tasks == world.cluster.running_tasks
    assert cluster.ready == world.cluster.ready
