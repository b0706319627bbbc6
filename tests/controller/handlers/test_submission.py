"""Submission: defaults, refusals that name what stands against, holds, tokens."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.errors import RequestError
from sluice.model.states import Hold, JobState
from sluice.wire.messages import SubmitJob, Submitted
from sluicectld.state.commands import AcceptJob
from tests.engine_builder import ANN, BOB, OPERATOR, ROOT, World, dependency_of

MakeWorld = Callable[..., World]


def test_the_open_values_come_from_the_partition_and_the_cluster(make_world: MakeWorld) -> None:
    """No partition, limit or memory was asked for."""
    world = make_world(default_memory_per_cpu_mib=1000)
    world.configure(partitions=(replace(world.partition_records[0], default_limit_s=3600, max_limit_s=7200),))

    job = world.job(world.submit(memory_per_node_mib=None))

    assert job.partition == "batch"
    assert job.limit_s == 3600
    assert job.spec.memory_per_cpu_mib == 1000
    assert job.state is JobState.PENDING
    assert job.eligible_at == world.now


def test_a_limit_is_rounded_up_to_minutes(world: World) -> None:
    assert world.job(world.submit(limit_s=61)).limit_s == 120


def test_a_limit_of_zero_is_none(world: World) -> None:
    job_id = world.start(limit_s=0)

    world.pass_time(30 * 86400)

    assert world.job(job_id).state is JobState.RUNNING


def test_an_earlier_job_goes_first(world: World) -> None:
    first, second = world.submit(), world.submit()

    assert world.job(first).priority > world.job(second).priority


def test_a_repeated_token_returns_the_same_job(world: World) -> None:
    """The reply was lost, the client asks again: there is one job, and nothing happens."""
    first = world.submit(token="t")
    second = world.submit(token="t")

    assert second == first
    assert world.happened() == []
    assert len(world.cluster.jobs) == 1


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        pytest.param({"partitions": ("nosuch",)}, "invalid_partition", id="a partition that is not there"),
        pytest.param({"nodes": 0}, "node_count", id="no nodes"),
        pytest.param({"min_nodes": 2, "max_nodes": 1}, "node_count", id="more nodes at least than at most"),
        pytest.param({"ntasks": 0}, "ntasks", id="no tasks"),
        pytest.param({"cpus_per_task": -1}, "ntasks", id="less than no CPUs"),
        pytest.param({"cpus_per_task": 5}, "infeasible", id="more CPUs than any node has"),
        pytest.param({"memory_per_node_mib": 4001}, "infeasible", id="more memory than any node has"),
        pytest.param({"required_nodes": ("n9",)}, "invalid_node", id="a node that is not there"),
        pytest.param({"features": "fast"}, "invalid_feature", id="a feature that no node has"),
        pytest.param({"array": "0-1001"}, "invalid_array", id="an index of MaxArraySize"),
        pytest.param({"array": ((5, 1, 1),)}, "invalid_array", id="a range that runs backwards"),
        pytest.param({"array": ((0, 5, 1), (3, 9, 1))}, "invalid_array", id="ranges that overlap"),
        pytest.param({"limit_s": -60}, "time_limit", id="a negative limit"),
        pytest.param({"limit_s": 600, "deadline_at": 1_000_300.0}, "time_limit", id="a deadline too near"),
        pytest.param({"nice": -1}, "nice", id="a negative nice of a user"),
        pytest.param({"uid": 1001}, "invalid_user", id="somebody else's name"),
        pytest.param({"ntasks": 2**64 - 1}, "invalid_request", id="tasks beyond every number"),
        pytest.param({"ntasks_per_node": -1}, "invalid_request", id="less than no tasks on a node"),
        pytest.param({"nodes": 2**64 - 1}, "invalid_request", id="nodes beyond every number"),
        pytest.param({"memory_per_cpu_mib": 2**63}, "invalid_request", id="memory beyond every number"),
        pytest.param({"limit_s": 2**60}, "invalid_request", id="a limit beyond every calendar"),
        pytest.param({"umask": 2**40}, "invalid_request", id="a mask of more bits than there are"),
        pytest.param({"work_dir": "/tmp\0"}, "invalid_request", id="a folder of which C sees the half"),
        pytest.param({"arguments": ("a", "b\0")}, "invalid_request", id="an argument of which C sees the half"),
        pytest.param({"nice": 2**40}, "nice", id="a nice beyond every priority"),
        pytest.param({"begin_at": float("nan")}, "invalid_request", id="a begin that is no number"),
        pytest.param({"begin_at": 1e300}, "invalid_request", id="a begin beyond every calendar"),
        pytest.param({"deadline_at": float("inf")}, "invalid_request", id="an infinite deadline"),
        pytest.param({"after": f"after:1+{2**60}"}, "invalid_request", id="a dependency's endless delay"),
    ],
)
def test_what_cannot_be_is_refused(world: World, request_: dict[str, Any], code: str) -> None:
    with pytest.raises(RequestError) as refusal:
        world.submit(**request_)

    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("matlab|octave", "1 of license 'matlab' or 1 of license 'octave' requested, known are idl"),
        ("matlab,idl:5", "1 of license 'matlab' and 5 of license 'idl' requested, 2 of 'idl' exist, known are idl"),
        ("idl:5", "5 of license 'idl' requested, 2 of 'idl' exist"),
    ],
)
def test_every_license_that_is_not_there_is_named(make_world: MakeWorld, asked: str, text: str) -> None:
    world = make_world(licenses={"idl": 2})

    with pytest.raises(RequestError) as refusal:
        world.submit(licenses=asked)

    assert (refusal.value.code, refusal.value.message) == ("invalid_licenses", f"{text} (Licenses)")


def test_without_a_default_partition_one_must_be_named(world: World) -> None:
    world.configure(partitions=(replace(world.partition_records[0], is_default=False),))

    with pytest.raises(RequestError, match="none is the default"):
        world.submit()


@pytest.mark.parametrize(
    ("partition", "code"),
    [
        pytest.param({"state": "INACTIVE"}, "partition_not_available", id="inactive"),
        pytest.param({"state": "DRAIN"}, "partition_not_available", id="draining"),
        pytest.param({"root_only": True}, "not_permitted", id="for root only"),
        pytest.param({"allow_groups": ("physics",)}, "not_permitted", id="for a group of others"),
        pytest.param({"allow_accounts": ("physics",)}, "invalid_account", id="for an account of others"),
    ],
)
def test_a_closed_partition_refuses(world: World, partition: dict[str, Any], code: str) -> None:
    world.add_partition("closed", **partition)

    with pytest.raises(RequestError) as refusal:
        world.submit(partitions=("closed",))

    assert refusal.value.code == code


def test_a_member_of_an_allowed_group_gets_in(world: World) -> None:
    world.add_partition("physics", allow_groups=("physics",))

    assert world.submit(partitions=("physics",), groups=("physics",))


def test_a_down_partition_accepts_and_waits(world: World) -> None:
    world.add_partition("down", state="DOWN")
    job_id = world.submit(partitions=("down",))
    world.pass_()

    assert world.job(job_id).state is JobState.PENDING


def test_of_several_partitions_one_that_accepts_is_enough(world: World) -> None:
    world.add_partition("closed", state="INACTIVE")

    assert world.submit(partitions=("closed", "batch"))


def test_a_full_queue_refuses(make_world: MakeWorld) -> None:
    world = make_world(jobs_max=2)
    world.submit()
    world.submit()

    with pytest.raises(RequestError) as refusal:
        world.submit()

    assert refusal.value.code == "too_many_jobs"


def test_a_held_job_waits_with_priority_zero(world: World) -> None:
    job_id = world.submit(is_held=True)
    world.pass_()

    job = world.job(job_id)
    assert (job.state, job.hold, job.priority, job.eligible_at) == (JobState.PENDING, Hold.USER, 0, None)


def test_a_priority_of_zero_is_a_hold_that_release_ends(world: World) -> None:
    job_id = world.submit(priority=0)
    assert world.job(job_id).hold is Hold.USER

    world.change("release", job_id)

    assert world.job(job_id).priority > 0
    world.pass_()
    assert world.job(job_id).state is JobState.RUNNING


def test_a_users_wish_for_a_priority_is_not_heard_an_operators_is(world: World) -> None:
    wish, order = world.submit(ANN, priority=7), world.submit(OPERATOR, priority=7)

    assert world.job(wish).priority != 7
    assert world.job(order).priority == 7


def test_root_submits_for_another_user(world: World) -> None:
    job_id = world.submit(ROOT, uid=BOB.uid, gid=BOB.gid, user="bob")

    assert world.job(job_id).spec.user == "bob"


def test_a_job_with_a_begin_time_is_not_eligible_before(world: World) -> None:
    job_id = world.submit(begin_at=world.now + 600)
    world.pass_()
    assert world.job(job_id).state is JobState.PENDING
    assert world.job(job_id).eligible_at == world.now + 600

    world.pass_time(600)
    assert world.engine.is_pass_due
    world.pass_()

    assert world.job(job_id).state is JobState.RUNNING


def test_a_job_that_can_no_longer_end_in_time_is_removed(world: World) -> None:
    """The nodes are taken until after the job's deadline."""
    world.start(nodes=2, exclusive="node")
    late = world.submit(limit_s=600, deadline_at=world.now + 3600)

    world.pass_time(3000)

    assert world.job(late).state is JobState.DEADLINE
    assert world.job(late).reason.value == "DeadLine"


