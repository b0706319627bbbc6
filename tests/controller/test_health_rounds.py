"""When which nodes are asked for their health check."""

import pytest

from sluice.config.settings import Settings
from sluice.model.node import Node
from sluice.model.states import NodeState
from sluicectld.nodes.health import HealthRounds

_WORDS = {"n1": "idle", "n2": "mixed", "n3": "allocated", "n4": "idle"}


def node(name: str, **fields: object) -> Node:
    return Node(name=name, state=NodeState.UP, **fields)  # type: ignore[arg-type]


def asked(settings: Settings, seconds: int, nodes: tuple[Node, ...]) -> list[list[str]]:
    """Return who is asked in each of so many seconds."""
    rounds = HealthRounds()
    return [rounds.next_nodes(settings, nodes, lambda one: _WORDS[one.name], float(at)) for at in range(seconds)]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param(("ANY",), ["n1", "n2", "n3", "n4"], id="any"),
        pytest.param(("ALLOC",), ["n3"], id="allocated"),
        pytest.param(("MIXED", "IDLE"), ["n1", "n2", "n4"], id="mixed or idle"),
        pytest.param(("NONDRAINED_IDLE",), ["n1"], id="idle and not drained"),
        pytest.param(("START_ONLY",), [], id="only at the start of the agent"),
    ],
)
def test_nodes_are_asked_by_state(states: tuple[str, ...], expected: list[str]) -> None:
    settings = Settings(health_check_program="/check", health_check_interval_s=3, health_check_node_state=states)
    nodes = (node("n1"), node("n2"), node("n3"), node("n4", is_drained=True))

    assert asked(settings, 4, nodes) == [[], [], [], expected]


def test_a_silent_node_is_not_asked() -> None:
    settings = Settings(health_check_program="/check", health_check_interval_s=1)

    assert asked(settings, 2, (node("n1", is_responding=False), node("n2"))) == [[], ["n2"]]


def test_a_cycle_spreads_the_nodes_over_the_interval() -> None:
    settings = Settings(
        health_check_program="/check", health_check_interval_s=2, health_check_node_state=("CYCLE", "ANY")
    )
    nodes = tuple(node(name) for name in _WORDS)

    assert asked(settings, 6, nodes) == [[], [], ["n1", "n2"], ["n3", "n4"], ["n1", "n2"], ["n3", "n4"]]


@pytest.mark.parametrize("settings", [Settings(), Settings(health_check_program="/check")], ids=["none", "no interval"])
def test_nobody_is_asked_without_program_or_interval(settings: Settings) -> None:
    assert asked(settings, 3, (node("n1"),)) == [[], [], []]
