"""What comes between a job's start and its script: the controller's prolog, the nodes' prologs, and their failures."""

from collections.abc import Callable
from typing import Any

import pytest

from sluice.model.reason import Reason
from sluice.model.states import Hold, JobState
from sluice.steps.grant import StepBusy
from sluice.wire.messages import EndJob, NodePrepared, PrepareJob, Report, SignalJob
from sluicectld.state.commands import EpilogEnded, PrologEnded
from sluicectld.state.effects import Program, RunProgram
from tests.engine_builder import World

MakeWorld = Callable[..., World]
ALLOC = {"nodes": 2, "prolog": "/site/prolog", "prolog_flags": ("Alloc",)}


def prepared(world: World, job_id: int, node: str, problem: str = "", attempt: int = 0) -> None:
    told = NodePrepared(node=node, job_id=job_id, attempt=attempt, problem=problem)
    world.do(Report(prepared=(told,)))


def prepares(world: World) -> list[str]:
    return [order.node for order in world.effects if isinstance(order, PrepareJob)]


def programs(world: World) -> list[tuple[Program, int]]:
    return [(effect.program, effect.job.id) for effect in world.took(RunProgram)]


def test_all_nodes_are_prepared_and_the_script_waits_for_its_own(make_world: MakeWorld) -> None:
    world = make_world(**ALLOC)
    job_id = world.start(nodes=2)
    assert prepares(world) == ["n1", "n2"]
    assert world.launches() == []

    prepared(world, job_id, "n1")

    assert world.launches() == [("n1", job_id, 0)]
    assert world.job(job_id).preparing_nodes == ("n2",)
    assert world.job(job_id).is_configuring


def test_with_defer_batch_the_script_waits_for_all(make_world: MakeWorld) -> None:
    world = make_world(**ALLOC | {"prolog_flags": ("Alloc", "DeferBatch")})
    job_id = world.start(nodes=2)

    prepared(world, job_id, "n1")
    assert world.launches() == []
    prepared(world, job_id, "n2")

    assert world.launches() == [("n1", job_id, 0)]


def test_without_holding_the_script_goes_at_once(make_world: MakeWorld) -> None:
    world = make_world(**ALLOC | {"prolog_flags": ("Alloc", "NoHold")})

    job_id = world.start(nodes=2)

    assert prepares(world) == ["n1", "n2"]
    assert world.launches() == [("n1", job_id, 0)]
    assert not world.job(job_id).is_configuring


def test_a_step_waits_until_the_nodes_are_ready(make_world: MakeWorld) -> None:
    world = make_world(**ALLOC)
    job_id = world.start(nodes=2, is_batch=False)

    with pytest.raises(StepBusy, match=r"prolog still runs on n\[1-2\]"):
        world.step(job_id)
    prepared(world, job_id, "n1")
    prepared(world, job_id, "n2")

    assert world.step(job_id).step_id == 0


def test_a_prolog_order_that_was_lost_is_repeated(make_world: MakeWorld) -> None:
    world = make_world(**ALLOC)
    job_id = world.start(nodes=2)
    prepared(world, job_id, "n1")
    world.effects.clear()

    world.register("n1", "n2")

    assert prepares(world) == ["n2"]
    assert world.launches() == [("n1", job_id, 0)]


@pytest.mark.parametrize(
    ("flags", "fields", "state", "hold"),
    [
        pytest.param((), {}, JobState.PENDING, Hold.ADMIN, id="held"),
        pytest.param((), {"can_requeue": False}, JobState.FAILED, Hold.NONE, id="ended if it may not be requeued"),
        pytest.param(
            ("ForceRequeueOnFail",), {"can_requeue": False}, JobState.PENDING, Hold.ADMIN, id="requeued by force"
        ),
        pytest.param((), {"is_batch": False}, JobState.FAILED, Hold.NONE, id="ended if it is interactive"),
    ],
)
def test_a_prolog_that_fails_on_any_node_gives_the_job_back(
    make_world: MakeWorld, flags: tuple[str, ...], fields: dict[str, Any], state: JobState, hold: Hold
) -> None:
    world = make_world(**ALLOC | {"prolog_flags": ("Alloc", *flags)})
    job_id = world.start(nodes=2, **fields)

    prepared(world, job_id, "n2", "prolog failed: no disk")
    world.clean(job_id, "n1", "n2")

    job = world.job(job_id)
    assert (job.state, job.hold) == (state, hold)
    if state is JobState.FAILED:
        assert (job.reason, job.reason_text) == (Reason.PROLOG, "prolog failed: no disk (on node n2)")


def test_a_prolog_that_fails_again_and_again_holds_the_job_at_last(make_world: MakeWorld) -> None:
    """nohold_on_prolog_fail lets it try elsewhere, up to MaxBatchRequeue times."""
    world = make_world(**ALLOC | {"scheduler_parameters": {"nohold_on_prolog_fail": ""}, "batch_requeues_max": 2})
    job_id = world.start()

    holds = []
    for attempt in range(3):
        prepared(world, job_id, world.job(job_id).nodes[0], "prolog failed: x", attempt=attempt)
        world.clean(job_id, *world.job(job_id).nodes)
        holds.append(world.job(job_id).hold)
        world.pass_()

    assert holds == [Hold.NONE, Hold.NONE, Hold.ADMIN]
    assert world.job(job_id).state is JobState.PENDING