def test_a_job_that_must_start_at_once_is_taken_back(world: World) -> None:
    """Also when the command that waits for it was killed."""
    world.start(nodes=2, exclusive="node")
    impatient = world.submit(is_batch=False, immediate_s=5)

    world.pass_time(4)
    assert world.job(impatient).state is JobState.PENDING
    world.pass_time(1)

    job = world.job(impatient)
    assert (job.state, job.cancelled_by) == (JobState.CANCELLED, None)
    assert job.reason_text == "not started within 5 s (--immediate)"


def test_a_job_that_started_at_once_stays(world: World) -> None:
    job_id = world.start(is_batch=False, immediate_s=5)

    world.pass_time(60)

    assert world.job(job_id).state is JobState.RUNNING


def test_a_deadline_that_was_put_off_counts_as_it_is_now(world: World) -> None:
    """The timer of the first one comes, and finds nothing to do."""
    world.start(nodes=2, exclusive="node")
    late = world.submit(limit_s=600, deadline_at=world.now + 3600)
    world.set_key(late, OPERATOR, "Deadline", "now+2hours")

    world.pass_time(3000)
    assert world.job(late).state is JobState.PENDING

    world.pass_time(3600)
    assert world.job(late).state is JobState.DEADLINE


def test_a_job_that_started_in_time_keeps_its_deadline(world: World) -> None:
    job_id = world.start(limit_s=600, deadline_at=world.now + 3600)

    world.pass_time(500)

    assert world.job(job_id).state is JobState.RUNNING


