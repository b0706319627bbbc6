"""Configurations and partitions that change under running jobs; epochs."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.errors import NotFound, NotPermitted, RequestError
from sluice.model.states import JobState, NodeState
from sluice.wire.messages import Done, NodeReport, Register, UpdatePartition
from sluicectld.state.commands import ApplyConfiguration, BeginEpoch
from sluicectld.state.events import ConfigurationApplied
from tests.engine_builder import OPERATOR, ROOT, World

MakeWorld = Callable[..., World]


def test_running_jobs_and_states_of_nodes_survive(world: World) -> None:
    job_id = world.start()
    world.update_nodes("n2", State="DRAIN", Reason="fan")
    world.configure(nodes=tuple(replace(node, weight=7) for node in world.node_records))

    assert world.job(job_id).state is JobState.RUNNING
    assert world.node("n1").state is NodeState.UP
    assert (world.node("n2").is_drained, world.node("n2").reason, world.node("n2").weight) == (True, "fan", 7)


def test_a_registered_node_moves_where_the_configuration_says(world: World) -> None:
    """Commands that launch steps there would knock at the old door for ever."""
    moved = tuple(replace(node, address="10.0.0.9", port=7777) for node in world.node_records)
    world.configure(nodes=moved)

    assert (world.node("n1").address, world.node("n1").port) == ("10.0.0.9", 7777)


def test_a_new_node_is_unknown_until_it_registers(world: World) -> None:
    extra = replace(world.node_records[0], name="n3", index=2)
    world.configure(nodes=(*world.node_records, extra))
    assert world.node("n3").state is NodeState.UNKNOWN

    world.register("n3")

    assert world.node("n3").is_usable


def test_a_node_with_jobs_does_not_vanish(world: World) -> None:
    world.start()

    with pytest.raises(RequestError, match=r"n1.*drain"):
        world.configure(nodes=world.node_records[1:])

    assert "n1" in world.cluster.nodes


def test_an_idle_node_may(world: World) -> None:
    job_id = world.start()
    world.configure(nodes=world.node_records[:1], partitions=(replace(world.partition_records[0], nodes=("n1",)),))

    assert list(world.cluster.nodes) == list(world.cluster.free) == ["n1"]
    assert world.job(job_id).state is JobState.RUNNING


def test_a_node_that_shrinks_below_its_job_gets_whole_again(world: World) -> None:
    """4 CPUs become 2 while a job has all 4; when it ends, 2 are free."""
    job_id = world.start(cpus_per_task=4)
    world.configure(nodes=tuple(replace(node, cpus=2) for node in world.node_records))
    assert world.free_cpus("n1") == 0

    world.end_script(job_id)

    assert world.free_cpus("n1") == 2


def test_a_node_that_grows_has_more_to_give(world: World) -> None:
    world.start(cpus_per_task=4)
    world.configure(nodes=tuple(replace(node, cpus=8) for node in world.node_records))

    assert world.free_cpus("n1") == 4


def test_nodes_keep_the_order_of_the_configuration(world: World) -> None:
    first, second = world.node_records
    world.configure(nodes=(replace(second, index=0), replace(first, index=1)))

    assert list(world.cluster.free) == ["n2", "n1"]


def test_a_vanished_partition_lets_its_jobs_run_out_and_wait(world: World) -> None:
    world.add_partition("old")
    running = world.start(partitions=("old",), limit_s=600)
    waiting = world.submit(partitions=("old",))
    world.configure(partitions=world.partition_records[:1])
    world.change("hold", waiting)
    world.change("release", waiting)
    world.update(waiting, ROOT, Nice="3")
    world.pass_()
    assert world.job(waiting).state is JobState.PENDING

    world.pass_time(600)
    assert world.job(running).state is JobState.TIMEOUT
    world.update(waiting, ROOT, Partition="batch")
    world.pass_()

    assert world.job(waiting).state is JobState.RUNNING


def test_the_same_configuration_again_is_an_event_without_consequence(world: World) -> None:
    before = dict(world.cluster.nodes)
    world.configure()

    assert [type(event) for event in world.happened()] == [ConfigurationApplied]
    assert world.cluster.nodes == before


def reconfigure(world: World) -> tuple[str, ...]:
    """Apply the files that are in force once more; return what is told."""
    cluster = world.cluster
    again = ApplyConfiguration(
        cluster.config_version, cluster.config_digest, world.node_records, world.partition_records
    )
    told: Done = world.do(again)
    return told.lines


def test_the_same_files_undo_what_scontrol_changed(world: World) -> None:
    """A partition that was changed or deleted is back, one that was made is gone, and so are a node's new features."""
    world.add_partition("other")
    change(world, "batch", State="DOWN", MaxNodes="1")
    change(world, "other", action="delete")
    change(world, "made", action="create", Nodes="n1")
    world.update_nodes("n1", Features="big,fast", State="DRAIN", Reason="fan")

    told = reconfigure(world)

    assert set(told) == {
        "node n1: features big,fast -> , as the configuration says",
        "partition batch: state DOWN -> UP, as the configuration says",
        "partition batch: max_nodes 1 -> None, as the configuration says",
        "partition other: put back, the configuration has it",
        "partition made: removed, the configuration does not have it",
    }
    assert tuple(world.cluster.partitions.values()) == world.partition_records
    assert world.node("n1").features == ()
    assert (world.node("n1").is_drained, world.node("n1").reason) == (True, "fan")


