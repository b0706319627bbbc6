"""scontrol reboot: when a node is told, what it does meanwhile, and how it comes back."""

from collections.abc import Callable

import pytest

from sluice.errors import InvalidRequest, RequestError
from sluice.model.states import JobState, NodeState
from sluicectld.state.effects import RebootNode
from tests.engine_builder import World

MakeWorld = Callable[..., World]


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(nodes=2, reboot_program="/site/reboot")


def told(world: World) -> list[tuple[str, str]]:
    return [(effect.node, effect.reason) for effect in world.took(RebootNode)]


def test_an_idle_node_is_restarted_at_once_and_gets_no_work_meanwhile(world: World) -> None:
    world.update_nodes("n1", State="REBOOT", Reason="kernel")

    assert told(world) == [("n1", "kernel")]
    assert (world.node("n1").is_usable, world.node("n1").reason) == (False, "reboot: kernel")
    world.register("n1", boot_id="another")
    assert (world.node("n1").is_usable, world.node("n1").reboot) == (True, None)


def test_a_busy_node_is_restarted_when_nothing_runs_there(world: World) -> None:
    job_id = world.start(required_nodes=("n1",))
    world.update_nodes("n1", State="REBOOT")
    assert (told(world), world.node("n1").is_usable) == ([], True)

    world.end_script(job_id)

    assert told(world) == [("n1", "")]


def test_with_asap_nothing_new_starts_before(world: World) -> None:
    running = world.start(required_nodes=("n1",))
    world.update_nodes("n1", State="REBOOT_ASAP", Reason="kernel")
    waiting = world.submit(required_nodes=("n1",))
    world.pass_()
    assert world.job(waiting).state is JobState.PENDING

    world.end_script(running)
    assert told(world) == [("n1", "kernel")]
    world.register("n1", boot_id="another")
    world.pass_()

    assert world.job(waiting).state is JobState.RUNNING


def test_an_agent_that_comes_back_without_a_restart_is_not_back(world: World) -> None:
    world.update_nodes("n1", State="REBOOT")

    world.register("n1")

    assert not world.node("n1").is_usable


def test_a_restart_can_be_cancelled_until_it_is_told(world: World) -> None:
    world.start(required_nodes=("n1",))
    world.update_nodes("n1", State="REBOOT_ASAP")

    world.update_nodes("n1", State="CANCEL_REBOOT")

    assert world.node("n1").is_usable
    world.update_nodes("n2", State="REBOOT")
    with pytest.raises(RequestError, match="is being restarted already"):
        world.update_nodes("n2", State="CANCEL_REBOOT")


@pytest.mark.parametrize(
    ("next_state", "state", "is_drained"),
    [
        pytest.param("", NodeState.UP, True, id="as before"),
        pytest.param("RESUME", NodeState.UP, False, id="in service"),
        pytest.param("DOWN", NodeState.DOWN, True, id="down"),
    ],
)
def test_the_next_state_is_the_administrators(
    world: World, next_state: str, state: NodeState, is_drained: bool
) -> None:
    world.update_nodes("n1", State="DRAIN", Reason="mine")
    world.update_nodes("n1", State="REBOOT", NextState=next_state)
    assert told(world) == [("n1", "")]

    world.register("n1", boot_id="another")

    assert (world.node("n1").state, world.node("n1").is_drained) == (state, is_drained)


def test_a_node_that_was_silent_for_too_long_while_it_restarted_comes_back(world: World) -> None:
    world.update_nodes("n1", State="REBOOT")
    world.lose("n1")

    world.register("n1", boot_id="another")

    assert world.node("n1").is_usable


def test_without_a_program_nothing_is_restarted(make_world: MakeWorld) -> None:
    world = make_world()

    with pytest.raises(InvalidRequest, match="RebootProgram"):
        world.update_nodes("n1", State="REBOOT")
