"""Dependency specifications: every kind, every id, and all or any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import dependency_spec
from sluice.dependency_spec import SINGLETON, Dependency
from sluice.errors import InvalidRequest

plain = st.tuples(
    st.sampled_from(sorted(dependency_spec.KINDS - {"after"})),
    st.integers(1, 10**9),
    st.none() | st.integers(0, 10**6),
    st.just(0),
)
delayed = st.tuples(st.just("after"), st.integers(1, 10**9), st.none() | st.integers(0, 99), st.integers(0, 99))
dependencies = st.lists(plain | delayed | st.just(SINGLETON), max_size=5).map(tuple)


@pytest.mark.parametrize(
    ("text", "expected", "is_any"),
    [
        pytest.param("", (), False, id="nothing"),
        pytest.param("afterok:12", (("afterok", 12, None, 0),), False, id="one job"),
        pytest.param("afterok:1:2", (("afterok", 1, None, 0), ("afterok", 2, None, 0)), False, id="several ids"),
        pytest.param(
            "afterok:1,afternotok:2", (("afterok", 1, None, 0), ("afternotok", 2, None, 0)), False, id="all of them"
        ),
        pytest.param("afterany:1?singleton", (("afterany", 1, None, 0), SINGLETON), True, id="any of them"),
        pytest.param("7:8", (("afterany", 7, None, 0), ("afterany", 8, None, 0)), False, id="afterany is the default"),
        pytest.param("after:3+10:4", (("after", 3, None, 10), ("after", 4, None, 0)), False, id="minutes after"),
        pytest.param("aftercorr:5_*", (("aftercorr", 5, None, 0),), False, id="all tasks, spelled out"),
        pytest.param("AfterOK:5_3", (("afterok", 5, 3, 0),), False, id="an array task, in any case"),
    ],
)
def test_parse_gives_one_dependency_per_id(text: str, expected: tuple[Dependency, ...], is_any: bool) -> None:
    assert dependency_spec.parse(text) == (expected, is_any)


@pytest.mark.parametrize(
    "text",
    [
        "bogus:1",
        "afterok:",
        "afterok",
        "afterok:1?afterok:2,afterok:3",
        "afterok:1,",
        "afterok:0",
        "afterok:x",
        "afterok:1_",
        "afterok:1_x",
        "afterok:1+5",
        "after:1+",
        "singleton:1",
        "1" * 30,
        "afterok" + ":1" * 20_000,
    ],
)
def test_parse_refuses_with_the_known_text(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        dependency_spec.parse(text)
    assert (refusal.value.code, refusal.value.message) == ("dependency", "Job dependency problem")


def test_format_shows_the_state_of_each() -> None:
    some, is_any = dependency_spec.parse("afterok:1:2,singleton")
    shown = dependency_spec.format_dependencies(some, is_any, ("unfulfilled", "failed", ""))
    assert shown == "afterok:1(unfulfilled),afterok:2(failed),singleton"
    assert dependency_spec.job_ids(some) == {1, 2}


@given(dependencies, st.booleans())
def test_parse_reverses_format(some: tuple[Dependency, ...], is_any: bool) -> None:
    """parse(format_dependencies(d, is_any)) == (d, is_any) where there are two or more."""
    back = dependency_spec.parse(dependency_spec.format_dependencies(some, is_any))
    assert back == (some, is_any and len(some) > 1)
