"""Levels over time: what the readable tracks do, and that the compiled ones do the same."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicectld.scheduler.native.library import lib
from sluicectld.scheduler.native.tracks import NativeTracks
from sluicectld.scheduler.task_rows import TaskRows
from sluicectld.scheduler.tracks import NEVER, AnyTracks, Move, Tracks

TOP = 20
NODES = 3
WIDTH = 3
#: A row is (CPUs, MiB, jobs); a task takes a CPU, and 3 MiB.
FULL = (TOP, 3 * TOP, 0)

needs_library = pytest.mark.skipif(lib is None, reason="native/tracks.c is not compiled here")
kinds = pytest.mark.parametrize(
    "make", [Tracks, pytest.param(NativeTracks, marks=needs_library)], ids=["readable", "compiled"]
)


def demand(least: int = 1, is_alone: bool = False) -> TaskRows:
    """Return the demand of tasks of one CPU and 3 MiB."""
    tasks = list(range(1, TOP + 1))
    return TaskRows([[(count, 3 * count, 0) for count in tasks]], [tasks], least, is_alone)


def one_node(make: type, *steps: tuple[float, int]) -> AnyTracks:
    """Return tracks of a node that has so many CPUs free from each moment on; now is 0."""
    tracks: AnyTracks = make(1, WIDTH)
    tracks.begin(0.0)
    fill(tracks, 0, steps)
    return tracks


def fill(tracks: AnyTracks, position: int, steps: Sequence[tuple[float, int]]) -> None:
    cpus = steps[0][1]
    tracks.set(position, 0, FULL, (cpus, 3 * TOP, len(steps)))
    for at, count in steps[1:]:
        tracks.change([position], at, NEVER, tracks.make_row((count - cpus, 0, 0)), Move.UNDO, False)
        cpus = count


def take(tracks: AnyTracks, position: int, from_at: float, until_at: float, cpus: int, move: Move = Move.TAKE) -> None:
    tracks.change([position], from_at, until_at, tracks.make_row((cpus, 3 * cpus, 0)), move, False)


def cpus_over_time(tracks: AnyTracks) -> tuple[list[float], list[int]]:
    times, rows = tracks.steps(0)
    return times, [row[0] for row in rows]


@kinds
def test_time_that_has_passed_is_forgotten_but_not_what_is_free_in_fact(make):
    tracks = one_node(make, (0, 2), (10, 5), (20, 7))

    tracks.begin(15.0)

    assert cpus_over_time(tracks) == ([15.0, 20.0], [5, 7])
    assert tracks.actual(0)[0] == 2


@kinds
def test_a_plan_takes_its_part_for_its_time_only(make):
    tracks = one_node(make, (0, 2), (10, 5), (20, 7))

    take(tracks, 0, 12.0, 30.0, 4)

    assert cpus_over_time(tracks) == ([0.0, 10.0, 12.0, 20.0, 30.0], [2, 5, 1, 3, 7])


@kinds
def test_equal_neighbours_are_one_step(make):
    tracks = one_node(make, (0, 5))

    take(tracks, 0, 10.0, NEVER, 2)
    take(tracks, 0, 10.0, NEVER, 2, Move.UNDO)

    assert cpus_over_time(tracks) == ([0.0], [5])


@kinds
def test_with_its_last_job_all_of_a_node_comes_back_and_never_more_than_it_has(make):
    tracks: AnyTracks = make(1, WIDTH)
    tracks.set(0, 0, FULL, (TOP - 4, 50, 2))

    tracks.change([0], 0.0, NEVER, tracks.make_row((7, 1, 0)), Move.RETURN, True)
    assert tracks.actual(0) == (TOP, 51, 1)

    tracks.change([0], 0.0, NEVER, tracks.make_row((1, 1, 0)), Move.RETURN, True)
    assert tracks.actual(0) == FULL


@kinds
def test_a_node_that_offers_less_than_the_least_or_has_company_is_of_no_use(make):
    tracks = one_node(make, (0, 5))
    here = tracks.make_positions([0])

    assert tracks.collect_now(demand(least=5), here, 9.0, 0, 0) == ([0], [5])
    assert tracks.collect_now(demand(least=6), here, 9.0, 0, 0) == ([], [])
    assert tracks.collect_now(demand(is_alone=True), here, 9.0, 0, 0) == ([], [])


@kinds
def test_a_start_must_fit_in_fact_and_until_its_end(make):
    """3 are free in fact; 5 are expected, of which a plan takes 4 from 10 on."""
    tracks = one_node(make, (0, 3), (0, 5))
    take(tracks, 0, 10.0, 20.0, 4)
    asked, here = demand(), tracks.make_positions([0])

    assert tracks.collect_now(asked, here, 10.0, 0, 0) == ([0], [3])
    assert tracks.collect_now(asked, here, 11.0, 0, 0) == ([0], [1])
    assert tracks.first_now(asked, here, 0, 10.0, 3) == 0
    assert tracks.first_now(asked, here, 0, 11.0, 3) == 1


@kinds
def test_the_earliest_moment_is_one_that_lasts(make):
    """There is room for 4 at 10, but only until 15; at 30 it stays."""
    tracks = one_node(make, (0, 1), (10, 4), (15, 3), (30, 4))
    asked, here = demand(), tracks.make_positions([0])

    assert tracks.earliest(asked, here, 4, 5.0, 0.0) == (10.0, 0)
    assert tracks.earliest(asked, here, 4, 6.0, 0.0) == (30.0, 0)
    assert tracks.earliest(asked, here, 5, 1.0, 0.0) is None


steps = st.lists(st.tuples(st.integers(1, 9), st.integers(12, TOP)), min_size=1, max_size=4)
changes = st.lists(
    st.tuples(
        st.sampled_from(list(Move)),
        st.integers(0, NODES - 1),
        st.integers(0, 30),
        st.sampled_from([1, 5, 20, NEVER]),
        st.integers(0, 2),
    ),
    max_size=6,
)
questions = st.tuples(
    st.integers(1, 20), st.integers(1, 3), st.sampled_from([1.0, 7.0, 30.0, NEVER]), st.integers(0, 9)
)


def build(make: type, tracks_steps: list, tracks_changes: list, pause_s: int) -> AnyTracks:
    tracks: AnyTracks = make(NODES, WIDTH)
    tracks.begin(0.0)
    for position, gaps in enumerate(tracks_steps):
        times = [float(sum(gap for gap, _ in gaps[:index])) for index in range(len(gaps))]
        fill(tracks, position, [(at, cpus) for at, (_, cpus) in zip(times, gaps, strict=True)])
    for index, (move, position, from_at, lasts_s, cpus) in enumerate(tracks_changes):
        now_at = tracks_now(index, pause_s)
        is_held = move is Move.RETURN
        from_at = now_at if is_held else max(float(from_at), now_at)
        tracks.change([position], from_at, from_at + lasts_s, tracks.make_row((cpus, cpus, 0)), move, is_held)
        tracks.begin(tracks_now(index + 1, pause_s))
        if index == 1:
            # Moments are kept from the first sweep on: what comes after it must be found as well.
            list(tracks.sweep(demand(), tracks.make_positions([0, 1]), 1, 1, 1.0, tracks_now(2, pause_s)))
    tracks.begin(tracks_now(len(tracks_changes), pause_s))
    return tracks


def tracks_now(index: int, pause_s: int) -> float:
    return float(index * pause_s)


@needs_library
@given(st.lists(steps, min_size=NODES, max_size=NODES), changes, st.integers(0, 4), questions)
@settings(max_examples=300)
def test_the_compiled_tracks_answer_as_the_readable_ones(tracks_steps, tracks_changes, pause_s, question):
    """After any changes every question has the same answer."""
    tasks, nodes, lasts_s, later_s = question
    answers = []
    for make in (Tracks, NativeTracks):
        tracks = build(make, tracks_steps, tracks_changes, pause_s)
        asked, here = demand(), tracks.make_positions([2, 0, 1])
        now_at = tracks_now(len(tracks_changes), pause_s)
        at, until_at = now_at + later_s, now_at + later_s + lasts_s
        answers.append(
            {
                "steps": [tracks.steps(position) for position in range(NODES)],
                "actual": [tracks.actual(position) for position in range(NODES)],
                "collect now": tracks.collect_now(asked, here, until_at, 0, 0),
                "collect enough now": tracks.collect_now(asked, here, until_at, tasks, nodes),
                "collect": tracks.collect_at(asked, here, at, until_at, tasks, nodes),
                "first": tracks.first_now(asked, here, 0, until_at, tasks),
                "earliest": tracks.earliest(asked, here, tasks, lasts_s, at),
                "looks": tracks.looks,
                "moments": list(tracks.sweep(asked, here, tasks, nodes, lasts_s, at)),
            }
        )
        assert answers[-1]["steps"] == [(sorted(set(times)), levels) for times, levels in answers[-1]["steps"]], (
            "steps ascend"
        )
    assert answers[0] == answers[1]


@given(st.lists(steps, min_size=NODES, max_size=NODES), changes, st.integers(0, 4), questions)
@settings(max_examples=200)
def test_a_sweep_passes_over_no_moment_that_would_do(tracks_steps, tracks_changes, pause_s, question):
    """Whenever the candidates hold the job for its whole time, the sweep has yielded that moment or one before it."""
    tasks, nodes, lasts_s, _ = question
    tracks = build(Tracks, tracks_steps, tracks_changes, pause_s)
    asked = demand()
    now_at = tracks_now(len(tracks_changes), pause_s)
    moments = list(tracks.sweep(asked, [0, 1, 2], tasks, nodes, lasts_s, now_at))
    for at in sorted({now_at, *(at for position in range(NODES) for at in tracks.steps(position)[0])}):
        _, found = tracks.collect_at(asked, [0, 1, 2], at, at + lasts_s, 0, 0)
        if sum(found) >= tasks and len(found) >= nodes:
            assert at in moments
