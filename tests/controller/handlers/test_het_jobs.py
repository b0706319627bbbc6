"""Rules for heterogeneous jobs: what is done to one component, and what that does to the others."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.errors import RequestError
from sluice.model.reason import Reason
from sluice.model.states import JobState
from sluice.wire import messages
from sluicectld.state import commands
from sluicectld.state.effects import Launch
from sluicectld.state.events import JobStarted, JobSubmitted
from tests.engine_builder import ANN, BOB, OPERATOR, World

PENDING, RUNNING, CANCELLED = JobState.PENDING, JobState.RUNNING, JobState.CANCELLED


@pytest.fixture
def world() -> World:
    return World(nodes=3)


def states(world, leader_id):
    return [job.state for job in world.cluster.components_of(world.job(leader_id))]


def start(world, *components, **shared):
    leader_id = world.submit_het(*(components or ({"nodes": 1}, {"nodes": 2})), **shared)
    world.pass_()
    assert set(states(world, leader_id)) == {RUNNING}
    return leader_id


# --- submission


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


# --- the end


@pytest.mark.parametrize(("code", "state"), [(0, JobState.COMPLETED), (3, JobState.FAILED)], ids=["well", "badly"])
def test_when_the_script_ends_all_end_like_it(world, code, state):
    leader_id = start(world)
    world.end_script(leader_id, exit_code=code)

    assert states(world, leader_id) == [state, state]
    assert world.job(leader_id + 1).completing_nodes == world.job(leader_id + 1).nodes
    world.clean(leader_id + 1)
    assert [world.free_cpus(name) for name in ("n1", "n2", "n3")] == [4, 4, 4]


def test_a_node_that_is_clean_of_the_leader_is_not_clean_of_another_component():
    world = World(cpus=4)
    leader_id = start(world, {"ntasks": 1}, {"ntasks": 1})
    world.end_script(leader_id)

    assert world.job(leader_id + 1).completing_nodes == ("n1",)


def test_a_running_component_may_be_cancelled_alone(world):
    leader_id = start(world)
    (outcome,) = world.cancel(f"{leader_id}+1")

    assert outcome.code == ""
    assert states(world, leader_id) == [RUNNING, CANCELLED]


def test_cancelling_the_leader_cancels_all(world):
    leader_id = start(world)
    world.cancel(f"{leader_id}+0")

    assert states(world, leader_id) == [CANCELLED, CANCELLED]


def test_the_common_id_stands_for_all(world):
    leader_id = world.submit_het({}, {})
    (outcome,) = world.cancel(leader_id)

    assert outcome.code == ""
    assert states(world, leader_id) == [CANCELLED, CANCELLED]


@pytest.mark.parametrize("name", ["{0}+1", "{1}"], ids=["as a component", "by its own id"])
def test_a_waiting_component_is_not_cancelled_alone(world, name):
    leader_id = world.submit_het({}, {})
    (outcome,) = world.cancel(name.format(leader_id, leader_id + 1))

    assert outcome.code == "component"
    assert outcome.message == "Operation not permitted on individual component of heterogeneous job"
    assert states(world, leader_id) == [PENDING, PENDING]


def test_a_filter_that_names_all_components_cancels_the_job_without_complaint(world):
    leader_id = world.submit_het({}, {})
    outcomes = world.cancel(users=("ann",))

    assert [(outcome.id, outcome.code) for outcome in outcomes] == [(str(leader_id), "")]
    assert states(world, leader_id) == [CANCELLED, CANCELLED]


def test_a_component_that_does_not_exist_is_unknown(world):
    leader_id = world.submit_het({}, {})
    plain = world.submit()

    assert [world.cancel(name)[0].code for name in (f"{leader_id}+2", f"{leader_id}+7", f"{plain}+0")] == [
        "unknown"
    ] * 3


def test_a_component_reaches_its_own_time_limit_alone(world):
    leader_id = start(world, {"limit_s": 600}, {"limit_s": 60})
    world.pass_time(61)

    assert states(world, leader_id) == [RUNNING, JobState.TIMEOUT]


def test_when_the_leader_reaches_its_limit_all_have(world):
    leader_id = start(world, {"limit_s": 60}, {"limit_s": 600})
    world.pass_time(61)

    assert states(world, leader_id) == [JobState.TIMEOUT, JobState.TIMEOUT]


def test_a_deadline_that_one_component_can_not_meet_ends_all(world):
    world.start(nodes=3, exclusive="node", limit_s=3600)
    leader_id = world.submit_het({}, {"deadline_at": world.now + 1200, "limit_s": 600})
    world.pass_time(601)

    assert states(world, leader_id) == [JobState.DEADLINE, JobState.DEADLINE]


def test_a_dependency_of_one_component_that_can_never_hold_ends_all_where_that_is_asked(world):
    failing = world.start()
    leader_id = world.submit_het({}, {"after": f"afterok:{failing}", "kill_on_invalid_dependency": True})
    world.end_script(failing, exit_code=1)

    assert states(world, leader_id) == [CANCELLED, CANCELLED]
    assert world.job(leader_id).reason is Reason.DEPENDENCY_NEVER_SATISFIED


def test_an_interactive_job_ends_with_its_command(world):
    leader_id = start(world, is_batch=False)
    world.do(messages.FinishAllocation(job_id=leader_id), ANN)

    assert states(world, leader_id) == [JobState.COMPLETED, JobState.COMPLETED]


# --- back to the queue


def finish(world, leader_id):
    for job in world.cluster.components_of(world.job(leader_id)):
        world.clean(job.id)


def test_a_requeue_brings_all_components_back_also_one_that_had_ended(world):
    leader_id = start(world, {}, {}, {})
    world.cancel(f"{leader_id}+2")
    world.clean(leader_id + 2)
    world.change("requeue", leader_id, caller=OPERATOR)
    finish(world, leader_id)

    jobs = world.cluster.components_of(world.job(leader_id))
    assert [(job.state, job.attempt) for job in jobs] == [(PENDING, 1)] * 3
    world.pass_()
    assert states(world, leader_id) == [RUNNING] * 3


def test_nothing_starts_before_all_components_are_back(world):
    leader_id = start(world)
    world.change("requeue", leader_id, caller=OPERATOR)
    world.clean(leader_id)
    world.pass_()

    assert states(world, leader_id) == [PENDING, CANCELLED]
    world.clean(leader_id + 1)
    world.pass_()
    assert states(world, leader_id) == [RUNNING, RUNNING]


def test_a_finished_job_may_be_requeued_as_a_whole(world):
    leader_id = start(world)
    world.end_script(leader_id)
    finish(world, leader_id)
    world.change("requeue", leader_id, caller=OPERATOR)

    assert states(world, leader_id) == [PENDING, PENDING]


@pytest.mark.parametrize(
    ("action", "code"), [("requeue", "not_leader"), ("suspend", "component"), ("resume", "component")]
)
def test_a_component_is_not_requeued_or_suspended_alone(world, action, code):
    leader_id = start(world)

    with pytest.raises(RequestError) as refusal:
        world.change(action, f"{leader_id}+1", caller=OPERATOR)
    assert refusal.value.code == code


def test_suspend_and_resume_act_on_all(world):
    leader_id = start(world)
    world.change("suspend", leader_id, caller=OPERATOR)
    assert states(world, leader_id) == [JobState.SUSPENDED, JobState.SUSPENDED]

    world.change("resume", leader_id, caller=OPERATOR)
    assert states(world, leader_id) == [RUNNING, RUNNING]


def test_requeuehold_holds_all(world):
    leader_id = start(world)
    world.change("requeuehold", leader_id, caller=OPERATOR)
    finish(world, leader_id)
    world.pass_()

    assert states(world, leader_id) == [PENDING, PENDING]
    assert {job.priority for job in world.cluster.components_of(world.job(leader_id))} == {0}


def test_hold_and_release_by_the_common_id_act_on_all_by_a_component_on_it(world):
    leader_id = world.submit_het({}, {})
    world.change("hold", leader_id)
    world.change("release", f"{leader_id}+0")
    world.pass_()
    assert states(world, leader_id) == [PENDING, PENDING]

    world.change("release", f"{leader_id}+1")
    world.pass_()
    assert states(world, leader_id) == [RUNNING, RUNNING]


def test_an_update_by_the_common_id_changes_all_by_a_component_it_alone(world):
    leader_id = world.submit_het({}, {}, limit_s=3600)
    world.update(leader_id, TimeLimit="20")
    world.update(f"{leader_id}+1", TimeLimit="10")

    assert [job.limit_s for job in world.cluster.components_of(world.job(leader_id))] == [1200, 600]


@pytest.mark.parametrize("node", ["n1", "n2"], ids=["of the leader", "of another component"])
def test_a_node_that_fails_sends_the_whole_job_back(world, node):
    leader_id = start(world)
    world.lose(node)
    finish(world, leader_id)

    assert states(world, leader_id) == [PENDING, PENDING]
    world.register(node)
    world.pass_()
    assert states(world, leader_id) == [RUNNING, RUNNING]


def test_a_component_whose_node_fails_ends_alone_when_the_job_may_not_be_requeued(world):
    leader_id = start(world, can_requeue=False)
    world.lose("n2")

    assert states(world, leader_id) == [RUNNING, JobState.NODE_FAIL]


def test_the_leaders_node_that_fails_ends_all_when_the_job_may_not_be_requeued(world):
    leader_id = start(world, can_requeue=False)
    world.lose("n1")

    assert states(world, leader_id) == [JobState.NODE_FAIL, JobState.NODE_FAIL]


def test_a_failed_node_that_all_components_share_ends_each_once():
    world = World(cpus=4)
    leader_id = start(world, {"ntasks": 1}, {"ntasks": 1}, can_requeue=False)
    world.lose("n1")

    assert states(world, leader_id) == [JobState.NODE_FAIL, JobState.NODE_FAIL]
    assert world.job(leader_id + 1).completing_nodes == ()


def test_another_users_component_is_nobody_elses_to_cancel(world):
    leader_id = start(world)

    assert {outcome.code for outcome in world.cancel(leader_id, caller=BOB)} == {"not_permitted"}


# --- memory and journal


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
@settings(max_examples=60, deadline=None)
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
