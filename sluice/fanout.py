"""Sharing targets out over a tree: each node passes on to a few others, who pass on to theirs.

A light module.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    Target = TypeVar("Target")

WIDTH_DEFAULT = 8


def split(targets: Sequence[Target], width: int) -> list[list[Target]]:
    """Return at most *width* groups as equal as can be; the first of each group passes on to the rest of it."""
    count = min(max(1, width), len(targets))
    bounds = [index * len(targets) // count for index in range(count + 1)] if count else []
    return [list(targets[bounds[index] : bounds[index + 1]]) for index in range(count)]
