"""scontrol update of jobs, key by key: what users may, what operators may, what is refused and why."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.error_texts import text_of
from sluice.errors import NotPermitted, RequestError
from sluice.model.request import GresRequest
from sluice.model.states import Hold, JobState
from sluicectld.handlers.job_keys import KEYS
from sluicectld.permissions import Caller
from sluicectld.scheduler.plan import Plan
from sluicectld.state.commands import ApplyPlan
from tests.engine_builder import ANN, BOB, OPERATOR, ROOT, World

MakeWorld = Callable[..., World]


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """Nodes with a feature and devices; the partitions "batch" (limit 2 days), "short" and "secret"."""
    world = make_world(nodes=2)
    nodes = tuple(
        replace(node, features=("a",), gres=(GresRequest(name="gpu", count=2),)) for node in world.node_records
    )
    world.configure(nodes=nodes, partitions=(replace(world.partition_records[0], max_limit_s=2 * 86400),))
    world.add_partition("short")
    world.add_partition("secret", root_only=True)
    return world


@pytest.fixture
def job_id(world: World) -> int:
    """A pending job of ann's."""
    return world.submit(begin_at=world.now + 3600, limit_s=600)


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("Name", "nn", "name", "nn"),
        ("JobName", "nn", "name", "nn"),
        ("Comment", "a b", "comment", "a b"),
        ("NumNodes", "2", "min_nodes", 2),
        ("NumNodes", "1-2", "max_nodes", 2),
        ("MinNodes", "2", "min_nodes", 2),
        ("NumNodes", "99", "min_nodes", 99),
        ("NumCPUs", "2-3", "ntasks", 2),
        ("NumTasks", "3", "ntasks", 3),
        ("CPUsPerTask", "2", "cpus_per_task", 2),
        ("MinCPUsNode", "2", "min_cpus_per_node", 2),
        ("MinMemoryNode", "500", "memory_per_node_mib", 500),
        ("MinMemoryNode", "999999", "memory_per_node_mib", 999_999),
        ("MinMemoryCPU", "100", "memory_per_cpu_mib", 100),
        ("MinMemoryCPU", "100", "memory_per_node_mib", None),
        ("Features", "a", "features", "a"),
        ("Gres", "gpu:1", "gres_per_node", (GresRequest(name="gpu", count=1),)),
        ("Gres", "", "gres_per_node", ()),
        ("ReqNodeList", "n1", "required_nodes", ("n1",)),
        ("NodeList", "n[1-2]", "required_nodes", ("n1", "n2")),
        ("ReqNodeList", "", "required_nodes", ()),
        ("ExcNodeList", "n2", "excluded_nodes", ("n2",)),
        ("StdOut", "/tmp/x", "std_out", "/tmp/x"),
        ("StdErr", "/tmp/x", "std_err", "/tmp/x"),
        ("StdIn", "/tmp/x", "std_in", "/tmp/x"),
        ("WorkDir", "/tmp", "work_dir", "/tmp"),
        ("QOS", "normal", "qos", "normal"),
        ("Account", "foo", "account", "foo"),
        ("Licenses", "", "licenses", ""),
        ("ReservationName", "", "reservation", ""),
        ("Requeue", "0", "can_requeue", False),
        ("Requeue", "1", "can_requeue", True),
        ("MailUser", "a@b", "mail_user", "a@b"),
        ("MailType", "END,FAIL", "mail_types", ("END", "FAIL")),
        ("Switches", "1", "switches", "1"),
        ("WCKey", "k", "wckey", "k"),
        ("TimeMin", "5", "min_limit_s", 300),
        ("Partition", "short,batch", "partitions", ("short", "batch")),
        ("Nice", "10", "nice", 10),
    ],
)
def test_a_user_changes_his_pending_job(
    world: World, job_id: int, key: str, value: str, field: str, expected: object
) -> None:
    before = world.job(job_id).spec_id
    world.set_key(job_id, ANN, key, value)

    assert getattr(world.job(job_id).spec, field) == expected
    assert world.job(job_id).spec_id > before, "the changed request is stored under its own number"


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("AdminComment", "zz", "admin_comment", "zz"),
        ("TasksPerNode", "2", "ntasks_per_node", 2),
        ("Contiguous", "1", "is_contiguous", True),
        ("OverSubscribe", "yes", "can_oversubscribe", True),
        ("Priority", "500", "priority", 500),
        ("Nice", "-5", "nice", -5),
        ("Deadline", "2100-01-01", "deadline_at", None),
    ],
)
def test_what_operators_change_and_users_do_not(
    world: World, job_id: int, key: str, value: str, field: str, expected: object
) -> None:
    with pytest.raises(NotPermitted):
        world.set_key(job_id, ANN, key, value)

    world.set_key(job_id, OPERATOR, key, value)

    now = getattr(world.job(job_id).spec, field)
    assert now == expected or (expected is None and now is not None)


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("TimeLimit", "bogus", "time_limit"),
        ("Partition", "nosuch", "invalid_partition"),
        ("Partition", "secret", "not_permitted"),
        ("Dependency", "bogus", "dependency"),
        ("Licenses", "lic:2", "invalid_licenses"),
        ("ReservationName", "r", "reservation"),
        ("StartTime", "bogus", "invalid_time"),
        ("EndTime", "now+1hour", "not_running"),
        ("Features", "zz", "invalid_feature"),
        ("Features", "(a", "invalid_feature"),
        ("Gres", "bogus:1", "invalid_gres"),
        ("ReqNodeList", "n9", "invalid_node"),
        ("ReqNodeList", "n[1-", "invalid_hostlist"),
        ("MinMemoryCPU", "bad", "invalid_size"),
        ("Requeue", "x", "invalid_request"),
        ("NumTasks", "0", "ntasks"),
        ("NumTasks", "--5", "invalid_request"),
        ("NumTasks", "-5", "invalid_request"),
        ("NumCPUs", "many", "invalid_request"),
        ("NumCPUs", "1-abc", "invalid_request"),
        ("NumCPUs", "3-2", "invalid_request"),
        ("NumTasks", "1-2-3", "invalid_request"),
        ("NumTasks", "2-", "invalid_request"),
        ("NumNodes", "0", "node_count"),
        ("CPUsPerTask", "0", "ntasks"),
        ("Nice", "nicer", "invalid_request"),
        ("ArrayTaskThrottle", "some", "invalid_request"),
        ("UserId", "0", "invalid_request"),
        ("Bogus", "1", "invalid_request"),
    ],
)
def test_what_makes_no_sense_is_refused(world: World, job_id: int, key: str, value: str, code: str) -> None:
    with pytest.raises(RequestError) as refusal:
        world.set_key(job_id, ANN, key, value)

    assert refusal.value.code == code


