"""Levels over time: what the readable tracks do, and that the compiled ones do the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicectld.scheduler.native.library import lib
from sluicectld.scheduler.native.tracks import NativeTracks
from sluicectld.scheduler.tracks import NEVER, AnyTracks, LevelMap, Tracks

#: Level n offers n tasks; a take of k goes from n to n - k.  The highest level:
TOP = 20
NODES = 3

needs_library = pytest.mark.skipif(lib is None, reason="native/tracks.c is not compiled here")
kinds = pytest.mark.parametrize(
    "make", [Tracks, pytest.param(NativeTracks, marks=needs_library)], ids=["readable", "compiled"]
)


def identity(tracks: AnyTracks) -> LevelMap:
    return LevelMap(tracks.make_table, lambda level: level)


def less(tracks: AnyTracks, count: int) -> LevelMap:
    return LevelMap(tracks.make_table, lambda level: level - count)


def one_node(make: type, *steps: tuple[float, int]) -> AnyTracks:
    """Return tracks of a node that has so much from each moment on; now is 0."""
    tracks: AnyTracks = make(1)
    tracks.set(0, steps[0][1], [at for at, _ in steps], [level for _, level in steps])
    tracks.begin(0.0)
    return tracks


@kinds
def test_time_that_has_passed_is_forgotten_but_not_what_is_free_in_fact(make):
    tracks = one_node(make, (0, 2), (10, 5), (20, 7))

    tracks.begin(15.0)

    assert tracks.steps(0) == ([15.0, 20.0], [5, 7])
    assert tracks.actual(0) == 2


@kinds
def test_a_plan_takes_its_part_for_its_time_only(make):
    tracks = one_node(make, (0, 2), (10, 5), (20, 7))

    tracks.plan(0, 12.0, 30.0, less(tracks, 4))

    assert tracks.steps(0) == ([0.0, 10.0, 12.0, 20.0, 30.0], [2, 5, 1, 3, 7])


@kinds
def test_equal_neighbours_are_one_step(make):
    tracks = one_node(make, (0, 3), (10, 5))

    tracks.plan(0, 10.0, NEVER, less(tracks, 2))

    assert tracks.steps(0) == ([0.0], [3])


@kinds
def test_a_start_must_fit_in_fact_and_until_its_end(make):
    """3 are free in fact; 5 are expected, of which a plan takes 4 from 10 on."""
    tracks = one_node(make, (0, 5))
    tracks.set(0, 3, [0.0], [5])
    tracks.plan(0, 10.0, 20.0, less(tracks, 4))
    offers, here = identity(tracks), tracks.make_positions([0])

    assert tracks.collect_now(offers, here, 0, 10.0, 0, 0) == ([0], [3])
    assert tracks.collect_now(offers, here, 0, 11.0, 0, 0) == ([0], [1])
    assert tracks.first_now(offers, here, 0, 10.0, 3) == 0
    assert tracks.first_now(offers, here, 0, 11.0, 3) == 1


@kinds
def test_the_earliest_moment_is_one_that_lasts(make):
    """There is room for 4 at 10, but only until 15; at 30 it stays."""
    tracks = one_node(make, (0, 1), (10, 4), (15, 3), (30, 4))
    offers, here = identity(tracks), tracks.make_positions([0])

    assert tracks.earliest(offers, here, 4, 5.0, 0.0) == (10.0, 0)
    assert tracks.earliest(offers, here, 4, 6.0, 0.0) == (30.0, 0)
    assert tracks.earliest(offers, here, 5, 1.0, 0.0) is None


steps = st.lists(st.tuples(st.integers(1, 9), st.integers(12, TOP)), min_size=1, max_size=4)
changes = st.lists(
    st.tuples(
        st.sampled_from(["plan", "hold"]),
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
    tracks: AnyTracks = make(NODES)
    for position, gaps in enumerate(tracks_steps):
        times = [sum(gap for gap, _ in gaps[:index]) for index in range(len(gaps))]
        tracks.set(position, gaps[0][1], [float(at) for at in times], [level for _, level in gaps])
    tracks.begin(0.0)
    for index, (kind, position, from_at, lasts_s, count) in enumerate(tracks_changes):
        if kind == "plan":
            tracks.plan(
                position, max(float(from_at), tracks_now(index, pause_s)), from_at + lasts_s, less(tracks, count)
            )
        else:
            tracks.hold(position, from_at + lasts_s, less(tracks, count))
        tracks.begin(tracks_now(index + 1, pause_s))
    return tracks


def tracks_now(index: int, pause_s: int) -> float:
    return float(index * pause_s)


@needs_library
@given(st.lists(steps, min_size=NODES, max_size=NODES), changes, st.integers(0, 4), questions)
@settings(max_examples=300, deadline=None)
def test_the_compiled_tracks_answer_as_the_readable_ones(tracks_steps, tracks_changes, pause_s, question):
    """After any changes every question has the same answer."""
    tasks, nodes, lasts_s, later_s = question
    answers = []
    for make in (Tracks, NativeTracks):
        tracks = build(make, tracks_steps, tracks_changes, pause_s)
        offers, here = identity(tracks), tracks.make_positions([2, 0, 1])
        now_at = tracks_now(len(tracks_changes), pause_s)
        at, until_at = now_at + later_s, now_at + later_s + lasts_s
        answers.append(
            {
                "steps": [tracks.steps(position) for position in range(NODES)],
                "actual": [tracks.actual(position) for position in range(NODES)],
                "collect now": tracks.collect_now(offers, here, 0, until_at, 0, 0),
                "collect enough now": tracks.collect_now(offers, here, 1, until_at, tasks, nodes),
                "collect": tracks.collect_at(offers, here, at, until_at, tasks, nodes),
                "first": tracks.first_now(offers, here, 0, until_at, tasks),
                "earliest": tracks.earliest(offers, here, tasks, lasts_s, at),
                "looks": tracks.looks,
                "moments": list(tracks.sweep(offers, here, tasks, nodes, lasts_s, at)),
            }
        )
        assert answers[-1]["steps"] == [(sorted(set(times)), levels) for times, levels in answers[-1]["steps"]], (
            "steps ascend"
        )
    assert answers[0] == answers[1]


@given(st.lists(steps, min_size=NODES, max_size=NODES), changes, st.integers(0, 4), questions)
@settings(max_examples=200, deadline=None)
def test_a_sweep_passes_over_no_moment_that_would_do(tracks_steps, tracks_changes, pause_s, question):
    """Whenever the candidates hold the job for its whole time, the sweep has yielded that moment or one before it."""
    tasks, nodes, lasts_s, _ = question
    tracks = build(Tracks, tracks_steps, tracks_changes, pause_s)
    offers = identity(tracks)
    now_at = tracks_now(len(tracks_changes), pause_s)
    moments = list(tracks.sweep(offers, [0, 1, 2], tasks, nodes, lasts_s, now_at))
    for at in sorted({now_at, *(at for position in range(NODES) for at in tracks.steps(position)[0])}):
        _, found = tracks.collect_at(offers, [0, 1, 2], at, at + lasts_s, 0, 0)
        if sum(found) >= tasks and len(found) >= nodes:
            assert at in moments
