"""Laws of preemption where heterogeneous jobs run and wait: their components go or start together, or none does."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.job import Job
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.departures import lead_id_of
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Snapshot
from tests.preempt_builder import Rivals

from .test_preempt_laws import after, situations


@st.composite
def mixtures(draw: st.DrawFn, modes: tuple[str, ...] = ("REQUEUE", "CANCEL", "SUSPEND,GANG")) -> Rivals:
    """The running jobs of the plain situations, some of which are components, and small jobs and components waiting."""
    rivals = draw(situations(modes))
    running = [view.job_id for view in rivals.running_jobs]
    while len(running) > 1 and draw(st.booleans()):
        size = draw(st.integers(2, min(3, len(running))))
        rivals.bind(*running[:size])
        running = running[size + draw(st.integers(0, 1)) :]
    rivals.pending_jobs.clear()
    for _ in range(draw(st.integers(1, 3))):
        size = draw(st.sampled_from([1, 2, 2, 3]))
        tier = draw(st.sampled_from(["high", "top"]))
        jobs = [_draw_component(draw, rivals, tier) for _ in range(size)]
        if size > 1:
            rivals.gang(*jobs)
    return rivals


def _draw_component(draw: st.DrawFn, rivals: Rivals, partition: str) -> Job:
    return rivals.pending(
        nodes=draw(st.sampled_from([1, 1, 1, 2])),
        partitions=(draw(st.sampled_from([partition, partition, partition, "low"])),),
        cpus_per_task=draw(st.sampled_from([1, 2, 2, 3, 4])),
        exclusive=draw(st.sampled_from(["", "", "", "node"])),
        memory_per_node_mib=draw(st.sampled_from([1, 1, 2000])),
        limit_s=draw(st.sampled_from([600, 3600, None])),
        priority=draw(st.integers(1, 3)),
    )


def gone_after(rivals: Rivals, plan: Plan, spared: int = 0) -> Snapshot:
    """Return the snapshot when all whom the plan preempts are gone, components too, but for one of them."""
    orders = tuple(
        replace(order, job_id=part)
        for order in plan.preemptions
        if order.job_id != spared
        for part in rivals.parts_of(order.job_id)
    )
    return after(rivals, replace(plan, preemptions=orders))


def started_of(plan: Plan, rivals: Rivals) -> dict[int, set[int]]:
    """Return which components start, by the leader of those that have any that does."""
    started = {start.job_id for start in plan.starts}
    found: dict[int, set[int]] = {}
    for job in rivals.pending_jobs:
        if job.is_component and job.id in started:
            found.setdefault(job.het_job_id, set()).add(job.id)
    return found


def components_of(rivals: Rivals, leader_id: int) -> set[int]:
    return {job.id for job in rivals.pending_jobs if lead_id_of(job) == leader_id}


@given(mixtures())
@settings(max_examples=100)
def test_all_components_start_or_are_planned_or_none_is(rivals: Rivals) -> None:
    plan = rivals.plan()
    for leader_id, started in started_of(plan, rivals).items():
        assert started == components_of(rivals, leader_id)
    for leader_id in {job.het_job_id for job in rivals.pending_jobs if job.is_component}:
        planned = components_of(rivals, leader_id) & plan.planned.keys()
        assert planned in (set(), components_of(rivals, leader_id))


@given(mixtures())
@settings(max_examples=100)
def test_whoever_goes_is_named_as_a_whole_and_once(rivals: Rivals) -> None:
    plan = rivals.plan()
    leads = {lead_id_of(view.job) for view in rivals.running_jobs if view.job is not None}
    victims = [order.job_id for order in plan.preemptions]
    assert len(victims) == len(set(victims))
    assert leads.issuperset(victims)


@given(mixtures())
@settings(max_examples=100)
def test_whoever_preempts_has_room_for_all_components_and_keeps_it(rivals: Rivals) -> None:
    plan = rivals.plan()
    for order in plan.preemptions:
        assert {room.job_id for room in order.rooms} == components_of(rivals, order.for_job_id)
        for room in order.rooms:
            assert plan.planned[room.job_id].nodes == room.nodes


@given(mixtures())
@settings(max_examples=100)
def test_no_component_of_equal_or_higher_tier_than_every_one_that_preempts_goes(rivals: Rivals) -> None:
    plan = rivals.plan()
    by_id = {job.id: job for job in rivals.pending_jobs}
    tiers = {name: partition.priority_tier for name, partition in rivals.partitions.items()}
    partition_of = {view.job_id: view.partition for view in rivals.running_jobs}
    for order in plan.preemptions:
        own = max(tiers[by_id[room.job_id].partition] for room in order.rooms)
        assert all(tiers[partition_of[part]] < own for part in rivals.parts_of(order.job_id))


@given(mixtures())
@settings(max_examples=100)
def test_the_first_who_preempts_starts_with_all_components_when_its_victims_are_gone(rivals: Rivals) -> None:
    plan = rivals.plan()
    if not plan.preemptions or plan.starts:
        return
    ids = components_of(rivals, plan.preemptions[0].for_job_id)
    own = replace(plan, preemptions=tuple(each for each in plan.preemptions if each.for_job_id in ids))
    alone = replace(gone_after(rivals, own), pending=tuple(job for job in rivals.pending_jobs if job.id in ids))
    assert {start.job_id for start in decide(alone, rivals.policy).starts} == ids


@given(mixtures(modes=("REQUEUE", "CANCEL")))
@settings(max_examples=100)
def test_while_victims_are_going_all_places_are_kept_and_nothing_more_is_preempted(rivals: Rivals) -> None:
    plan = rivals.plan()
    for order in plan.preemptions:
        rivals.depart(order.job_id, order.for_job_id, order.rooms, order.mode)
    again = rivals.plan()
    assert not again.preemptions
    for order in plan.preemptions:
        for room in order.rooms:
            assert again.planned[room.job_id].nodes == room.nodes


@given(mixtures())
@settings(max_examples=100)
def test_a_memory_changes_nothing(rivals: Rivals) -> None:
    memory = Memory()
    first = decide(rivals.snapshot(), rivals.policy, memory=memory)
    assert decide(rivals.snapshot(), rivals.policy, memory=memory) == first == rivals.plan()


@given(mixtures())
@settings(max_examples=100)
def test_without_any_one_victim_the_components_would_not_start(rivals: Rivals) -> None:
    first = lead_id_of(rivals.pending_jobs[0])
    rivals.pending_jobs = [job for job in rivals.pending_jobs if lead_id_of(job) == first]
    plan = rivals.plan()
    for order in plan.preemptions:
        assert not decide(gone_after(rivals, plan, spared=order.job_id), rivals.policy).starts


@given(mixtures(modes=("REQUEUE", "CANCEL")), st.booleans())
@settings(max_examples=100)
def test_with_promises_of_the_pass_before_all_components_are_planned_or_none(rivals: Rivals, is_freed: bool) -> None:
    """First nobody may preempt, then somebody does, then the victims are in their grace; each pass knows the last."""
    rivals.policy = replace(rivals.policy, keeps_promises=True)
    memory = Memory()
    plan = decide(rivals.snapshot(), replace(rivals.policy, preempt_plugin=None))
    for _ in range(2):
        snapshot = replace(rivals.snapshot(), promised=plan.planned, is_freed=is_freed)
        plan = decide(snapshot, rivals.policy, memory=memory)
        # How many shapes are known is another number with a memory.
        alone = decide(snapshot, rivals.policy)
        assert replace(plan, tested_shapes=0) == replace(alone, tested_shapes=0)
        for job in rivals.pending_jobs:
            assert components_of(rivals, lead_id_of(job)) & plan.planned.keys() in (
                set(),
                components_of(rivals, lead_id_of(job)),
            )
        for order in plan.preemptions:
            rivals.depart(order.job_id, order.for_job_id, order.rooms, order.mode)
