"""Worlds for the controller's tests; at the end of each test the journal must give the same tables."""

from collections.abc import Callable, Iterator

import pytest

from tests.engine_builder import World

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world() -> Iterator[MakeWorld]:
    """Makes a world with other nodes or settings than `world` has."""
    worlds: list[World] = []

    def make(**options: object) -> World:
        worlds.append(World(**options))  # type: ignore[arg-type]
        return worlds[-1]

    yield make
    for made in worlds:
        made.check_replay()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """Two nodes of 4 CPUs and the settings' defaults."""
    return make_world(nodes=2)
