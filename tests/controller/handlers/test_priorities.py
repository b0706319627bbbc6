"""Priorities from submission to start."""

from sluice.model.priority import PrioritySetup, PriorityTables
from sluice_plugins.registry import prepare_priority
from sluicectld.scheduler.snapshot import Policy
from sluicectld.scheduler.totals import compute_totals
from tests.engine_builder import ROOT, World


def world_with(setup: PrioritySetup) -> World:
    world = World(nodes=2)
    world.engine.policy = Policy(
        select_unit="cpu",
        priority=setup,
        priority_rule=prepare_priority(setup),
        totals=compute_totals(world.node_records, world.partition_records, {}),
    )
    return world


def test_a_job_has_its_weighted_priority_from_submission_on() -> None:
    """Half of the nodes and of the CPUs."""
    world = world_with(PrioritySetup(weights={"jobsize": 1000}))

    assert world.job(world.submit(ntasks=4)).priority == 500


def test_tables_of_accounting_reach_submission_and_pass() -> None:
    world = world_with(PrioritySetup(weights={"fairshare": 1000}))
    world.cluster.priority_tables = PriorityTables(fair_shares={("physics", "ann", ""): 0.5})
    job_id = world.submit(nodes=2, account="physics")

    assert world.job(job_id).priority == 500
    assert world.plan().priorities == {job_id: 500}


def test_a_job_keeps_the_priority_with_which_it_started() -> None:
    world = world_with(PrioritySetup(weights={"age": 1000}, max_age_s=1000.0))
    job_id = world.submit()
    world.pass_time(250)
    world.pass_()
    world.pass_time(500)

    assert world.job(job_id).priority == 250
    world.check_replay()


def test_running_jobs_are_handed_to_the_pass_when_their_priorities_go_on() -> None:
    setup = PrioritySetup(weights={"age": 1000}, max_age_s=1000.0, flags=frozenset({"CALCULATE_RUNNING"}))
    world = world_with(setup)
    job_id = world.start()
    world.pass_time(500)

    assert world.plan().priorities == {job_id: 500}


def test_a_larger_nice_value_lowers_the_priority_at_once() -> None:
    world = world_with(PrioritySetup(weights={"jobsize": 1000}))
    job_id = world.submit(ntasks=4)
    world.update(job_id, ROOT, Nice="100")

    assert world.job(job_id).priority == 400


AGEING = PrioritySetup(weights={"age": 1000}, max_age_s=3600.0, calculation_period_s=300.0)


def pass_is_due_after(world: World, seconds: float) -> bool:
    world.engine.is_pass_due = False
    world.pass_time(seconds)
    return world.engine.is_pass_due


def test_jobs_that_wait_are_numbered_every_period_although_nothing_happens() -> None:
    world = world_with(AGEING)
    world.start(nodes=2, ntasks=8)
    waiting = world.submit(limit_s=600)
    world.pass_()

    assert not pass_is_due_after(world, 299)
    assert pass_is_due_after(world, 1)
    assert world.pass_().priorities == {waiting: 83}
    assert not pass_is_due_after(world, 299)
    assert pass_is_due_after(world, 1)
    assert world.pass_().priorities == {waiting: 166}


def test_a_pass_that_something_else_made_due_counts_for_the_period() -> None:
    world = world_with(AGEING)
    world.start(nodes=2, ntasks=8)
    world.submit()
    world.pass_()
    world.pass_time(200)
    world.pass_()

    assert not pass_is_due_after(world, 299)
    assert pass_is_due_after(world, 1)


def test_without_jobs_that_wait_nothing_is_numbered() -> None:
    world = world_with(AGEING)
    world.start(is_unlimited=True)

    assert not pass_is_due_after(world, 86400)
    assert world.engine.next_wakeup_at() is None


def test_priorities_that_last_are_not_computed_again() -> None:
    world = world_with(PrioritySetup(type="basic"))
    world.start(nodes=2, ntasks=8, is_unlimited=True)
    world.submit()
    world.pass_()

    assert not pass_is_due_after(world, 86400)


def test_jobs_that_wait_are_numbered_every_period_after_a_restart_too() -> None:
    world = world_with(AGEING)
    world.start(nodes=2, ntasks=8, is_unlimited=True)
    world.submit()
    world.pass_()
    world.restart()
    world.pass_()

    assert pass_is_due_after(world, 300)