def test_a_deadline_that_is_past_is_refused_with_the_numbers(world: World, job_id: int) -> None:
    with pytest.raises(RequestError, match="the deadline now-1minute is 60 s past") as refusal:
        world.set_key(job_id, OPERATOR, "Deadline", "now-1minute")

    assert (refusal.value.code, text_of("deadline_past")) == ("deadline_past", "Invalid time specified")


@pytest.mark.parametrize("key", sorted(set(KEYS) - {"admincomment"}))
def test_every_key_is_for_the_owner_and_operators(world: World, job_id: int, key: str) -> None:
    with pytest.raises(NotPermitted, match="bob"):
        world.set_key(job_id, BOB, key, "1")


@pytest.mark.parametrize("key", sorted(name for name, key in KEYS.items() if key.pending_only))
def test_a_running_job_is_what_it_is(world: World, key: str) -> None:
    job_id = world.start()

    with pytest.raises(RequestError) as refusal:
        world.set_key(job_id, ROOT, key, "1")

    assert refusal.value.code == "not_pending"


def test_an_ended_job_is_not_changed(world: World) -> None:
    job_id = world.start()
    world.end_script(job_id)

    with pytest.raises(RequestError) as refusal:
        world.update(job_id, ANN, Comment="late")

    assert refusal.value.code == "finished"


