"""What listings show of a job's priority."""

import msgspec
from msgspec.structs import replace

from sluicectld.rpc.views import JobViewCache, job_view, node_view, priority_of
from sluicectld.scheduler.plan import Plan
from tests.builders import Cluster
from tests.engine_builder import World


def test_a_waiting_job_has_the_priority_of_the_last_pass() -> None:
    job = Cluster().pending(priority=5)

    assert job_view(job, Plan(version=1, priorities={job.id: 77}), 0.0, {}).job.priority == 77
    assert job_view(job, Plan(version=1), 0.0, {}).job.priority == 5


def test_a_held_job_has_none_though_an_older_pass_saw_it() -> None:
    job = Cluster().pending(priority=0)

    assert priority_of(job, Plan(version=1, priorities={job.id: 77}), {}) == 0


def test_what_a_user_changed_since_that_pass_counts_at_once() -> None:
    job = Cluster().pending(priority=5)
    plan = Plan(version=3, priorities={job.id: 77})

    assert [priority_of(job, plan, {job.id: version}) for version in (3, 4)] == [77, 5]


def test_a_kept_view_follows_the_priority() -> None:
    job, cache = Cluster().pending(priority=5), JobViewCache()
    plans = [Plan(version=number, priorities={job.id: number}) for number in (8, 8, 9)]

    raws = [cache.view(job, plan, 0.0, {}) for plan in plans]

    assert raws[0] is raws[1]
    assert [msgspec.msgpack.decode(raw)["job"]["priority"] for raw in raws] == [8, 8, 9]
    assert cache.view(replace(job, priority=6), Plan(version=10), 0.0, {}) is not raws[2]


def test_a_node_whose_jobs_have_all_ended_is_idle_and_completing() -> None:
    """Beside a job that runs it is as busy as that one; of a job on two nodes only the one that is not clean counts."""
    world = World(nodes=2)
    first, second = world.start(nodes=2, ntasks=2), world.start(nodes=1, required_nodes=("n1",))

    world.cancel(first)
    assert _states(world) == [("mixed", ("COMPLETING",)), ("idle", ("COMPLETING",))]

    world.clean(first, "n2")
    world.cancel(second)
    assert _states(world) == [("idle", ("COMPLETING",)), ("idle", ())]


def _states(world: World) -> list[tuple[str, tuple[str, ...]]]:
    views = [node_view(world.cluster, node, (), set(), None) for node in world.cluster.nodes.values()]
    return [(view.state, view.flags) for view in views]
