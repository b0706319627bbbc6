"""The cluster's past as a workload: what it keeps of a job, and what it waits under another configuration."""

from msgspec.structs import replace as changed

from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.states import NodeState
from sluicectld.replay.drive import replay
from sluicectld.replay.history import read_rows
from sluicectld.replay.machine import Machine
from sluicectld.replay.past import Past, Wait, compare_waits, read_past
from sluicectld.replay.waits_report import render_waits, sum_by_user, waits_as_json
from sluicectld.scheduler.snapshot import Policy
from tests.engine_builder import ANN, BOB, World


def past_of(world: World) -> Past:
    return read_past(read_rows((stored.sequence, stored.payload) for stored in world.journal))


def machine(nodes: int, licenses: int = 0, **partition_fields: object) -> Machine:
    """Return such a cluster as World has, with another number of nodes."""
    names = tuple(f"n{number}" for number in range(1, nodes + 1))
    records = tuple(
        Node(name=name, cpus=4, cores_per_socket=4, memory_mib=4000, index=index, state=NodeState.UP)
        for index, name in enumerate(names)
    )
    partition = changed(Partition(name="batch", nodes=names, is_default=True), **partition_fields)
    policy = Policy(select_unit="cpu")
    return Machine("test", records, {"batch": partition}, partition, policy, {"matlab": licenses})


def waits(past: Past, before: Machine, after: Machine, since_s: int = 0) -> list[Wait]:
    one, other = (replay(past.jobs, each, each.policy) for each in (before, after))
    return compare_waits(past, one, other, since_s)


def two_that_ran(**fields: object) -> World:
    """Ann's job runs 100 s on all of a node, and so does Bob's, beside it."""
    world = World(nodes=2, licenses={"matlab": 2})
    jobs = [world.submit(caller, ntasks=4, limit_s=600, **fields) for caller in (ANN, BOB)]
    world.pass_()
    world.pass_time(100)
    for job_id in jobs:
        world.end_script(job_id)
    return world


def test_a_job_comes_when_it_was_eligible_and_runs_as_long_as_it_ran() -> None:
    world = World()
    first = world.start(ntasks=4, limit_s=600)
    second = world.submit(after=f"afterany:{first}", ntasks=1, limit_s=60)
    world.pass_time(100)
    world.end_script(first)
    world.pass_()
    world.pass_time(7)
    world.end_script(second)

    jobs = past_of(world).jobs

    assert [(job.submitted_s, job.run_s, job.processors, job.estimate_s) for job in jobs] == [
        (1_000_000, 100, 4, 600),
        (1_000_100, 7, 1, 60),
    ]


def test_jobs_that_never_ran_are_counted() -> None:
    world = World()
    world.submit(is_held=True)
    world.start()

    past = past_of(world)

    assert (len(past.jobs), past.idle) == (1, 1)


def test_half_the_nodes_make_the_second_wait() -> None:
    found = waits(past_of(two_that_ran()), machine(2), machine(1))

    assert [(wait.user, wait.recorded_s, wait.before_s, wait.after_s) for wait in found] == [
        ("ann", 0, 0, 0),
        ("bob", 0, 0, 100),
    ]


def test_licenses_are_counted_for_the_whole_cluster() -> None:
    found = waits(past_of(two_that_ran(licenses="matlab:1")), machine(2, licenses=2), machine(2, licenses=1))

    assert [(wait.before_s, wait.after_s) for wait in found] == [(0, 0), (0, 100)]


def test_a_throttled_array_keeps_its_throttle() -> None:
    world = World(nodes=1)
    array = world.submit(array="0-2%1", ntasks=1, limit_s=60)
    for _ in range(3):
        world.pass_()
        running = list(world.cluster.running)
        world.pass_time(10)
        for job_id in running:
            world.end_script(job_id)

    found = waits(past_of(world), machine(1), machine(8))

    assert sorted((wait.job, wait.before_s, wait.after_s) for wait in found) == [
        (f"{array}_0", 0, 0),
        (f"{array}_1", 10, 10),
        (f"{array}_2", 20, 20),
    ]


def test_a_job_of_a_user_who_wants_no_other_beside_it_gives_its_node_back() -> None:
    found = waits(past_of(two_that_ran(exclusive="user")), machine(2), machine(1))

    assert [(wait.before_s, wait.after_s) for wait in found] == [(0, 0), (0, 100)]


def test_a_job_that_does_not_start_any_more_is_told_with_its_reason() -> None:
    found = waits(past_of(two_that_ran()), machine(2), machine(2, max_limit_s=60))

    assert [wait.after_s for wait in found] == [None, None]
    assert all("PartitionTimeLimit" in wait.why for wait in found)
    assert "jobs that do not start any more: 2" in render_waits(found)


def test_what_came_before_is_replayed_and_not_told() -> None:
    world = two_that_ran()
    later = world.start(ntasks=1)
    world.end_script(later)

    assert [wait.job for wait in waits(past_of(world), machine(2), machine(1), since_s=int(world.now))] == [str(later)]


def test_sums_by_user_tell_the_losers_first() -> None:
    found = [
        Wait("1", "ann", 5, 10, 30),
        Wait("2", "ann", 5, 20, 10),
        Wait("3", "bob", 7, 5, 50),
        Wait("4", "bob", 9, 5, None),
    ]

    sums = sum_by_user(found)

    assert list(sums) == ["bob", "ann"]
    assert (sums["ann"].before_s, sums["ann"].after_s, sums["ann"].more, sums["ann"].less) == (30, 40, 1, 1)
    assert (sums["bob"].jobs, sums["bob"].recorded_s, sums["bob"].after_s, sums["bob"].lost) == (2, 7, 50, 1)
    assert waits_as_json(found)["jobs"][1]["change_s"] == -10
