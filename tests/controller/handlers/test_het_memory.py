"""Heterogeneous jobs in memory and on the journal; and what holds whatever happens to them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import RequestError
from sluicectld.state.effects import Launch
from tests.engine_builder import OPERATOR, World
from tests.het_builder import RUNNING, finish, start, states


@pytest.fixture
def world() -> World:
    return World(nodes=3)


def test_components_leave_memory_together(world):
    """The second was cancelled long before the end of the first: it would be missed at a requeue."""
    leader_id = start(world, {"limit_s": 7200}, {"limit_s": 7200})
    world.cancel(f"{leader_id}+1")
    world.clean(leader_id + 1)
    world.pass_time(3600)
    assert leader_id + 1 in world.cluster.jobs

    world.end_script(leader_id)
    world.pass_time(3600)
    assert world.cluster.jobs == {}


def test_the_journal_gives_heterogeneous_jobs_back(world):
    leader_id = start(world)
    world.change("requeue", leader_id, caller=OPERATOR)
    finish(world, leader_id)
    world.pass_()
    world.end_script(leader_id)

    world.check_replay()


def test_a_restarted_controller_starts_all_or_none(world):
    leader_id = world.submit_het({"nodes": 1}, {"nodes": 2})
    world.restart()
    world.register("n1", "n2", "n3")
    world.pass_()

    assert states(world, leader_id) == [RUNNING, RUNNING]


def test_a_restarted_controller_launches_the_script_again_with_all_components(world):
    """The agent never got the first order."""
    leader_id = start(world)
    world.restart()
    world.effects.clear()
    world.register("n1")

    (launch,) = world.took(Launch)
    assert [job.id for job in launch.job.components] == [leader_id, leader_id + 1]


steps = st.lists(
    st.sampled_from(
        ["pass", "end", "clean", "cancel", "cancel 1", "requeue", "lose", "back", "hold", "release", "time", "restart"]
    ),
    max_size=14,
)


@given(steps)
@settings(max_examples=60)
def test_whatever_happens_no_component_runs_while_another_waits(happenings):
    """After any of these, checked by the invariants of the state; and the journal tells the same story."""
    world = World(nodes=3)
    leader_id = world.submit_het({"nodes": 1}, {"nodes": 2}, limit_s=600)
    for each in happenings:
        happen(world, each, leader_id)
    if "restart" not in happenings:
        world.check_replay()


def happen(world, what, leader_id):
    jobs = world.cluster.components_of(world.cluster.jobs.get(leader_id) or world.job(min(world.cluster.jobs)))
    if what == "pass":
        world.pass_()
    elif what == "end" and jobs[0].state is RUNNING:
        world.end_script(leader_id)
    elif what == "clean":
        finish(world, leader_id)
    elif what.startswith("cancel"):
        world.cancel(f"{leader_id}+1" if "1" in what else leader_id)
    elif what == "lose":
        world.lose("n2")
    elif what == "back":
        world.register("n2")
    elif what in ("requeue", "hold", "release"):
        try:
            world.change(what, leader_id, caller=OPERATOR)
        except RequestError:
            return
    elif what == "time":
        world.pass_time(100)
    elif what == "restart":
        world.restart()
