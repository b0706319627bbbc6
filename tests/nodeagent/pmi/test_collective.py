"""Gathering over the tree, and spreading the whole."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiced.pmi.collective import CollectiveError, Collectives, Move, Release, SendDown, SendUp
from sluiced.pmi.tree import parent


def run_all(nodes: int, width: int, participants: tuple[int, ...], seed: int, keys: int) -> dict[int, list[Release]]:
    """Return what every node is released with, when messages arrive in an order drawn by *seed*."""
    rng = random.Random(seed)
    own = [Collectives(index, nodes, width) for index in range(nodes)]
    gifts = [(index, f"k{key}") for index in participants or range(nodes) for key in range(keys)]
    rng.shuffle(gifts)
    released: dict[int, list[Release]] = {index: [] for index in range(nodes)}
    # Between two neighbours nothing is overtaken; everything else may be.
    channels: dict[tuple[int, int], list[Move]] = {}

    def take(index: int, moves: list[Move]) -> None:
        for move in moves:
            if isinstance(move, Release):
                released[index].append(move)
            else:
                target = parent(index, width) if isinstance(move, SendUp) else move.child
                assert target is not None
                channels.setdefault((index, target), []).append(move)

    while gifts or any(channels.values()):
        busy = [channel for channel, moves in channels.items() if moves]
        if gifts and (not busy or rng.random() < 0.3):
            index, key = gifts.pop()
            take(index, own[index].give(key, participants, f"{key}:{index}".encode()))
            continue
        source, target = rng.choice(busy)
        move = channels[source, target].pop(0)
        if isinstance(move, SendUp):
            take(target, own[target].on_gather(source, move.key, move.participants, move.pieces))
        elif isinstance(move, SendDown):
            take(target, own[target].on_spread(move.key, move.participants, move.pieces))
    assert all(each.is_idle for each in own)
    return released


@given(st.integers(1, 25), st.integers(1, 4), st.integers(0, 2**16), st.integers(1, 3), st.data())
def test_whoever_gives_gets_what_all_gave(nodes: int, width: int, seed: int, keys: int, data: st.DataObject) -> None:
    """Each participant is released once for each collective, with every piece once; nobody else is."""
    chosen = data.draw(st.sets(st.integers(0, nodes - 1)), "participants; none are all")
    participants = tuple(sorted(chosen))

    released = run_all(nodes, width, participants, seed, keys)

    members = chosen or set(range(nodes))
    for index, releases in released.items():
        assert sorted(each.key for each in releases) == ([f"k{key}" for key in range(keys)] if index in members else [])
        for each in releases:
            assert sorted(each.pieces) == sorted(f"{each.key}:{member}".encode() for member in members)


def test_a_child_that_gives_twice_is_an_error() -> None:
    root = Collectives(0, 3)
    root.on_gather(1, "k", (), (b"x",))

    with pytest.raises(CollectiveError, match="node 1 gave twice"):
        root.on_gather(1, "k", (), (b"x",))


def test_nodes_must_agree_on_who_takes_part() -> None:
    root = Collectives(0, 3)
    root.on_gather(1, "k", (), (b"x",))

    with pytest.raises(CollectiveError, match="disagree"):
        root.on_gather(2, "k", (1, 2), (b"x",))


def test_it_is_known_whom_a_collective_waits_for() -> None:
    root = Collectives(0, 3)
    root.give("k", (), b"own")
    root.on_gather(1, "k", (), (b"x",))

    assert (root.misses(1), root.misses(2)) == (False, True)