def test_one_refused_key_refuses_all(world: World, job_id: int) -> None:
    with pytest.raises(RequestError):
        world.update(job_id, ANN, Comment="yes", Features="zz")

    assert world.job(job_id).spec.comment == ""


# --- time


@pytest.mark.parametrize(
    ("value", "limit_s"), [("20", 1200), ("5", 300), ("+5", 900), ("-3", 420), ("0:30", 60), ("-60", 60)]
)
def test_a_user_changes_the_limit_of_a_pending_job(world: World, job_id: int, value: str, limit_s: int) -> None:
    """Within what the partition allows; observed of 22.05."""
    world.update(job_id, ANN, TimeLimit=value)

    assert world.job(job_id).limit_s == limit_s


@pytest.mark.parametrize("value", ["3-0", "UNLIMITED"])
def test_beyond_the_partition_only_operators_go(world: World, job_id: int, value: str) -> None:
    with pytest.raises(NotPermitted):
        world.update(job_id, ANN, TimeLimit=value)

    world.update(job_id, OPERATOR, TimeLimit=value)

    assert world.job(job_id).limit_s in (3 * 86400, None)


def test_a_user_may_shorten_a_running_job_and_only_operators_lengthen_it(world: World) -> None:
    job_id = world.start(limit_s=600)
    world.update(job_id, ANN, TimeLimit="5")
    for value in ("20", "+10"):
        with pytest.raises(NotPermitted):
            world.update(job_id, ANN, TimeLimit=value)
    world.update(job_id, OPERATOR, TimeLimit="7")

    world.pass_time(419)
    assert world.job(job_id).state is JobState.RUNNING
    world.pass_time(1)
    assert world.job(job_id).state is JobState.TIMEOUT


def test_a_limit_that_has_passed_already_ends_the_job(world: World) -> None:
    job_id = world.start(limit_s=3600)
    world.pass_time(600)
    world.update(job_id, ANN, TimeLimit="5")
    world.pass_time(0)

    assert world.job(job_id).state is JobState.TIMEOUT


def test_the_end_time_of_a_running_job_is_a_limit(world: World) -> None:
    job_id = world.start(limit_s=3600)
    world.update(job_id, ANN, EndTime="now+30minutes")

    assert world.job(job_id).limit_s == 1800


def test_a_start_time_is_moved_and_taken_away(world: World, job_id: int) -> None:
    world.update(job_id, ANN, StartTime="now+10minutes")
    assert world.job(job_id).begin_at == world.now + 600
    assert world.job(job_id).spec.begin_at == world.now + 600
    world.pass_()
    assert world.job(job_id).state is JobState.PENDING

    world.update(job_id, ANN, StartTime="now")
    world.pass_()

    assert world.job(job_id).state is JobState.RUNNING


# --- priority


def test_a_priority_set_by_hand_stays(world: World, job_id: int) -> None:
    world.update(job_id, OPERATOR, Priority="7")
    world.change("hold", job_id)
    world.change("release", job_id)

    assert world.job(job_id).priority == 7


def test_priority_zero_holds_and_another_releases(world: World, job_id: int) -> None:
    world.update(job_id, OPERATOR, Priority="0")
    assert world.job(job_id).hold is Hold.ADMIN
    with pytest.raises(RequestError) as refusal:
        world.update(job_id, ANN, Priority="5")
    assert refusal.value.code == "held"

    world.update(job_id, OPERATOR, Priority="5")

    assert (world.job(job_id).hold, world.job(job_id).priority) == (Hold.NONE, 5)


def test_nice_makes_a_job_wait_longer(world: World, job_id: int) -> None:
    before = world.job(job_id).priority
    world.update(job_id, ANN, Nice="100")

    assert world.job(job_id).priority == before - 100


def test_a_held_jobs_nice_does_not_wake_it(world: World, job_id: int) -> None:
    world.change("hold", job_id)
    world.update(job_id, ANN, Nice="100")

    assert world.job(job_id).priority == 0


# --- what it leads to


