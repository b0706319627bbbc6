"""Steps: which nodes, CPUs and ranks they get; waiting for others of the job; what can never be."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.errors import NotPermitted, RequestError
from sluice.model.base import INTERACTIVE_STEP
from sluice.model.request import GresRequest
from sluice.model.states import StepState
from sluice.model.step import Step
from sluice.steps.grant import StepBusy
from sluice.wire.messages import EndStep, FinishStep, KillJobs
from sluicectld.handlers.steps import LAUNCH_WAIT_S
from tests.engine_builder import ANN, BOB, ROOT, World

MakeWorld = Callable[..., World]


def gpus(count: int) -> tuple[GresRequest, ...]:
    return (GresRequest(name="gpu", count=count),)


@pytest.fixture
def world_with_gpus(make_world: MakeWorld) -> World:
    """A node of four CPUs with two GPUs."""
    world = make_world(nodes=1, is_registered=False)
    world.configure(nodes=tuple(replace(node, gres=gpus(2)) for node in world.node_records))
    world.register("n1")
    return world


@pytest.fixture
def job_id(world: World) -> int:
    """A running job of two nodes with 4 and 2 CPUs."""
    world.start(required_nodes=("n2",), ntasks=2, nodes=1)
    return world.start(nodes=2, ntasks=6, given=frozenset({"nodes"}))


def layout(step: Step) -> list[tuple[str, int, str, str]]:
    return [(node.node, node.ntasks, node.ranks, node.cpus) for node in step.nodes]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, [("n1", 1, "0", "0"), ("n2", 1, "1", "2")], id="a task on every node"),
        pytest.param({"ntasks": 1}, [("n1", 1, "0", "0")], id="one task on the first node"),
        pytest.param({"ntasks": 6}, [("n1", 4, "0-3", "0-3"), ("n2", 2, "4-5", "2-3")], id="all tasks, in blocks"),
        pytest.param(
            {"ntasks": 6, "distribution": "cyclic"},
            [("n1", 4, "0,2,4-5", "0-3"), ("n2", 2, "1,3", "2-3")],
            id="all tasks, in turn",
        ),
        pytest.param({"ntasks": 3, "min_nodes": 1}, [("n1", 3, "0-2", "0-2")], id="three tasks on as few as possible"),
        pytest.param({"ntasks": 3, "min_nodes": 2}, [("n1", 2, "0-1", "0-1"), ("n2", 1, "2", "2")], id="on two nodes"),
        pytest.param({"ntasks": 1, "min_nodes": 2}, [("n1", 1, "0", "0")], id="never more nodes than tasks"),
        pytest.param({"min_nodes": 1}, [("n1", 1, "0", "0")], id="one node, one task"),
        pytest.param({"ntasks_per_node": 2}, [("n1", 2, "0-1", "0-1"), ("n2", 2, "2-3", "2-3")], id="two tasks a node"),
        pytest.param({"ntasks": 1, "cpus_per_task": 3}, [("n1", 1, "0", "0-2")], id="a task of three CPUs"),
        pytest.param({"ntasks": 1, "required_nodes": ("n2",)}, [("n2", 1, "0", "2")], id="on a named node"),
        pytest.param({"ntasks": 1, "relative": 1}, [("n2", 1, "0", "2")], id="from the second node on"),
        pytest.param({"ntasks": 1, "excluded_nodes": ("n1",)}, [("n2", 1, "0", "2")], id="not on a named node"),
        pytest.param(
            {"ntasks": 8, "is_overcommitted": True},
            [("n1", 4, "0-3", "0-3"), ("n2", 4, "4-7", "2-3")],
            id="more tasks than CPUs",
        ),
    ],
)
def test_a_step_gets(world: World, job_id: int, spec: dict[str, Any], expected: list[Any]) -> None:
    assert layout(world.step(job_id, **spec)) == expected


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        pytest.param({"ntasks": 7}, "too_many_cpus", id="more tasks than the job has CPUs"),
        pytest.param({"min_nodes": 3}, "too_many_cpus", id="more nodes than the job has"),
        pytest.param({"memory_per_node_mib": 1_000_000}, "memory", id="more memory than the job has"),
        pytest.param({"ntasks": 1, "cpus_per_task": 5}, "too_many_cpus", id="a task wider than any node"),
        pytest.param({"ntasks": 6, "ntasks_per_node": 2}, "too_many_cpus", id="more tasks than so many a node"),
        pytest.param({"required_nodes": ("n9",)}, "infeasible", id="a node that the job has not"),
        pytest.param({"ntasks": 5, "min_nodes": 1, "max_nodes": 1}, "too_many_cpus", id="too many for one node"),
        pytest.param({"ntasks": 0}, "ntasks", id="no task"),
        pytest.param({"ntasks": 1, "cpus_per_task": -1}, "invalid_request", id="less than no CPU"),
        pytest.param({"ntasks": 3, "relative": 1}, "too_many_cpus", id="more than fits behind the first node"),
        pytest.param({"min_nodes": 2, "relative": 1}, "too_many_cpus", id="more nodes than are left behind the first"),
        pytest.param({"ntasks": 1, "relative": 2}, "infeasible", id="a place behind the last node"),
        pytest.param({"excluded_nodes": ("n1", "n2")}, "too_many_cpus", id="no node left"),
        pytest.param({"ntasks": 10**9, "is_overcommitted": True}, "ntasks", id="more tasks than nodes may have"),
        pytest.param({"ntasks": 2**64 - 1}, "invalid_request", id="a number that no table has room for"),
    ],
)
def test_a_step_that_can_never_be_is_refused(world: World, job_id: int, spec: dict[str, Any], code: str) -> None:
    with pytest.raises(RequestError) as refusal:
        world.step(job_id, **spec)

    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        pytest.param(
            {"excluded_nodes": ("n1",)}, "both asked for (--nodelist) and excluded (--exclude)", id="excluded"
        ),
        pytest.param(
            {"relative": 1}, "asked for (--nodelist) and before node 1 of the allocation (--relative)", id="passed over"
        ),
    ],
)
def test_a_named_node_that_is_left_out_is_told_with_what_leaves_it_out(
    world: World, job_id: int, spec: dict[str, Any], why: str
) -> None:
    with pytest.raises(RequestError, match=re.escape(f"node n1 is {why}")):
        world.step(job_id, required_nodes=("n1",), **spec)


def test_the_jobs_number_of_tasks_is_the_steps_when_the_user_gave_it(world: World) -> None:
    job_id = world.start(nodes=2, ntasks=3, given=frozenset({"ntasks"}))

    assert world.step(job_id).ntasks == 3


def test_steps_do_not_share_cpus(world: World, job_id: int) -> None:
    first, second = world.step(job_id, ntasks=2), world.step(job_id, ntasks=2)

    assert layout(first) == [("n1", 1, "0", "0"), ("n2", 1, "1", "2")]
    assert layout(second) == [("n1", 1, "0", "1"), ("n2", 1, "1", "3")]


def test_a_step_waits_for_others_and_is_told_for_which(world: World, job_id: int) -> None:
    world.step(job_id, ntasks=6, name="big")

    with pytest.raises(StepBusy) as busy:
        world.step(job_id, ntasks=1)

    assert "big" in busy.value.message
    assert busy.value.code == "step_busy"


def test_a_step_fits_when_another_has_ended(world: World, job_id: int) -> None:
    world.step(job_id, ntasks=6)
    world.report(world.result(job_id, 0, "n2"))
    assert layout(world.step(job_id, ntasks=1)) == [("n2", 1, "0", "2")]

    world.report(world.result(job_id, 0, "n1", exit_code=2))

    assert world.step_of(job_id, 0).state is StepState.FAILED
    assert world.step(job_id, ntasks=4).cpu_count == 4


def test_a_step_is_out_of_memory_whichever_of_its_nodes_ends_last(world: World, job_id: int) -> None:
    world.step(job_id, ntasks=6)
    world.report(world.result(job_id, 0, "n2", exit_signal=125, reason="OutOfMemory"))

    world.report(world.result(job_id, 0, "n1", exit_signal=9))

    assert world.step_of(job_id, 0).state is StepState.OUT_OF_MEMORY


def test_an_overlapping_step_waits_for_nobody_and_is_in_nobodys_way(world: World, job_id: int) -> None:
    world.step(job_id, ntasks=6)
    world.step(job_id, ntasks=6, is_overlapping=True)
    world.report(world.result(job_id, 0, "n1"), world.result(job_id, 0, "n2"))

    assert world.step(job_id, ntasks=6).step_id == 2


def test_a_repeated_request_returns_the_same_step(world: World, job_id: int) -> None:
    first = world.step(job_id, token="t")
    assert world.step(job_id, token="t") == first
    assert world.happened() == []


def test_the_same_token_in_another_job_is_another_step(world: World) -> None:
    one, other = world.start(), world.start()
    world.step(other)
    world.report(world.result(other, 0))
    world.step(one, token="t")

    step = world.step(other, token="t")

    assert (step.job_id, step.step_id) == (other, 1)


def test_step_numbers_go_on_and_begin_anew_with_the_next_run(world: World) -> None:
    job_id = world.start(cpus_per_task=2)
    assert [world.step(job_id, is_overlapping=True).step_id for _ in range(3)] == [0, 1, 2]
    world.change("requeue", job_id)
    world.clean(job_id)
    world.pass_()

    assert world.step(job_id).step_id == 0


def test_the_worst_exit_of_the_steps_is_kept(world: World) -> None:
    job_id = world.start(nodes=1, cpus_per_task=1, ntasks=3)
    for code in (1, 4, 0):
        step = world.step(job_id, ntasks=1)
        world.report(world.result(job_id, step.step_id, exit_code=code))
    world.end_script(job_id)

    assert (world.job(job_id).exit_code, world.job(job_id).derived_exit_code) == (0, 4)


@pytest.mark.parametrize(("is_failure", "state"), [(True, StepState.FAILED), (False, StepState.CANCELLED)])
def test_a_step_that_is_ended_for_a_part_of_it_has_failed_unless_somebody_cancels_it(
    world: World, job_id: int, is_failure: bool, state: StepState
) -> None:
    world.step(job_id, ntasks=6)
    world.do(KillJobs(ids=(f"{job_id}.0",), is_failure=is_failure), ANN)
    lost = {"reason": "JobLaunchFailure", "reason_text": "its daemon died", "exit_code": 1}
    world.report(world.result(job_id, 0, "n2", **lost), world.result(job_id, 0, "n1", exit_signal=15))

    step = world.step_of(job_id, 0)
    assert (step.state, step.exit_code, step.reason_text) == (state, 1, "its daemon died")


def test_a_step_that_could_not_be_launched_gives_its_cpus_back(world: World, job_id: int) -> None:
    world.step(job_id, ntasks=6)
    world.do(FinishStep(job_id=job_id, step_id=0), ANN)

    assert world.step_of(job_id, 0).state is StepState.FAILED
    assert world.step(job_id, ntasks=6).step_id == 1


def unlaunched(world: World) -> list[tuple[str, int]]:
    """Return the (node, step) that agents were told to end unless they were launched, and forget them."""
    orders = [each for each in world.effects if isinstance(each, EndStep) and each.only_unlaunched]
    world.effects.clear()
    return [(order.node, order.step_id) for order in orders]


def test_a_step_whose_srun_never_comes_gives_its_cpus_back(world: World, job_id: int) -> None:
    """srun was killed while its request was on the way."""
    world.step(job_id, ntasks=6)

    world.pass_time(LAUNCH_WAIT_S - 1)
    assert unlaunched(world) == []
    world.pass_time(1)
    assert unlaunched(world) == [("n1", 0), ("n2", 0)]

    world.report(world.result(job_id, 0, "n1", exit_signal=15), world.result(job_id, 0, "n2", exit_signal=15))
    assert world.step_of(job_id, 0).state is StepState.CANCELLED
    assert world.step(job_id, ntasks=6).step_id == 1


def test_a_step_is_asked_for_once_and_when_its_agent_is_back(world: World, job_id: int) -> None:
    world.step(job_id, ntasks=2)
    world.pass_time(LAUNCH_WAIT_S * 3)
    unlaunched(world)
    world.step(job_id, ntasks=1)
    world.pass_time(LAUNCH_WAIT_S)
    assert unlaunched(world) == [("n1", 1)]

    world.register("n1", running=(world.running_step(job_id), world.running_step(job_id, 0)))

    assert unlaunched(world) == [("n1", 1)]


def test_a_step_older_than_the_agent_that_registers_is_asked_for_early(world: World, job_id: int) -> None:
    """Its srun may have gone while no agent was there to see it."""
    world.step(job_id, ntasks=6)
    world.pass_time(3)
    began_at = world.now

    world.register("n1", running=(world.running_step(job_id), world.running_step(job_id, 0)), agent_started_at=began_at)
    assert unlaunched(world) == []
    world.register("n2", agent_started_at=began_at - 4)
    assert unlaunched(world) == []
    world.register("n2", agent_started_at=began_at)
    assert [order.may_come for order in world.effects if isinstance(order, EndStep)] == [True]
    assert unlaunched(world) == [("n2", 0)]


def test_a_request_repeated_after_its_step_was_given_up_gets_another(world: World, job_id: int) -> None:
    first = world.step(job_id, token="t", ntasks=1)
    world.report(world.result(job_id, first.step_id, "n1", exit_signal=15))

    assert world.step(job_id, token="t", ntasks=1).step_id == 1
    assert world.step(job_id, token="t", ntasks=1).step_id == 1


def test_steps_are_the_owners_alone(world: World, job_id: int) -> None:
    for caller in (BOB, ROOT):
        with pytest.raises(NotPermitted):
            world.step(job_id, caller)


def test_a_job_that_does_not_run_has_no_steps(world: World) -> None:
    pending, ended = world.submit(is_held=True), world.start()
    world.end_script(ended)

    for each, code in ((pending, "not_running"), (ended, "already_done"), (99, "invalid_job")):
        with pytest.raises(RequestError) as refusal:
            world.step(each)
        assert refusal.value.code == code


def test_there_are_only_so_many_steps(make_world: MakeWorld) -> None:
    world = make_world(steps_per_job_max=1)
    job_id = world.start()
    world.step(job_id, is_overlapping=True)

    with pytest.raises(RequestError) as refusal:
        world.step(job_id, is_overlapping=True)

    assert refusal.value.code == "step_limit"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, {"n1": "0", "n2": "1", "n3": "2"}, id="on all nodes"),
        pytest.param({"min_nodes": 2}, {"n1": "0", "n3": "1"}, id="beside the first other one"),
        pytest.param({"ntasks": 3, "min_nodes": 2}, {"n1": "0-1", "n3": "2"}, id="with more tasks than nodes"),
        pytest.param({"ntasks": 6}, {"n1": "0-1", "n2": "2-3", "n3": "4-5"}, id="in blocks"),
        pytest.param({"ntasks": 6, "min_nodes": 1}, {"n1": "0-1", "n2": "2-3", "n3": "4-5"}, id="with nodes added"),
        pytest.param(
            {"ntasks": 6, "distribution": "cyclic"}, {"n1": "0,3", "n2": "1,4", "n3": "2,5"}, id="from node to node"
        ),
        pytest.param({"ntasks": 4, "min_nodes": 2, "is_overcommitted": True}, {"n1": "0-1", "n3": "2-3"}, id="packed"),
        pytest.param({"min_nodes": 1}, {"n3": "0"}, id="alone"),
        pytest.param({"min_nodes": 2, "excluded_nodes": ("n1",)}, {"n2": "0", "n3": "1"}, id="without an excluded one"),
    ],
)
def test_a_named_node_is_taken_first_and_counted_in_its_place(
    make_world: MakeWorld, spec: dict[str, Any], expected: dict[str, str]
) -> None:
    """SLURM_NODEID and the ranks count along SLURM_NODELIST, as in 22.05."""
    world = make_world(nodes=3)
    job_id = world.start(nodes=3, ntasks=6, ntasks_per_node=2)

    step = world.step(job_id, **({"min_nodes": 3} | spec), required_nodes=("n3",))

    assert [(node.node, node.ranks) for node in step.nodes] == list(expected.items())


def test_a_job_has_its_nodes_in_the_order_of_the_list_whichever_it_named(make_world: MakeWorld) -> None:
    world = make_world(nodes=3)

    assert world.job(world.start(nodes=2, ntasks=2, required_nodes=("n3", "n1"))).nodes == ("n1", "n3")


def test_an_arbitrary_distribution_puts_each_rank_on_its_named_node(world: World, job_id: int) -> None:
    step = world.step(job_id, ntasks=3, distribution="arbitrary", required_nodes=("n1", "n2", "n1"))

    assert layout(step) == [("n1", 2, "0,2", "0-1"), ("n2", 1, "1", "2")]


NAMED = {"nodes": 2, "ntasks": 3, "required_nodes": ("n1", "n2"), "task_nodes": ("n2", "n1", "n2")}


def test_a_step_without_a_list_of_its_own_has_the_ranks_where_the_job_named_them(world: World) -> None:
    job_id = world.start(**NAMED)

    assert layout(world.step(job_id, ntasks=3, distribution="arbitrary")) == [
        ("n1", 1, "1", "0"),
        ("n2", 2, "0,2", "0-1"),
    ]
    with pytest.raises(RequestError, match=r"distribution of 4 tasks requested, .*; 3 are named; -w or SLURM_HOSTFILE"):
        world.step(job_id, ntasks=4, distribution="arbitrary")


def test_a_jobs_list_that_is_not_one_of_tasks_is_told_as_it_is(world: World) -> None:
    job_id = world.start(nodes=2, ntasks=4, required_nodes=("n1", "n2"))

    with pytest.raises(RequestError, match=rf"takes the node of each task; job {job_id} names 2 nodes for 4; -w or"):
        world.step(job_id, ntasks=4, distribution="arbitrary")


def test_steps_that_ask_for_gpus_wait_for_each_other(world_with_gpus: World) -> None:
    world = world_with_gpus
    job_id = world.start(gres_per_node=gpus(2), ntasks=4)
    first = world.step(job_id, ntasks=1, gres_per_node=gpus(1))
    second = world.step(job_id, ntasks=1, gres_per_node=gpus(1))

    assert [step.nodes[0].gres[0].units for step in (first, second)] == ["0", "1"]
    with pytest.raises(StepBusy, match=r"1 gpu on node n1 requested, 0 are free; step .* has"):
        world.step(job_id, ntasks=1, gres_per_node=gpus(1))
    assert world.step(job_id, ntasks=1).nodes[0].gres[0].units == "0-1"


@pytest.mark.parametrize(
    ("field", "text"), [("cpu_bind", "bored"), ("mem_bind", "far"), ("gpu_bind", "x"), ("distribution", "star")]
)
def test_words_that_no_agent_could_read_are_refused(world: World, job_id: int, field: str, text: str) -> None:
    with pytest.raises(RequestError):
        world.step(job_id, **{field: text})


def test_a_shell_on_the_first_node_has_all_of_it_and_keeps_nothing_from_other_steps(world: World, job_id: int) -> None:
    """It has a number of its own, and there is one in a job."""
    shell = world.step(job_id, is_interactive=True)

    assert shell.step_id == INTERACTIVE_STEP
    assert layout(shell) == [("n1", 1, "0", "0-3")]
    assert world.step(job_id, ntasks=6).step_id == 0
    with pytest.raises(RequestError, match="interactive step"):
        world.step(job_id, is_interactive=True)


def test_a_shell_that_nobody_launched_is_given_up(world: World, job_id: int) -> None:
    world.step(job_id, is_interactive=True)

    world.pass_time(LAUNCH_WAIT_S + 1)

    orders = [each for each in world.effects if isinstance(each, EndStep) and each.only_unlaunched]
    assert [order.step_id for order in orders] == [INTERACTIVE_STEP]


def test_a_step_that_names_a_full_node_waits_for_that_node(world: World, job_id: int) -> None:
    world.step(job_id, ntasks=4, min_nodes=1, required_nodes=("n1",))
    with pytest.raises(StepBusy, match="on node n1 requested, 0 CPUs are free there"):
        world.step(job_id, ntasks=1, min_nodes=1, required_nodes=("n1",))


def test_fewer_ports_than_one_a_task_cannot_be_asked_for(world: World, job_id: int) -> None:
    with pytest.raises(RequestError, match="-3 ports requested"):
        world.step(job_id, ntasks=1, ports=-3)