def test_the_same_files_again_are_nothing(world: World) -> None:
    change(world, "batch", State="DOWN")
    reconfigure(world)

    assert reconfigure(world) == ()
    assert world.last.events == []


def test_the_same_files_leave_the_address_that_an_agent_gave(world: World) -> None:
    inventory = world.node("n1").inventory
    assert inventory is not None
    world.do(Register(nodes=(NodeReport(node="n1", inventory=inventory, address="10.0.0.9", port=7777),)))

    assert reconfigure(world) == ()
    assert (world.node("n1").address, world.node("n1").port) == ("10.0.0.9", 7777)


def test_a_new_epoch_trusts_no_agent_until_it_answers(world: World) -> None:
    job_id = world.start()
    world.do(BeginEpoch(7))
    waiting = world.submit()
    world.pass_()
    assert world.job(waiting).state is JobState.PENDING
    assert world.job(job_id).state is JobState.RUNNING

    world.register("n1", running=(world.running_step(job_id),))
    world.pass_()

    assert world.cluster.epoch == 7
    assert world.job(waiting).state is JobState.RUNNING


# --- partitions


def change(world: World, name: str, caller: Any = ROOT, action: str = "update", **changes: str) -> None:
    world.do(UpdatePartition(name=name, action=action, changes=tuple(changes.items())), caller)


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("State", "down", "state", "DOWN"),
        ("MaxTime", "10", "max_limit_s", 600),
        ("MaxTime", "UNLIMITED", "max_limit_s", None),
        ("DefaultTime", "5", "default_limit_s", 300),
        ("MaxNodes", "3", "max_nodes", 3),
        ("MaxNodes", "UNLIMITED", "max_nodes", None),
        ("Nodes", "n1", "nodes", ("n1",)),
        ("Nodes", "ALL", "nodes", ("n1", "n2")),
        ("PriorityTier", "3", "priority_tier", 3),
        ("AllowGroups", "root", "allow_groups", ("root",)),
        ("AllowGroups", "ALL", "allow_groups", ()),
        ("Hidden", "yes", "is_hidden", True),
    ],
)
def test_a_key_of_a_partition(world: World, key: str, value: str, field: str, expected: object) -> None:
    change(world, "batch", **{key: value})

    assert getattr(world.cluster.partitions["batch"], field) == expected


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("State", "bogus", "invalid_request"),
        ("MaxTime", "bogus", "invalid_duration"),
        ("Nodes", "n9", "invalid_node"),
        ("MaxNodes", "-3", "invalid_request"),
        ("MaxNodes", "9" * 20, "invalid_request"),
        ("PriorityTier", "9" * 5000, "invalid_request"),
        ("Default", "abc", "invalid_request"),
        ("OverSubscribe", "FORCE:x", "invalid_request"),
        ("PreemptMode", "abc", "invalid_request"),
        ("Bogus", "3", "invalid_request"),
    ],
)
def test_refused_changes_of_a_partition(world: World, key: str, value: str, code: str) -> None:
    with pytest.raises(RequestError) as refusal:
        change(world, "batch", **{key: value})

    assert refusal.value.code == code


def test_there_is_one_default_partition(world: World) -> None:
    world.add_partition("other")
    change(world, "other", Default="yes")

    assert [each.name for each in world.cluster.partitions.values() if each.is_default] == ["other"]


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a\nb", "x" * 5000], ids=lambda name: name[:4] or "none")
def test_a_partition_needs_a_name_that_can_be_printed(world: World, name: str) -> None:
    with pytest.raises(RequestError, match="no name for a partition"):
        change(world, name, action="create", Nodes="n1")


def test_a_partition_is_made_and_removed(world: World) -> None:
    change(world, "new", action="create", Nodes="n1")
    change(world, "new", action="delete")
    assert "new" not in world.cluster.partitions
    with pytest.raises(NotFound):
        change(world, "new", action="delete")


def test_made_and_removed_before_it_was_written_it_is_not_written(world: World) -> None:
    """Both changes are in one transaction."""
    world.engine.handle(UpdatePartition(name="new", action="create"), ROOT, world.now)
    world.engine.handle(UpdatePartition(name="new", action="delete"), ROOT, world.now)
    batch = world.cluster.batch

    assert batch.removed_partitions == {"new"}
    assert "new" not in batch.partitions
    world.configure()


def test_a_partition_with_jobs_stays(world: World) -> None:
    world.add_partition("busy")
    world.submit(partitions=("busy",), is_held=True)

    with pytest.raises(RequestError, match="1 jobs"):
        change(world, "busy", action="delete")


def test_partitions_are_the_administrators(world: World) -> None:
    with pytest.raises(NotPermitted):
        change(world, "batch", caller=OPERATOR, State="DOWN")


def test_a_partition_that_goes_down_starts_nothing_even_by_an_older_plan(world: World) -> None:
    from sluicectld.state.commands import ApplyPlan

    job_id = world.submit()
    plan = world.plan()
    change(world, "batch", State="DOWN")
    world.do(ApplyPlan(plan))

    assert world.job(job_id).state is JobState.PENDING