def test_a_plan_made_before_the_change_is_stale(world: World) -> None:
    """The pass decided for one task of one CPU; by now the job wants three."""
    job_id = world.submit()
    plan: Plan = world.plan()
    world.update(job_id, ANN, NumTasks="3")
    assert world.do(ApplyPlan(plan)) == 1

    world.pass_()

    allocation = world.job(job_id).allocation
    assert allocation is not None
    assert allocation.cpu_count == 3


def test_a_member_of_the_group_moves_his_job_there(world: World, job_id: int) -> None:
    world.add_partition("physics", allow_groups=("physics",))
    with pytest.raises(NotPermitted):
        world.update(job_id, ANN, Partition="physics")

    world.update(job_id, ANN, groups=("physics",), Partition="physics")

    assert world.job(job_id).partition == "physics"


def test_jobs_too_large_for_the_cluster_wait_and_do_not_trouble_the_pass(world: World) -> None:
    job_id = world.submit(begin_at=world.now + 1)
    world.update(job_id, ANN, NumNodes="99")
    world.update(job_id, ANN, MinMemoryNode="999999")
    other = world.submit()
    world.pass_time(1)
    world.pass_()

    assert world.job(job_id).state is JobState.PENDING
    assert world.job(other).state is JobState.RUNNING


def test_several_jobs_are_changed_at_once(world: World) -> None:
    first, second = world.start(), world.start()
    world.update(f"{first},{second}", ANN, Comment="both")

    assert {world.job(each).spec.comment for each in (first, second)} == {"both"}
    assert world.job(first).spec_id != world.job(second).spec_id


def test_unknown_jobs_are_told(world: World) -> None:
    with pytest.raises(RequestError) as refusal:
        world.update(99, ANN, Comment="x")

    assert refusal.value.code == "invalid_job"


def test_a_caller_of_no_role_changes_nothing(world: World, job_id: int) -> None:
    stranger = Caller(4242, 4242, "stranger")

    with pytest.raises(NotPermitted):
        world.update(job_id, stranger, Comment="x")
    changes: dict[str, Any] = {"Comment": "x"}
    with pytest.raises(NotPermitted):
        world.update(f"{job_id}", stranger, **changes)


@pytest.mark.parametrize(
    "key", ["Nice", "Priority", "NumCPUs", "NumTasks", "CPUsPerTask", "MinCPUsNode", "TasksPerNode", "NumNodes"]
)
@pytest.mark.parametrize("digits", [20, 5000], ids=["beyond 64 bits", "beyond what Python reads"])
def test_a_number_that_no_answer_could_show_is_refused(world: World, job_id: int, key: str, digits: int) -> None:
    """Everybody's squeue would fail because of it."""
    with pytest.raises(RequestError):
        world.set_key(job_id, ROOT, key, "9" * digits)


def test_the_product_of_numbers_has_a_bound_as_well(world: World, job_id: int) -> None:
    """Each is within its own; NumCPUs of all together would not fit a table."""
    world.update(job_id, ROOT, NumTasks="2147483648", CPUsPerTask="2")

    with pytest.raises(RequestError, match="CPUs 4611686018427387904 requested"):
        world.update(job_id, ROOT, CPUsPerTask="2147483648")
    with pytest.raises(RequestError, match="CPUs 9223372036854775808 requested"):
        world.update(job_id, ROOT, NumTasks="1", NumNodes="2147483648", MinCPUsNode="2147483648")


def test_a_circle_of_jobs_that_wait_for_each_other_is_refused(world: World, job_id: int) -> None:
    second = world.submit(after=f"afterok:{job_id}")
    third = world.submit(after=f"afterany:{second}")

    with pytest.raises(RequestError, match=f"itself by way of job {third}"):
        world.update(job_id, Dependency=f"afterok:{third}")
    with pytest.raises(RequestError, match=r"itself$"):
        world.update(job_id, Dependency=f"afterok:{job_id}")


def test_a_bound_that_is_no_number_is_named_whole(world: World, job_id: int) -> None:
    with pytest.raises(RequestError, match="'-5' is not a number"):
        world.update(job_id, ANN, NumTasks="-5")
