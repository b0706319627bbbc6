"""Laws of preemption, on small random clusters: what holds whatever runs and waits."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.preemption import PreemptMode
from sluice.model.request import GresRequest
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.plan import Plan, PreemptJob
from sluicectld.scheduler.snapshot import Snapshot
from sluicectld.state import resources
from tests.preempt_builder import Rivals

GPUS = (GresRequest(name="gpu", count=2),)
ORDER = PreemptJob(0, PreemptMode.CANCEL, 0)


@st.composite
def situations(draw: st.DrawFn, modes: tuple[str, ...] = ("REQUEUE", "CANCEL", "SUSPEND,GANG")) -> Rivals:
    """Jobs of three tiers run on a few nodes and wait for them; no limit ends within the hour."""
    rivals = Rivals(
        nodes=draw(st.integers(1, 4)),
        modes=draw(st.sampled_from(modes)),
        gres=draw(st.sampled_from([(), GPUS])),
        is_strict_order=draw(st.booleans()),
        is_youngest_first=draw(st.booleans()),
        reorder_count=draw(st.integers(1, 3)),
    )
    rivals.partition("top", priority_tier=3, grace_s=30).partition("high", grace_s=60)
    for name in list(rivals.free_by_name):
        for cpus in draw(st.sampled_from([(4,), (2, 2), (1, 3), (1, 1, 2), (2,), (1, 1, 1, 1)])):
            gpus = rivals.free_by_name[name].gres
            rivals.runs(
                (name,),
                cpus=cpus,
                partition=draw(st.sampled_from(["low", "low", "low", "high", "top"])),
                priority=draw(st.integers(1, 3)),
                ran_s=draw(st.sampled_from([0.0, 600.0])),
                ends_in_s=draw(st.sampled_from([3600.0, 7200.0, None, -30.0])),
                memory_mib=draw(st.sampled_from([0, 500])),
                gres=(("gpu", 1),) if gpus and gpus[0].free and draw(st.booleans()) else (),
            )
    for _ in range(draw(st.integers(1, 4))):
        rivals.pending(
            nodes=draw(st.integers(1, 2)),
            partitions=(draw(st.sampled_from(["low", "high", "top", "top"])),),
            cpus_per_task=draw(st.integers(1, 4)),
            exclusive=draw(st.sampled_from(["", "", "node"])),
            memory_per_node_mib=draw(st.sampled_from([1, 2000])),
            gres_per_node=draw(st.sampled_from([(), (), (GresRequest(name="gpu", count=1),)])),
            limit_s=draw(st.sampled_from([600, 3600, None])),
            priority=draw(st.integers(1, 3)),
        )
    return rivals


def after(rivals: Rivals, plan: Plan, kept: int = 0) -> Snapshot:
    """Return the snapshot when all that the plan preempts is gone, but for one job."""
    gone = {order.job_id: order.mode for order in plan.preemptions if order.job_id != kept}
    snapshot = rivals.snapshot()
    free = dict(rivals.free_by_name)
    running = []
    for view in snapshot.running:
        mode = gone.get(view.job_id)
        if mode is None:
            running.append(view)
            continue
        assert view.job is not None
        for grant in view.allocation.grants:
            free[grant.node] = resources.give_back(free[grant.node], grant, view.job)
            if mode is PreemptMode.SUSPEND:
                kept_grant = resources.without_cpus(grant)
                free[grant.node] = resources.take(free[grant.node], kept_grant, view.job)
        if mode is PreemptMode.SUSPEND:
            grants = tuple(map(resources.without_cpus, view.allocation.grants))
            allocation = replace(view.allocation, grants=grants)
            running.append(replace(view, allocation=allocation, expected_end_at=None))
    return replace(snapshot, nodes=tuple(free.values()), running=tuple(running))


def tier_of(rivals: Rivals, partition: str) -> int:
    return rivals.partitions[partition].priority_tier


@given(situations())
@settings(max_examples=60)
def test_no_job_of_equal_or_higher_standing_is_preempted(rivals: Rivals) -> None:
    by_id = {job.id: job for job in rivals.pending_jobs}
    partition_of = {view.job_id: view.partition for view in rivals.running_jobs}
    for order in rivals.plan().preemptions:
        own = tier_of(rivals, by_id[order.for_job_id].partition)
        assert tier_of(rivals, partition_of[order.job_id]) < own


@given(situations())
@settings(max_examples=60)
def test_each_is_preempted_once_and_for_a_job_that_does_not_start(rivals: Rivals) -> None:
    plan = rivals.plan()
    victims = [order.job_id for order in plan.preemptions]
    started = {start.job_id for start in plan.starts}
    assert len(victims) == len(set(victims))
    assert started.isdisjoint(order.for_job_id for order in plan.preemptions)


@given(situations())
@settings(max_examples=60)
def test_the_first_who_preempts_starts_when_its_victims_are_gone(rivals: Rivals) -> None:
    """Alone, so that others do not decide it."""
    plan = rivals.plan()
    if not plan.preemptions or plan.starts:
        return
    first = plan.preemptions[0].for_job_id
    alone = replace(after(rivals, plan), pending=tuple(job for job in rivals.pending_jobs if job.id == first))
    assert [start.job_id for start in decide(alone, rivals.policy).starts] == [first]


@given(situations())
@settings(max_examples=60)
def test_without_any_one_victim_the_job_would_not_start(rivals: Rivals) -> None:
    rivals.pending_jobs = rivals.pending_jobs[:1]
    plan = rivals.plan()
    for order in plan.preemptions:
        assert not decide(after(rivals, plan, kept=order.job_id), rivals.policy).starts


@given(situations())
@settings(max_examples=60)
def test_a_job_for_which_nothing_is_preempted_would_not_start_if_all_below_it_were_gone(rivals: Rivals) -> None:
    rivals.pending_jobs = rivals.pending_jobs[:1]
    plan = rivals.plan()
    if plan.preemptions or plan.starts:
        return
    own = tier_of(rivals, rivals.pending_jobs[0].partition)
    below = [view for view in rivals.running_jobs if tier_of(rivals, view.partition) < own]
    mode = next(PreemptMode(word) for word in ("SUSPEND", "REQUEUE", "CANCEL") if word in rivals.policy.preempt.modes)
    orders = [replace(ORDER, job_id=view.job_id, mode=mode) for view in below]
    assert not decide(after(rivals, replace(plan, preemptions=tuple(orders))), rivals.policy).starts


@given(situations())
@settings(max_examples=60)
def test_the_same_snapshot_gives_the_same_preemptions(rivals: Rivals) -> None:
    memory = Memory()
    first = decide(rivals.snapshot(), rivals.policy, memory=memory)
    assert decide(rivals.snapshot(), rivals.policy, memory=memory) == first == rivals.plan()
    shuffled = replace(rivals.snapshot(), pending=tuple(reversed(rivals.pending_jobs)))
    assert decide(shuffled, rivals.policy) == first


@given(situations(modes=("REQUEUE", "CANCEL")))
@settings(max_examples=60)
def test_while_victims_are_going_nothing_more_is_preempted(rivals: Rivals) -> None:
    """Fixed point: with its victims in their grace the same jobs wait, and no further victim is chosen."""
    plan = rivals.plan()
    for order in plan.preemptions:
        rivals.warn(order.job_id, order.for_job_id, *order.rooms[0].nodes, mode=order.mode.value)
    again = rivals.plan()
    assert not again.preemptions
    assert {start.job_id for start in again.starts}.isdisjoint(order.for_job_id for order in plan.preemptions)
    for order in plan.preemptions:
        assert again.planned[order.for_job_id].nodes == order.rooms[0].nodes


@given(situations())
@settings(max_examples=60)
def test_an_urgent_job_is_not_delayed_by_preemptions_for_those_below(rivals: Rivals) -> None:
    """Whom the first one preempts is the same with and without the others that wait."""
    ranked = sorted(rivals.pending_jobs, key=lambda job: (-tier_of(rivals, job.partition), -job.priority, job.id))
    whole = rivals.plan()
    rivals.pending_jobs = ranked[:1]
    alone = rivals.plan()
    assert alone.preemptions == tuple(each for each in whole.preemptions if each.for_job_id == ranked[0].id)
