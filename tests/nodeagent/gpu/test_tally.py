"""What each step had of its GPUs, from looks at them."""

from __future__ import annotations

import pytest

from sluice.model.step import GpuUsage
from sluiced.gpu.processes import Look
from sluiced.gpu.tally import Sample, Tally, add_samples, share_look


def test_each_step_has_what_its_processes_have() -> None:
    look = Look({1: 100, 2: 50, 3: 7, 4: 1000}, {1: 30.0, 2: 20.0, 3: 40.0, 4: 5.0})

    shares = share_look(look, {1: "a", 2: "a", 3: "b"}, {"a": False, "b": False})

    assert shares == {"a": Sample(150, 50.0), "b": Sample(7, 40.0)}


def test_a_gpu_works_no_more_than_all_the_time() -> None:
    assert share_look(Look({1: 1, 2: 1}, {1: 90.0, 2: 90.0}), {1: "a", 2: "a"}, {"a": True}) == {"a": Sample(2, 100.0)}


def test_a_step_whose_processes_rest_has_zero_percent() -> None:
    assert share_look(Look({1: 5}, {}), {1: "a"}, {"a": True}) == {"a": Sample(5, 0.0)}


WHOLE = Look({1: None}, None, 5000, 60.0)


@pytest.mark.parametrize(
    ("steps_by_pid", "are_whole", "expected"),
    [
        ({1: "a"}, {"a": True}, {"a": Sample(5000, 60.0)}),
        ({1: "a"}, {"a": True, "script": True}, {"a": Sample(5000, 60.0), "script": Sample(0, None)}),
        ({1: "a"}, {"a": False}, {"a": Sample(0, None)}),
        ({}, {"a": True}, {"a": Sample(0, None)}),
    ],
    ids=["alone on it", "beside a step without processes", "with a part of it", "beside somebody else's process"],
)
def test_the_figures_of_the_whole_are_those_of_a_step_that_has_it_to_itself(
    steps_by_pid: dict[int, str], are_whole: dict[str, bool], expected: dict[str, Sample]
) -> None:
    assert share_look(WHOLE, steps_by_pid, are_whole) == expected


def test_the_work_of_a_gpu_without_known_processes_is_of_the_one_step_that_holds_it() -> None:
    assert share_look(Look({}, {}, None, 60.0), {}, {"a": True}) == {"a": Sample(0, 60.0)}
    assert share_look(Look({}, {}, None, 60.0), {}, {"a": True, "b": True}) == {
        "a": Sample(0, 0.0),
        "b": Sample(0, 0.0),
    }


def test_gpus_add_up_and_one_that_cannot_tell_adds_nothing() -> None:
    assert add_samples([Sample(1, 90.0), Sample(2, None), Sample(4, 80.0)]) == Sample(7, 170.0)
    assert add_samples([Sample(1, None)]) == Sample(1, None)


def test_averages_are_over_time() -> None:
    tally = Tally().add(Sample(1000, 100.0), 1.0).add(Sample(2000, 20.0), 3.0)

    assert tally.usage() == GpuUsage(
        nodes=1,
        memory_peak_bytes=2000,
        memory_total_bytes=2000,
        memory_mean_bytes=1750,
        util_peak_percent=100.0,
        util_mean_percent=40.0,
    )


def test_seconds_without_a_figure_of_work_do_not_count_for_it() -> None:
    usage = Tally().add(Sample(10, None), 5.0).add(Sample(10, 50.0), 1.0).usage()

    assert usage.util_mean_percent == 50.0


def test_a_step_without_samples_was_not_looked_at() -> None:
    assert Tally().usage() == GpuUsage()


def test_work_that_nobody_knows_is_not_told_as_none() -> None:
    assert Tally().add(Sample(10, None), 0.0).usage() == GpuUsage(
        nodes=1, memory_peak_bytes=10, memory_total_bytes=10, memory_mean_bytes=10
    )
