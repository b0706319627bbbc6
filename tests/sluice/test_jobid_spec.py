"""Job id specifications: jobs, array tasks, components and steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import array_spec, jobid_spec
from sluice.errors import InvalidRequest
from sluice.jobid_spec import JobIdSpec

numbers = st.integers(0, 10**6)
jobs = st.integers(1, 10**9)
steps = st.none() | st.sampled_from(jobid_spec.STEP_WORDS) | numbers.map(str)
tasks = st.lists(st.integers(0, 50), min_size=1, max_size=6).map(array_spec.from_indices)
specs = (
    st.builds(JobIdSpec, jobs, step=steps)
    | st.builds(JobIdSpec, jobs, tasks=tasks, step=steps)
    | st.builds(JobIdSpec, jobs, component=numbers, step=steps)
)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        pytest.param("123", JobIdSpec(123), id="a job"),
        pytest.param("123_4", JobIdSpec(123, tasks=((4, 4, 1),)), id="an array task"),
        pytest.param("123_[1-5,9]", JobIdSpec(123, tasks=((1, 5, 1), (9, 9, 1))), id="several tasks"),
        pytest.param("4_[0-9%2]", JobIdSpec(4, tasks=((0, 9, 1),)), id="the throttle that squeue shows"),
        pytest.param("123_*", JobIdSpec(123), id="all tasks"),
        pytest.param("123+1", JobIdSpec(123, component=1), id="a component"),
        pytest.param("123.0", JobIdSpec(123, step="0"), id="a step"),
        pytest.param("123_4.batch", JobIdSpec(123, tasks=((4, 4, 1),), step="batch"), id="a task's batch step"),
        pytest.param("123+1.extern", JobIdSpec(123, component=1, step="extern"), id="a component's extern step"),
    ],
)
def test_parse_reads_every_form(text: str, spec: JobIdSpec) -> None:
    assert jobid_spec.parse(text) == spec


@pytest.mark.parametrize(
    "text", ["", "abc", "0", "-1", "1_", "1+", "1.", "1.foo", "1_[3-1]", "1_[1", "1_1]", "1_[]", "1 2", "1" * 40, "٣"]
)
def test_parse_refuses_with_the_known_text(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        jobid_spec.parse(text)
    assert (refusal.value.code, refusal.value.message) == ("invalid_job_id", f"Invalid job id {text}")


def test_a_list_keeps_commas_inside_brackets() -> None:
    assert jobid_spec.parse_list("1, 2_[1,3],4.0") == [
        JobIdSpec(1),
        JobIdSpec(2, tasks=((1, 1, 1), (3, 3, 1))),
        JobIdSpec(4, step="0"),
    ]


def test_empty_places_of_a_list_count_for_nothing() -> None:
    assert jobid_spec.parse_list(",1,, 2,") == [JobIdSpec(1), JobIdSpec(2)]


@pytest.mark.parametrize("text", ["", " ", ",", "1,x", "1_[2,3"])
def test_a_list_without_ids_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        jobid_spec.parse_list(text)


def test_one_task_is_told_from_several() -> None:
    assert jobid_spec.parse("1_7").task == 7
    assert jobid_spec.parse("1_[7]").task == 7
    assert jobid_spec.parse("1_[7-8]").task is None
    assert jobid_spec.parse("1").task is None
    assert repr(jobid_spec.parse("1_[7-8].0")) == "JobIdSpec('1_[7-8].0')"


@given(st.lists(specs, min_size=1, max_size=5))
def test_parse_list_reverses_format_list(some: list[JobIdSpec]) -> None:
    """parse_list(format_list(s)) == s, and equal specs hash alike."""
    back = jobid_spec.parse_list(jobid_spec.format_list(some))
    assert [jobid_spec.format_spec(each) for each in back] == [jobid_spec.format_spec(each) for each in some]
    assert {hash(each) for each in back} == {hash(jobid_spec.parse(jobid_spec.format_spec(each))) for each in some}


@given(st.text("019_[],-+.%*batch ", max_size=20))
def test_any_text_is_an_id_or_refused(text: str) -> None:
    """parse_list raises InvalidRequest or gives ids that survive their notation."""
    try:
        some = jobid_spec.parse_list(text)
    except InvalidRequest:
        return
    assert jobid_spec.format_list(jobid_spec.parse_list(jobid_spec.format_list(some))) == jobid_spec.format_list(some)
