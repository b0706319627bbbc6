"""Messages to jobs: who hears them, and when nobody does."""

import pytest

from sluice.errors import NotFound, NotPermitted, RequestError
from sluice.model.base import BATCH_STEP
from sluice.wire.messages import NotifyJob, TellStep
from sluicectld.permissions import Caller
from sluicectld.state.commands import TellJobs
from sluicectld.state.effects import TellWaiting
from tests.engine_builder import ANN, BOB, OPERATOR, World


def tell(
    world: World, job: int | str, caller: Caller = ANN, *, hearers: tuple[int, ...] = (), text: str = "hi"
) -> None:
    world.effects.clear()
    world.do(TellJobs(NotifyJob(id=str(job), text=text), frozenset(hearers)), caller)


@pytest.mark.parametrize("caller", [ANN, OPERATOR], ids=["owner", "operator"])
def test_a_batch_job_is_told_on_its_first_node(world: World, caller: Caller) -> None:
    job_id = world.start(nodes=2)

    tell(world, job_id, caller)

    assert world.effects == [
        TellStep(node="n1", epoch=world.cluster.epoch, job_id=job_id, attempt=0, step_id=BATCH_STEP, text="hi")
    ]


def test_an_interactive_job_is_told_where_it_is_waited_for(world: World) -> None:
    job_id = world.start(is_batch=False)

    tell(world, job_id, hearers=(job_id,))

    assert world.effects == [TellWaiting(job_id=job_id, text="hi")]


def test_the_srun_of_an_allocation_is_told_by_its_step(world: World) -> None:
    job_id = world.start(is_batch=False)
    world.step(job_id)

    tell(world, job_id)

    assert [effect.step_id for effect in world.effects if isinstance(effect, TellStep)] == [0]


def test_every_running_task_of_an_array_is_told(world: World) -> None:
    array = world.submit(array="0-1")
    world.pass_()

    tell(world, array)

    assert len(world.effects) == 2


def test_another_user_may_not(world: World) -> None:
    job_id = world.start()

    with pytest.raises(NotPermitted, match="may not send a message to a job"):
        tell(world, job_id, BOB)


def test_what_nobody_would_hear_is_refused(world: World) -> None:
    alone = world.start(is_batch=False)
    waiting = world.submit(is_held=True)
    ended = world.start()
    world.end_script(ended)

    for job_id, code in ((alone, "disabled"), (waiting, "disabled"), (ended, "already_done")):
        with pytest.raises(RequestError) as refusal:
            tell(world, job_id)
        assert refusal.value.code == code
    with pytest.raises(NotFound):
        tell(world, 99)


def test_a_node_that_does_not_respond_hears_nothing(world: World) -> None:
    job_id = world.start()
    world.update_nodes("n1", State="NORESP")

    with pytest.raises(RequestError, match="node n1 of job 1 does not respond"):
        tell(world, job_id)


def test_a_long_message_is_refused_with_its_size(world: World) -> None:
    job_id = world.start()

    with pytest.raises(RequestError, match="3000 bytes, at most 2048"):
        tell(world, job_id, text="é" * 1500)
