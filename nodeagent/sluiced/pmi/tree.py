"""The tree in which the nodes of a step talk: node 0 is its root, each has at most WIDTH children.  Pure.

Nodes are numbered in the order of the step; parents have smaller numbers than their children.
"""

from __future__ import annotations

WIDTH = 32


def parent(index: int, width: int = WIDTH) -> int | None:
    """Return the parent of a node, None for the root."""
    return (index - 1) // width if index else None


def children(index: int, nodes: int, width: int = WIDTH) -> range:
    first = index * width + 1
    return range(min(first, nodes), min(first + width, nodes))


def next_hop(index: int, target: int, width: int = WIDTH) -> int:
    """Return the neighbour of *index* on the way to another node *target*."""
    assert index != target, "no way leads to oneself"
    above = target
    while above > index:
        below, above = above, (above - 1) // width
        if above == index:
            return below
    return (index - 1) // width


def is_below(index: int, top: int, width: int = WIDTH) -> bool:
    """Is *index* in the part of the tree that begins with *top*, which is itself in it?"""
    while index > top:
        index = (index - 1) // width
    return index == top
