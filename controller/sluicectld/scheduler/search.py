"""Where a shape fits: now, on the working copy; or at any later moment, on the timeline.

Both are the same search with another answer to "how much is free on this node": offers by node go to place.py, and
the nodes that it chooses are turned into what is taken from each.

Invariant: a part is only taken where it is free for the job's whole time.
"""

from collections.abc import Callable, Sequence

import msgspec

from .constraints import force_groups
from .levels import Level, Take
from .place import OfferOf, Placement, is_ranged, place
from .shapes import Shape
from .sharing import place_sharing
from .timeline import Timeline
from .working import WorkingCopy

#: The level that counts for the node at a position.
LevelOf = Callable[[int], Level]


class Part(msgspec.Struct, frozen=True):
    """What one node gives: its tasks and what is taken from it."""

    position: int
    tasks: int
    take: Take


def find_now(shape: Shape, working: WorkingCopy, timeline: Timeline | None) -> list[Part] | None:
    """Return where a job of the shape starts now without delaying any planned start, or None."""
    level_of = _level_now(shape, working, timeline)
    offer_of = offers(shape, working, level_of)
    if not shape.is_screened:
        shape.is_screened = True
        if not any(map(shape.offer, set(working.levels))):
            return None
    if is_first_fit(shape):
        candidates = shape.candidates
        while shape.cursor < len(candidates):
            position = candidates[shape.cursor]
            if offer_of(position) >= shape.needs.tasks:
                return _parts(shape, [(position, shape.needs.tasks)], level_of)
            shape.cursor += 1
        if shape.needs.is_single_node:
            return None
    useful = shape.candidates if shape.useful_now is None else shape.useful_now
    shape.useful_now = [position for position in useful if offer_of(position)]
    return find_among(shape, shape.useful_now, level_of, offer_of)


def find_at(shape: Shape, working: WorkingCopy, timeline: Timeline, at: float) -> list[Part] | None:
    """Return where a job of the shape could start at the time and stay for its limit."""
    until_at = at + shape.duration_s

    def level_of(position: int) -> Level:
        return shape.restrict(position, timeline.floor(position, at, until_at), at, until_at)

    return find_among(shape, shape.candidates, level_of, offers(shape, working, level_of))


def find_idle(shape: Shape, working: WorkingCopy, candidates: Sequence[int]) -> list[Part] | None:
    """Return where it would fit if all the candidates were idle."""

    def level_of(position: int) -> Level:
        return working.table.idle(working.levels[position].kind)

    return find_among(shape, candidates, level_of, lambda position: shape.offer(level_of(position)))


def is_first_fit(shape: Shape) -> bool:
    """Does the first node that holds all tasks settle it?"""
    needs = shape.needs
    return (
        needs.nodes_min == 1
        and not shape.required
        and not shape.groups
        and not shape.alternatives
        and not needs.is_contiguous
        and not needs.gres_per_job
        and not is_ranged(needs)
    )


def find_among(shape: Shape, candidates: Sequence[int], level_of: LevelOf, offer_of: OfferOf) -> list[Part] | None:
    """Return the parts that the candidates give, or None when they can't hold the request."""
    for tree in shape.alternatives or ((),):
        alike = [each for each in candidates if shape.has_features(tree, each)] if tree else candidates
        parts = _find_alike(shape, alike, level_of, offer_of)
        if parts is not None:
            return parts
    return None


def _find_alike(shape: Shape, candidates: Sequence[int], level_of: LevelOf, offer_of: OfferOf) -> list[Part] | None:
    required = shape.required
    if shape.groups:
        forced = force_groups(shape.groups, shape.has_features, candidates, offer_of, required)
        if forced is None:
            return None
        required = forced
    if shape.needs.gres_per_job:
        return _find_sharing(shape, candidates, level_of, offer_of, required)
    placement = place(candidates, offer_of, shape.needs, required)
    return None if placement is None else _parts(shape, placement, level_of)


def _find_sharing(
    shape: Shape, candidates: Sequence[int], level_of: LevelOf, offer_of: OfferOf, required: frozenset[int]
) -> list[Part] | None:
    shared = place_sharing(candidates, offer_of, lambda each: shape.share(level_of(each)), shape.needs, required)
    if shared is None:
        return None
    parts = []
    for position, tasks, share in shared:
        level = level_of(position)
        take = shape.take(level, tasks, share)
        if take.cpus > level.cpus or take.memory_mib > level.memory_mib:
            return None
        parts.append(Part(position, tasks, take))
    return parts


def _parts(shape: Shape, placement: Placement, level_of: LevelOf) -> list[Part]:
    return [Part(position, tasks, shape.take(level_of(position), tasks)) for position, tasks in placement]


def _level_now(shape: Shape, working: WorkingCopy, timeline: Timeline | None) -> LevelOf:
    levels = working.levels
    if shape.book is not None:
        return _restricted_now(shape, working, timeline)
    if timeline is None:
        return levels.__getitem__
    planned, until_at = timeline.planned_positions, timeline.now_at + shape.duration_s

    def level_of(position: int) -> Level:
        return timeline.floor(position, timeline.now_at, until_at) if position in planned else levels[position]

    return level_of


def _restricted_now(shape: Shape, working: WorkingCopy, timeline: Timeline | None) -> LevelOf:
    """Return the level now, without what reservations keep for others."""
    assert shape.book is not None, "nothing restricts the shape"
    now_at = shape.book.now_at
    until_at = now_at + shape.duration_s

    def level_of(position: int) -> Level:
        level = working.levels[position]
        if timeline is not None and position in timeline.planned_positions:
            level = timeline.floor(position, now_at, until_at)
        return shape.restrict(position, level, now_at, until_at)

    return level_of


def offers(shape: Shape, working: WorkingCopy, level_of: LevelOf) -> OfferOf:
    """Return the function that tells how many tasks the node at a position holds."""
    offer, uid = shape.offer, shape.uid
    if uid is None:
        return lambda position: offer(level_of(position))

    def offer_to_user(position: int) -> int:
        level = level_of(position)
        if level.job_count and working.is_foreign(position, uid, shape.needs.is_user_exclusive):
            return 0
        return offer(level)

    return offer_to_user
