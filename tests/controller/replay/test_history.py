"""The journal once more: the passes made again decide what was recorded."""

import pytest
from msgspec.structs import replace

from sluice.model.priority import PrioritySetup
from sluice.wire import messages
from sluice_plugins.registry import prepare_priority
from sluicectld.replay.history import Comparison, Row, compare_history, read_rows
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy
from sluicectld.scheduler.totals import compute_totals
from sluicectld.state import events
from sluicectld.state.commands import ApplyPlan
from tests.engine_builder import OPERATOR, World
from tests.simulated_cluster import Simulation


def rows_of(world: World) -> list[Row]:
    return read_rows((stored.sequence, stored.payload) for stored in world.journal)


def compared(world: World, rows: list[Row] | None = None, since_at: float = 0.0) -> Comparison:
    digest = world.cluster.config_digest
    return compare_history(rows or rows_of(world), world.settings, world.engine.policy, digest, since_at)


SIZE_COUNTS = PrioritySetup(type="multifactor", weights={"jobsize": 1000}, flags=frozenset({"INCR_ONLY"}))
POLICIES = {
    "": Policy(select_unit="cpu"),
    "that promises starts": Policy(select_unit="cpu", keeps_promises=True),
    "that lets no priority fall": Policy(
        select_unit="cpu", priority=SIZE_COUNTS, priority_rule=prepare_priority(SIZE_COUNTS)
    ),
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("policy", POLICIES.values(), ids=[f"a scheduler {name}".strip() for name in POLICIES])
def test_whatever_happened_happens_again(policy: Policy, seed: int) -> None:
    """A cluster by dice, with late passes, lost nodes, arrays, holds and restarts."""
    simulation = Simulation(seed, policy=policy)
    simulation.run(events=150)

    found = compared(simulation.world)

    assert found.differences == []
    assert found.starts == sum(isinstance(event, events.JobStarted) for _, event in rows_of(simulation.world))


def test_a_promise_of_an_earlier_pass_holds_in_the_replay() -> None:
    """The second job would be first by its priority, but the first one was promised its start before it came."""
    world = World()
    world.engine.policy = POLICIES["that promises starts"]
    running = world.start(ntasks=4, limit_s=600)
    first = world.submit(ntasks=4, limit_s=600)
    world.pass_()
    second = world.submit(OPERATOR, ntasks=4, limit_s=600, priority=4294967000)
    world.pass_()
    world.pass_time(600)
    world.end_script(running)
    world.pass_()
    assert [world.job(each).started_at is not None for each in (first, second)] == [True, False]

    found = compared(world)

    assert (found.passes, found.differences) == (2, [])


def test_a_priority_that_may_not_fall_stays_up_in_the_replay() -> None:
    """The first job is made smaller, which counts for less than the second one's size; but it was first once."""
    world = World()
    totals = compute_totals(world.node_records, world.partition_records, {})
    world.engine.policy = replace(POLICIES["that lets no priority fall"], totals=totals)
    running = world.start(ntasks=4)
    first = world.submit(nodes=1, ntasks=4)
    second = world.submit(nodes=1, ntasks=3)
    world.pass_()
    world.update(first, NumTasks="2")
    world.pass_()
    world.end_script(running)
    world.pass_()
    assert [world.job(each).started_at is not None for each in (first, second)] == [True, False]

    assert compared(world).differences == []


def test_a_pass_that_promises_nothing_new_leaves_no_trace() -> None:
    world = World()
    world.engine.policy = POLICIES["that promises starts"]
    world.start(ntasks=4, limit_s=600)
    world.submit(ntasks=4, limit_s=600)
    world.pass_()
    traces = len(world.journal)

    world.pass_()

    assert len(world.journal) == traces


def test_promises_go_with_the_controller_that_made_them() -> None:
    """After a restart the job of higher priority comes first, in the cluster and in the replay."""
    world = World()
    world.engine.policy = POLICIES["that promises starts"]
    running = world.start(ntasks=4, limit_s=600)
    world.submit(ntasks=4, limit_s=600)
    world.pass_()
    second = world.submit(OPERATOR, ntasks=4, limit_s=600, priority=4294967000)
    world.pass_()
    world.restart()
    world.register("n1", running=(world.running_step(running),))
    world.end_script(running)
    world.pass_()
    assert world.job(second).started_at is not None

    assert compared(world).differences == []


def test_a_pass_is_made_again_on_what_it_had_seen() -> None:
    """The second job came while the pass was under way: had the pass seen it, it would have started first."""
    world = World()
    late = world.submit(ntasks=3)
    plan = world.plan()
    world.submit(OPERATOR, ntasks=3, priority=4294967000)
    world.pass_time(5)
    world.do(ApplyPlan(plan, world.now - 5))
    assert world.job(late).started_at == world.now

    assert compared(world).differences == []


def test_a_decision_that_was_stale_is_stale_again() -> None:
    world = World()
    gone = world.submit(ntasks=1)
    world.submit(ntasks=1)
    plan = world.plan()
    world.do(messages.KillJobs(ids=(str(gone),)))
    world.do(ApplyPlan(plan))

    found = compared(world)

    assert (found.passes, found.starts, found.differences) == (1, 1, [])


def test_the_journal_names_the_moment_of_a_pass() -> None:
    world = World()
    world.submit()
    seen = world.cluster.next_sequence - 1
    plan = world.plan()
    world.submit()
    world.pass_time(3)
    world.do(ApplyPlan(plan, world.now - 3))

    started = [event for _, event in rows_of(world) if isinstance(event, events.JobStarted)]

    assert [(event.decided_after, event.decided_at) for event in started] == [(seen, world.now - 3)]


def test_another_decision_is_told() -> None:
    world = World()
    world.start(ntasks=2)

    found = compare_history(
        rows_of(world), world.settings, world.engine.policy, "", decide=lambda snapshot, policy: Plan(snapshot.version)
    )

    text = "job 1: started on n1 CPUs 0-1 of partition batch, the pass made again does not start it"
    assert found.differences == [f"{text} (under another configuration)"]


def test_a_start_that_nobody_recorded_is_told() -> None:
    world = World()
    first = world.submit(ntasks=1)
    world.submit(ntasks=1)
    plan = world.plan()
    only_first = Plan(plan.version, plan.starts[:1])
    world.do(ApplyPlan(only_first))

    assert compared(world).differences == [
        f"job {first + 1}: not started, the pass made again starts it on n1 CPUs 1 of partition batch"
    ]


def test_a_journal_that_does_not_record_passes_is_taken_as_if_each_saw_everything_before() -> None:
    world = World(nodes=2)
    for _ in range(3):
        world.start(ntasks=2)
        world.pass_time(10)
    rows = [
        (sequence, _without_moment(event) if isinstance(event, events.JobStarted) else event)
        for sequence, event in rows_of(world)
    ]

    found = compared(world, rows)

    assert (found.passes, found.differences) == (3, [])


def test_passes_before_a_time_are_not_looked_at() -> None:
    world = World()
    world.start(ntasks=1)
    world.pass_time(100)
    world.start(ntasks=1)

    assert compared(world, since_at=world.now).starts == 1


def _without_moment(event: events.JobStarted) -> events.JobStarted:
    return events.JobStarted(
        at=event.at,
        job_id=event.job_id,
        new_id=event.new_id,
        allocation=event.allocation,
        partition=event.partition,
        limit_s=event.limit_s,
        task_id=event.task_id,
    )
