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
    ("text", "problem"),
    [
        ("bogus:1", "'bogus:1': 'bogus' is none of after, afterany, afterburstbuffer, "),
        ("afterok:", "dependency 'afterok:': '' is not a job id"),
        ("afterok:7,afterok", "'afterok': afterok of which job: afterok:JOBID"),
        ("afterok:1?afterok:2,afterok:3", "',' (all of them) and '?' (any of them) do not go together"),
        ("afterok:1,", "'': '' is none of"),
        ("afterok:0", "'0': no job has the id 0"),
        ("afterok:1:x", "'x': 'x' is not a job id"),
        ("afterok:1_", "'1_': '' is not the index of an array task"),
        ("afterok:1_x", "'1_x': 'x' is not the index of an array task"),
        ("afterok:1+5", "'1+5': minutes (+5) go with after, not with afterok"),
        ("after:1+", "'1+': '' is not a number of minutes"),
        ("singleton:1", "'singleton' is none of"),
        ("1" * 30, "is not a job id"),
        ("afterok" + ":1" * 20_000, "20000 jobs named, at most 10000 are taken"),
    ],
)
def test_parse_refuses_with_the_word_that_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        dependency_spec.parse(text)
    assert refusal.value.code == "dependency"
    assert problem in refusal.value.message


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
