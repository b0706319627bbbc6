"""Where a shape fits: now, on the working copy; or at any later moment, on the timeline.

Both are the same search with another answer to "how much is free on this node": the tracks collect what the candidates
offer, place.py chooses among them, and the nodes that it chooses are turned into what is taken from each.

Invariant: a part is only taken where it is free for the job's whole time.
"""

from collections.abc import Callable, Sequence

import msgspec

from .arrange import candidate_lists
from .constraints import Group, force_groups
from .levels import Level, Take
from .needs import Needs
from .place import OfferOf, Placement, is_ranged, place, place_named
from .shapes import Shape
from .sharing import place_sharing
from .timeline import Timeline
from .working import WorkingCopy

#: The level that counts for the node at a position.
LevelOf = Callable[[int], Level]
#: Gives positions and offers; tasks and nodes: enough of them, (0, 0) for all.
Collect = Callable[[int, int], tuple[list[int], list[int]]]


class Part(msgspec.Struct, frozen=True):
    """What one node gives: its tasks and what is taken from it."""

    position: int
    tasks: int
    take: Take


def find_now(shape: Shape, working: WorkingCopy, timeline: Timeline) -> list[Part] | None:
    """Return where a job of the shape starts now without delaying any planned start, or None."""
    until_at = timeline.now_at + shape.duration_s
    tracks = timeline.tracks
    candidates, positions = shape.candidates_during(timeline.now_at, until_at)

    def level_of(position: int) -> Level:
        if not shape.is_level_dependent:
            return working.idle_level(position)
        return shape.cut(timeline.floor_now(position, until_at), position, timeline.now_at, until_at)

    if shape.is_first_fit and not (shape.is_level_dependent or shape.orderings or shape.uid is not None):
        tasks = shape.needs.tasks
        shape.cursor = tracks.first_now(shape.task_rows, positions, shape.cursor, until_at, tasks)
        if shape.cursor < len(candidates):
            return _parts(shape, [(candidates[shape.cursor], tasks)], level_of)
        if shape.is_plain:
            return None
    return _find(
        shape,
        (None, until_at),
        shape.orderings,
        level_of,
        lambda tasks, nodes: tracks.collect_now(shape.task_rows, positions, until_at, tasks, nodes),
    )


def find_at(shape: Shape, working: WorkingCopy, timeline: Timeline, at: float) -> list[Part] | None:
    """Return where a job of the shape could start at the time and stay for its limit."""
    until_at = at + shape.duration_s
    tracks = timeline.tracks
    _, positions = shape.candidates_during(at, until_at)

    def level_of(position: int) -> Level:
        if not shape.is_level_dependent:
            return working.idle_level(position)
        return shape.cut(timeline.floor(position, at, until_at), position, at, until_at)

    return _find(
        shape,
        (at, until_at),
        shape.planning_orderings,
        level_of,
        lambda tasks, nodes: tracks.collect_at(shape.task_rows, positions, at, until_at, tasks, nodes),
    )


def find_idle(shape: Shape, working: WorkingCopy, candidates: Sequence[int]) -> list[Part] | None:
    """Return where it would fit if all the candidates were idle."""

    def level_of(position: int) -> Level:
        return shape.cut_idle(working.idle_level(position))

    return _find_among(shape, candidates, level_of, lambda position: shape.offer(level_of(position)))


def find_with(shape: Shape, candidates: list[int], level_of: LevelOf, offer_of: OfferOf) -> list[Part] | None:
    """Return where it would fit if so much were free on the candidates, which are in placement order."""
    return _find_among(shape, shape.rank(candidates, shape.orderings), level_of, offer_of)


def _find(
    shape: Shape, interval: tuple[float | None, float], orderings: tuple[str, ...], level_of: LevelOf, collect: Collect
) -> list[Part] | None:
    """Search among the first candidates that could be enough, then among all of them."""
    tasks, nodes = (0, 0) if orderings or _needs_all(shape) else (shape.needs.tasks, _wanted_nodes(shape))
    for enough in ((tasks, nodes), (0, 0))[nodes == 0 :]:
        positions, offers = collect(*enough)
        if shape.is_level_dependent:
            offers = [shape.offer(level_of(position)) for position in positions]
        elif sum(offers) < shape.needs.tasks or len(offers) < shape.needs.nodes_min:
            return None
        elif not _is_enough_of_few(offers, shape.needs):
            continue
        offer_by_position = dict(zip(positions, offers, strict=True))
        positions = shape.only_own(positions, *interval)
        parts = _find_among(shape, shape.rank(positions, orderings), level_of, offer_by_position.__getitem__)
        if parts is not None:
            return parts
    return None


def _is_enough_of_few(offers: list[int], needs: Needs) -> bool:
    """Do the best of them hold all tasks, no more of them than the request may have?"""
    most = needs.nodes_max
    return not most or len(offers) <= most or sum(sorted(offers, reverse=True)[:most]) >= needs.tasks


def _needs_all(shape: Shape) -> bool:
    """Can only a look at every candidate tell which ones to take?"""
    needs = shape.needs
    return bool(
        shape.required
        or shape.uid is not None
        or shape.groups
        or shape.alternatives
        or shape.is_level_dependent
        or shape.arranger is not None
        or needs.is_contiguous
        or needs.is_spread
        or needs.gres_per_job
    )


def _wanted_nodes(shape: Shape) -> int:
    needs = shape.needs
    return needs.nodes_max if is_ranged(needs) else needs.nodes_min


def _find_among(shape: Shape, candidates: Sequence[int], level_of: LevelOf, offer_of: OfferOf) -> list[Part] | None:
    """Return the parts that the candidates give, or None when they can't hold the request."""
    for tree in shape.alternatives or ((),):
        alike = [each for each in candidates if shape.has_features(tree, each)] if tree else candidates
        groups = shape.groups_of(tree)
        for near in candidate_lists(shape.arranger, alike, offer_of, shape.needs, shape.required):
            parts = _find_alike(shape, groups, near, level_of, offer_of)
            if parts is not None:
                return parts
    return None


def _find_alike(
    shape: Shape, groups: tuple[Group, ...], candidates: Sequence[int], level_of: LevelOf, offer_of: OfferOf
) -> list[Part] | None:
    required = shape.required
    if required and not required.issubset(candidates):
        return None
    if shape.named_tasks and not shape.needs.gres_per_job:
        named = place_named(shape.named_tasks, offer_of, shape.needs)
        return None if named is None else _parts(shape, named, level_of)
    if groups:
        forced = force_groups(groups, shape.has_features, candidates, offer_of, required, shape.needs.nodes_max)
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
