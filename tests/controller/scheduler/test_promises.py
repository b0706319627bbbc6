"""Conservative backfill from pass to pass: what a promise outlives, and what it does not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sluice.model.node import GresPlace
from sluice.model.request import GresRequest
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.snapshot import Policy
from tests.engine_builder import ROOT, World


class Keeper(World):
    """A world whose passes keep promises; times are counted from its beginning."""

    def __init__(self, nodes: int = 1, has_memory: bool = True) -> None:
        super().__init__(nodes=nodes)
        self.engine.policy = Policy(select_unit="cpu", keeps_promises=True)
        self.memory = Memory() if has_memory else None
        self.began_at = self.now

    @property
    def promised(self) -> dict[int, float]:
        """Return when whom a pass now promises to start."""
        return {job_id: each.at - self.began_at for job_id, each in self.pass_().planned.items()}


@pytest.fixture(params=[True, False], ids=["with a memory", "without"])
def world(request: pytest.FixtureRequest) -> Keeper:
    """One node, taken for ten minutes."""
    world = Keeper(has_memory=request.param)
    world.start(ntasks=4, limit_s=600)
    return world


def test_a_changed_request_is_planned_anew_at_once(world: Keeper) -> None:
    """Nothing has ended; yet what was promised to half an hour is no promise to one hour, nor is the place."""
    changed = world.submit(ntasks=4, limit_s=1800)
    other = world.submit(ntasks=2, limit_s=600)
    assert world.promised == {changed: 600, other: 2400}

    world.update(changed, caller=ROOT, NumTasks="2")

    assert world.promised == {changed: 600, other: 600}


def test_what_was_promised_to_a_job_that_goes_is_open_to_others_at_once(world: Keeper) -> None:
    gone = world.submit(ntasks=4, limit_s=600)
    next_one = world.submit(ntasks=4, limit_s=600)
    assert world.promised == {gone: 600, next_one: 1200}

    world.cancel(gone)

    assert world.promised == {next_one: 600}


def test_a_promise_that_cannot_be_kept_is_not_pushed_back_by_those_made_after_it(world: Keeper) -> None:
    """The running job may stay a minute longer: everybody waits a minute longer, in the same order."""
    (running,) = world.cluster.running
    first = world.submit(ntasks=4, limit_s=600)
    second = world.submit(ntasks=4, limit_s=300)
    assert world.promised == {first: 600, second: 1200}

    world.update(running, caller=ROOT, TimeLimit="11")

    assert world.promised == {first: 660, second: 1260}


def test_a_start_that_takes_effect_late_moves_what_comes_after_it_and_no_more() -> None:
    world = Keeper()
    world.submit(ntasks=4, limit_s=600)
    first = world.submit(ntasks=4, limit_s=600)
    second = world.submit(ntasks=4, limit_s=300)
    plan = world.plan()
    world.pass_time(5)
    world.apply(plan)

    assert world.promised == {first: 605, second: 1205}


def test_who_waits_for_a_job_that_outlives_its_limit_is_not_passed(world: Keeper) -> None:
    """Its promise is overdue: it stands first still, and who comes after it moves with it."""
    world.configure(partitions=(replace(world.partition_records[0], over_limit_s=3600),))
    first = world.submit(ntasks=4, limit_s=600)
    second = world.submit(ntasks=4, limit_s=300)
    assert world.promised == {first: 600, second: 1200}

    world.pass_time(630)

    assert world.promised == {first: 630, second: 1230}


@pytest.mark.parametrize("has_memory", [True, False], ids=["with a memory", "without"])
def test_a_job_in_two_partitions_is_not_in_its_own_way(has_memory: bool) -> None:
    """It is promised a place in the second partition; looked at in the first one it finds that place as free."""
    world = Keeper(nodes=2, has_memory=has_memory)
    world.add_partition("half", nodes=("n1",), priority_tier=2)
    world.start(nodes=2, ntasks=8, limit_s=600)
    wide = world.submit(nodes=2, ntasks=8, limit_s=600, partitions=("half", "batch"))
    assert world.promised == {wide: 600}

    world.add_partition("whole", priority_tier=3)

    assert world.promised == {wide: 600}
    assert world.promised == {wide: 600}


def test_the_rest_of_an_array_is_not_promised_what_its_tasks_have_taken() -> None:
    """Both tasks that may run start where the third was to: it waits for one of them, not for what they hold."""
    world = Keeper()
    before = world.start(ntasks=4, limit_s=600)
    array = world.submit(ntasks=2, limit_s=1200, array="1-3")
    assert world.promised == {array: 600}

    world.end_script(before)

    assert world.promised == {array: 1200}


@pytest.mark.parametrize("has_memory", [True, False], ids=["with a memory", "without"])
def test_a_promise_of_numbered_units_stays_on_its_nodes(has_memory: bool) -> None:
    """The first node comes to be free at the same time; it would be the first choice, but nothing has ended."""
    world = Keeper(nodes=2, has_memory=has_memory)
    near = (GresPlace(name="gpu", type="a", count=2, cores="0-1"),)
    gpus = (GresRequest(name="gpu", type="a", count=2),)
    world.configure(nodes=tuple(replace(node, gres=gpus, gres_places=near) for node in world.node_records))
    world.register("n1", "n2", gres=gpus)
    first, second = (world.start(ntasks=4, limit_s=limit_s) for limit_s in (1200, 600))
    assert (world.job(first).nodes, world.job(second).nodes) == (("n1",), ("n2",))
    waiting = world.submit(ntasks=1, limit_s=600, gres_per_node=(GresRequest(name="gpu", count=1),))
    assert world.pass_().planned[waiting].nodes == ("n2",)

    world.update(first, caller=ROOT, TimeLimit="10")

    assert world.pass_().planned[waiting].nodes == ("n2",)
