"""Heterogeneous jobs until they run: submitted, waiting and started as a whole."""

import pytest
from msgspec.structs import replace

from sluice.errors import RequestError
from sluice.model.states import JobState
from sluicectld.state import commands
from sluicectld.state.effects import Launch
from sluicectld.state.events import JobStarted, JobSubmitted
from tests.engine_builder import World
from tests.het_builder import PENDING, RUNNING, start, states


@pytest.fixture
def world() -> World:
    return World(nodes=3)


def test_components_have_ids_of_their_own_and_one_in_common(world):
    leader_id = world.submit_het({"nodes": 1}, {"nodes": 2}, {"ntasks": 3})

    jobs = world.cluster.components_of(world.job(leader_id))
    assert [job.id for job in jobs] == [leader_id, leader_id + 1, leader_id + 2]
    assert [(job.het_job_id, job.het_offset, job.het_size) for job in jobs] == [(leader_id, n, 3) for n in range(3)]
    assert len({job.spec_id for job in jobs}) == 3


def test_all_components_are_journaled_in_one_transaction(world):
    leader_id = world.submit_het({}, {}, token="t")

    assert [type(event) for event in world.happened()] == [JobSubmitted, JobSubmitted]
    assert world.batches[-1].jobs.keys() == {leader_id, leader_id + 1}
    assert world.batches[-1].tokens == {"t": leader_id}


def test_a_repeated_submission_is_the_same_job(world):
    leader_id = world.submit_het({}, {}, token="t")

    assert world.submit_het({}, {}, token="t") == leader_id
    assert world.happened() == []
    assert len(world.cluster.jobs) == 2


def test_only_the_first_component_has_a_script(world):
    leader_id = world.submit_het({}, {})

    assert [job.spec.is_batch for job in world.cluster.components_of(world.job(leader_id))] == [True, False]


@pytest.mark.parametrize(
    ("components", "code"),
    [
        (({}, {"ntasks": 0}), "ntasks"),
        (({}, {"partitions": ("nosuch",)}), "invalid_partition"),
        (({}, {"array": "1-2"}), "invalid_array"),
        (({"array": "1-2"}, {}), "invalid_array"),
        (({},), "het_size"),
        (({},) * 129, "het_size"),
    ],
    ids=["no tasks", "no partition", "array", "array of the first", "one component", "too many components"],
)
def test_one_component_that_is_refused_refuses_all(world, components, code):
    with pytest.raises(RequestError) as refusal:
        world.submit_het(*components)

    assert refusal.value.code == code
    assert world.cluster.jobs == {}


def test_the_components_together_count_against_the_most_jobs():
    world = World(jobs_max=2)

    with pytest.raises(RequestError, match="at most 2 may be"):
        world.submit_het({}, {}, {})
    assert world.submit_het({}, {})


# --- the start


def test_all_start_in_one_transaction_and_the_leader_is_launched_with_all_of_them(world):
    leader_id = world.submit_het({"nodes": 1}, {"nodes": 2})
    world.pass_()

    assert [event.new_id for event in world.happened() if isinstance(event, JobStarted)] == [leader_id, leader_id + 1]
    (launch,) = world.took(Launch)
    assert launch.job.id == leader_id
    assert [job.id for job in launch.job.components] == [leader_id, leader_id + 1]
    assert all(job.allocation for job in launch.job.components)
    assert world.job(leader_id).components == (), "the description goes with the order, it is not kept"


def test_a_node_that_was_lost_meanwhile_keeps_all_from_starting(world):
    leader_id = world.submit_het({"nodes": 1}, {"nodes": 2})
    plan = world.plan()
    world.lose("n2")
    world.do(commands.ApplyPlan(plan))

    assert states(world, leader_id) == [PENDING, PENDING]
    assert world.free_cpus("n1") == 4


def test_a_component_that_was_held_meanwhile_keeps_all_from_starting(world):
    leader_id = world.submit_het({}, {})
    plan = world.plan()
    world.change("hold", f"{leader_id}+1")
    world.do(commands.ApplyPlan(plan))

    assert states(world, leader_id) == [PENDING, PENDING]


def test_components_on_one_node_are_checked_beside_one_another():
    """The plan counts on four CPUs, of which one has gone: the first component would fit, the second would not."""
    world = World(cpus=4)
    leader_id = world.submit_het({"ntasks": 2}, {"ntasks": 2})
    plan = world.plan()
    other = world.submit(ntasks=1)
    grant = replace(plan.starts[1].allocation.grants[0], cpus="3", cpu_count=1)
    stolen = replace(
        plan.starts[1],
        job_id=other,
        allocation=replace(plan.starts[1].allocation, grants=(grant,), tasks_per_node=(1,)),
    )
    world.do(commands.ApplyPlan(replace(plan, starts=(stolen, *plan.starts), version=world.cluster.version)))

    assert world.job(other).state is RUNNING
    assert states(world, leader_id) == [PENDING, PENDING]


@pytest.mark.parametrize(
    "waits",
    [{"is_held": True}, {"begin_at": 2_000_000.0}, {"after": "afterok:1"}],
    ids=["held", "begins later", "depends on a job"],
)
def test_what_one_component_waits_for_all_wait_for(world, waits):
    world.start(nodes=1)
    leader_id = world.submit_het({}, waits)
    world.pass_()

    assert states(world, leader_id) == [PENDING, PENDING]


def test_components_of_one_name_do_not_wait_for_one_another(world):
    """--dependency=singleton means other jobs of the name."""
    leader_id = world.submit_het({}, {}, after="singleton")
    world.pass_()

    assert states(world, leader_id) == [RUNNING, RUNNING]


def test_a_dependency_on_the_leader_is_one_on_the_whole_job(world):
    leader_id = start(world)
    later = world.submit(after=f"afterok:{leader_id}")
    world.end_script(leader_id)
    world.pass_()

    assert states(world, leader_id) == [JobState.COMPLETED, JobState.COMPLETED]
    world.clean(leader_id + 1)
    world.pass_()
    assert world.job(later).state is RUNNING