@pytest.mark.parametrize(("left_s", "where"), [(300.0, "300 s away"), (0.0, "0 s past"), (-60.0, "60 s past")])
def test_a_deadline_that_cannot_be_met_says_where_it_is(world: World, left_s: float, where: str) -> None:
    with pytest.raises(RequestError, match=f"the deadline is {where}, the job needs 600 s"):
        world.submit(limit_s=600, deadline_at=world.now + left_s)


def _warnings(world: World, after: str) -> tuple[str, ...]:
    spec = world.job(world.submit(is_held=True)).spec
    request = SubmitJob(token="", spec=replace(spec, dependency=dependency_of(after)))
    submitted: Submitted = world.do(AcceptJob(request=request), ANN)
    return submitted.warnings


def test_a_dependency_on_a_job_that_never_was_is_taken_with_a_warning(world: World) -> None:
    """22.05 takes it too, without a word; most likely a digit is wrong."""
    assert _warnings(world, "afterok:999999") == (
        "dependency on afterok: job 999999 is not known, the last job is 1; this condition counts as met",
    )
    assert _warnings(world, "aftercorr:1,singleton") == ()


def test_a_dependency_on_a_task_that_never_was_is_taken_with_a_warning(world: World) -> None:
    array = world.submit(array="0-3", is_held=True)

    assert _warnings(world, f"afterok:{array}_2") == ()
    assert _warnings(world, f"afterok:{array}_77") == (
        f"dependency on afterok: job {array} has no task 77; this condition counts as met",
    )


def test_nothing_is_said_of_a_job_whose_record_was_purged(world: World) -> None:
    job_id = world.start()
    world.end_script(job_id)
    world.cluster.forget_job(job_id)

    assert _warnings(world, f"afterok:{job_id}") == ()


def test_an_update_warns_of_it_too(world: World) -> None:
    job_id = world.submit(is_held=True)

    done = world.update(job_id, Dependency="afterok:999999")

    assert done.warnings == (
        "dependency on afterok: job 999999 is not known, the last job is 1; this condition counts as met",
    )
    assert world.update(job_id, Dependency="").warnings == ()