def test_a_job_cancelled_while_its_nodes_are_prepared_never_launches(make_world: MakeWorld) -> None:
    world = make_world(**ALLOC)
    job_id = world.start(nodes=2)
    world.cancel(job_id)

    prepared(world, job_id, "n1")

    assert world.launches() == []
    assert not world.job(job_id).is_configuring


def test_the_controllers_prolog_comes_before_everything(make_world: MakeWorld) -> None:
    world = make_world(**ALLOC | {"prolog_controller": "/site/first"})
    job_id = world.start(nodes=2)
    assert (prepares(world), world.launches()) == ([], [])

    world.do(PrologEnded(job_id, 0))

    assert prepares(world) == ["n1", "n2"]
    assert not world.job(job_id).is_in_prolog


def test_a_controllers_prolog_that_fails_gives_the_job_back(make_world: MakeWorld) -> None:
    world = make_world(prolog_controller="/site/first")
    job_id = world.start()

    world.do(PrologEnded(job_id, 0, "/site/first: exit 3: no licence"))
    world.clean(job_id, "n1")

    assert world.job(job_id).hold is Hold.ADMIN
    assert world.launches() == []


def test_a_new_controller_runs_the_prolog_again(make_world: MakeWorld) -> None:
    world = make_world(prolog_controller="/site/first")
    job_id = world.start()
    world.effects.clear()

    world.restart()

    assert programs(world) == [(Program.PROLOG, job_id)]


def test_the_controllers_epilog_runs_for_each_run_of_a_job(make_world: MakeWorld) -> None:
    world = make_world(epilog_controller="/site/last")
    never_ran = world.submit()
    world.cancel(never_ran)
    job_id = world.start()

    world.end_script(job_id, exit_code=3)

    effects = world.took(RunProgram)
    assert [(effect.program, effect.job.id, effect.job.exit_code) for effect in effects] == [
        (Program.EPILOG, job_id, 3)
    ]


def test_nodes_do_not_wait_for_the_controllers_epilog_but_the_queue_does(make_world: MakeWorld) -> None:
    world = make_world(epilog_controller="/site/last", requeue_exit=(3,), min_job_age_s=60)
    job_id = world.start()
    world.end_script(job_id, exit_code=3)
    job = world.job(job_id)
    assert (job.is_completing, job.is_requeued, job.completing_nodes, world.free_cpus("n1")) == (True, True, (), 4)

    world.do(EpilogEnded(job_id, attempt=0))

    job = world.job(job_id)
    assert (job.state, job.attempt, job.is_in_epilog) == (JobState.PENDING, 1, False)
    world.do(EpilogEnded(job_id, attempt=0))
    assert world.happened() == [], "it is another run's"
    world.check_replay()


def test_the_controllers_epilog_may_requeue_its_job(make_world: MakeWorld) -> None:
    world = make_world(epilog_controller="/site/last")
    job_id = world.start()
    world.end_script(job_id, exit_code=3)

    world.change("requeue", job_id)

    assert world.job(job_id).state is JobState.FAILED
    world.do(EpilogEnded(job_id, attempt=0))
    assert world.job(job_id).state is JobState.PENDING


def test_a_new_controller_runs_the_epilog_again_and_keeps_its_job_until_then(make_world: MakeWorld) -> None:
    world = make_world(epilog_controller="/site/last", min_job_age_s=60)
    job_id = world.start()
    world.end_script(job_id)
    world.effects.clear()

    world.restart()

    assert programs(world) == [(Program.EPILOG, job_id)]
    world.pass_time(3600)
    assert world.job(job_id).is_in_epilog
    world.do(EpilogEnded(job_id, attempt=0))
    world.pass_time(60)
    assert job_id not in world.cluster.jobs


def test_the_end_tells_the_epilog_what_it_needs(make_world: MakeWorld) -> None:
    world = make_world(nodes=2, epilog="/site/epilog")
    job_id = world.start(nodes=2)

    world.end_script(job_id, exit_code=3)

    [order] = [effect for effect in world.effects if isinstance(effect, EndJob) and effect.node == "n2"]
    assert order.variables["SLURM_JOB_ID"] == str(job_id)
    assert order.variables["SLURMD_NODENAME"] == "n2"
    assert order.variables["SLURM_JOB_EXIT_CODE2"] == "3:0"
    assert "PATH" not in order.variables


def test_a_node_set_to_drain_tells_its_jobs(make_world: MakeWorld) -> None:
    """Once; they are not signalled."""
    world = make_world(nodes=2)
    job_id = world.start()
    world.effects.clear()

    world.update_nodes("n1", State="DRAIN", Reason="fan")
    world.update_nodes("n1", Reason="both fans")

    told = [(order.job_id, order.signal, order.reason, order.text) for order in world.took(SignalJob)]
    assert told == [(job_id, 0, "drain", "fan")]
