"""Array specifications: ranges behave as the sets they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import array_spec
from sluice.array_spec import Ranges
from sluice.errors import InvalidRequest


def _text(first: int, extra: int, step: int) -> str:
    return f"{first}-{first + extra}:{step}"


texts = st.lists(st.builds(_text, st.integers(0, 60), st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=4)
arrays = texts.map(lambda parts: array_spec.parse_indices(",".join(parts)))


def members(ranges: Ranges) -> set[int]:
    """Return the indices, having checked the normal form."""
    indices = list(array_spec.iterate(ranges))
    assert indices == sorted(set(indices)), f"{ranges} is not ascending"
    for first, last, step in ranges:
        assert first <= last
        assert (last - first) % step == 0
        assert step == 1 or last > first
    assert array_spec.count(ranges) == len(indices)
    return set(indices)


@pytest.mark.parametrize(
    ("text", "ranges", "throttle"),
    [
        pytest.param("5", ((5, 5, 1),), 0, id="one index"),
        pytest.param("0-9%2", ((0, 9, 1),), 2, id="a throttle"),
        pytest.param("1-10%0", ((1, 10, 1),), 0, id="a throttle of zero is none"),
        pytest.param("0-15:4%2", ((0, 12, 4),), 2, id="the last index is one that exists"),
        pytest.param("1,3,5-9", ((1, 1, 1), (3, 3, 1), (5, 9, 1)), 0, id="a list"),
        pytest.param("4-6,1-3,2", ((1, 6, 1),), 0, id="order and duplicates do not matter"),
        pytest.param("0-6:2,1-7:2", ((0, 7, 1),), 0, id="interleaved steps become one range"),
        pytest.param("0-4:9", ((0, 0, 1),), 0, id="a step beyond the range leaves one index"),
    ],
)
def test_parse_gives_ranges_and_throttle(text: str, ranges: Ranges, throttle: int) -> None:
    assert array_spec.parse(text) == (ranges, throttle)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "5-1",
        "1-",
        "-1",
        "1:2",
        "1-5:0",
        "1-5:",
        "1,,2",
        "1%",
        "1%x",
        "1%-1",
        "%2",
        "1 ",
        "[1-3]",
        "9" * 20,
        "٣",
    ],
)
def test_parse_refuses_and_says_what_would_do(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        array_spec.parse(text)
    assert refusal.value.code == "invalid_array"
    assert refusal.value.message.endswith("; expected indices such as 0-15, 1,3,5-9 or 0-20:4")


def test_parse_refuses_an_index_that_the_configuration_does_not_allow() -> None:
    assert array_spec.parse("0-1000", size_max=1001) == (((0, 1000, 1),), 0)
    with pytest.raises(InvalidRequest):
        array_spec.parse("0-1001", size_max=1001)


def test_a_million_tasks_are_one_tuple() -> None:
    ranges, _ = array_spec.parse("0-999999")
    assert ranges == ((0, 999_999, 1),)
    assert array_spec.count(ranges) == 1_000_000
    assert array_spec.pop_first(ranges) == (0, ((1, 999_999, 1),))
    assert array_spec.remove(ranges, ((0, 999_998, 2),)) == ((1, 999_999, 2),)
    assert array_spec.format_ranges(array_spec.remove_index(ranges, 500)) == "0-499,501-999999"


def test_the_ends_and_the_step_are_what_the_task_environment_shows() -> None:
    ranges, _ = array_spec.parse("2-14:4")
    assert (array_spec.least(ranges), array_spec.greatest(ranges), array_spec.step(ranges)) == (2, 14, 4)
    assert array_spec.step(array_spec.parse_indices("1,3,7")) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0-9%2", "0-9%2"),
        ("1,3,5-9", "1,3,5-9"),
        ("0-15:4", "0-12:4"),
        ("1-3:2", "1,3"),
        ("1,2", "1-2"),
        ("0-4:2,5-9", "0,2,4-9"),
        ("7", "7"),
    ],
)
def test_format_shows_what_squeue_shows(text: str, shown: str) -> None:
    assert array_spec.format_ranges(*array_spec.parse(text)) == shown


def test_a_long_expression_is_cut_after_a_whole_range() -> None:
    ranges = array_spec.from_indices([*range(1, 200, 2), 500])
    shown = array_spec.format_ranges(ranges, throttle=3)
    assert shown == "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33,35,37,39,41,43,...%3"
    assert array_spec.format_ranges(ranges, length_max=0) == ",".join(map(str, [*range(1, 200, 2), 500]))


def test_an_empty_array_has_nothing() -> None:
    assert array_spec.from_indices([]) == ()
    assert array_spec.format_ranges(()) == ""
    assert array_spec.remove((), ((1, 2, 1),)) == ()


@given(texts)
def test_parse_means_the_set_it_says(parts: list[str]) -> None:
    """iterate(parse("a-b:c,...")) is the union of range(a, b + 1, c)."""
    expected: set[int] = set()
    for part in parts:
        span, step = part.split(":")
        first, last = map(int, span.split("-"))
        expected |= set(range(first, last + 1, int(step)))
    assert members(array_spec.parse_indices(",".join(parts))) == expected


@given(arrays, arrays)
def test_set_arithmetic(left: Ranges, right: Ranges) -> None:
    """remove, intersect and union are -, & and | of the sets."""
    assert members(array_spec.remove(left, right)) == members(left) - members(right)
    assert members(array_spec.intersect(left, right)) == members(left) & members(right)
    assert members(array_spec.union(left, right)) == members(left) | members(right)


@given(arrays)
def test_popping_gives_every_index_once_in_order(ranges: Ranges) -> None:
    """Repeated pop_first is iterate."""
    popped = []
    rest = ranges
    while rest:
        index, rest = array_spec.pop_first(rest)
        popped.append(index)
        members(rest)
    assert popped == list(array_spec.iterate(ranges))


@given(arrays, st.lists(st.integers(0, 130), max_size=9))
def test_single_indices_are_removed_and_found(ranges: Ranges, indices: list[int]) -> None:
    """remove_index removes that index only, and contains tells."""
    expected = members(ranges)
    for index in indices:
        assert array_spec.contains(ranges, index) == (index in expected)
        ranges = array_spec.remove_index(ranges, index)
        expected.discard(index)
        assert members(ranges) == expected


@given(arrays, st.integers(0, 9))
def test_parse_reverses_the_full_display(ranges: Ranges, throttle: int) -> None:
    """parse(format_ranges(r, t, 0)) is the same set and throttle."""
    back, its_throttle = array_spec.parse(array_spec.format_ranges(ranges, throttle, length_max=0))
    assert members(back) == members(ranges)
    assert its_throttle == throttle


@given(arrays, st.integers(12, 70))
def test_the_display_keeps_its_length(ranges: Ranges, length_max: int) -> None:
    """At most length_max characters; what is cut ends in dots and is a beginning of the whole."""
    shown = array_spec.format_ranges(ranges, length_max=length_max)
    whole = array_spec.format_ranges(ranges, length_max=0)
    assert shown == whole or (shown.endswith("...") and whole.startswith(shown.removesuffix("...")))
    assert len(shown) <= length_max


@given(st.lists(st.integers(0, 100), max_size=30))
def test_equal_sets_are_equal_tuples(indices: list[int]) -> None:
    """from_indices does not depend on order, and neither does a union of parts."""
    whole = array_spec.from_indices(indices)
    halves = array_spec.from_indices(indices[::2]), array_spec.from_indices(indices[1::2])
    assert array_spec.union(*halves) == array_spec.from_indices(reversed(indices)) == whole
