"""--gpu-bind: which GPUs each task has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import gpu_bind
from sluice.errors import InvalidRequest
from sluiced.gpu.bind import bind_gpus
from sluiced.gpu.device import Unit

#: Two GPUs near cores 0-3, two near cores 4-7.
UNITS = [
    Unit(name="gpu", type="", number=number, ordinal=number, cores="0-3" if number < 2 else "4-7")
    for number in range(4)
]
LOW, HIGH = {0, 1}, {4, 5}


def _bound(text: str, *cores: set[int]) -> list[list[int]]:
    return [[unit.number for unit in own] for own in bind_gpus(UNITS, cores, gpu_bind.parse(text))]


@pytest.mark.parametrize(
    ("text", "cores", "expected"),
    [
        ("none", (LOW, HIGH), [[0, 1, 2, 3], [0, 1, 2, 3]]),
        ("verbose", (LOW,), [[0, 1, 2, 3]]),
        ("closest", (LOW, HIGH), [[0, 1], [2, 3]]),
        ("closest", (LOW | HIGH,), [[0, 1, 2, 3]]),
        ("closest", (set(),), [[0, 1, 2, 3]]),
        ("per_task:1", (HIGH, LOW, HIGH), [[2], [0], [3]]),
        ("per_task:2", (HIGH, LOW), [[2, 3], [0, 1]]),
        ("per_task:2", (LOW, LOW), [[0, 1], [2, 3]]),
        ("single:1", (LOW, HIGH, LOW, HIGH), [[0], [2], [1], [3]]),
        ("single:2", (LOW, LOW, HIGH, LOW), [[0], [0], [2], [1]]),
        ("map_gpu:3,1", (LOW, LOW, LOW), [[3], [1], [3]]),
        ("map:0*2,1", (LOW, LOW, LOW), [[0], [0], [1]]),
        ("v,mask_gpu:0x3,0xc", (LOW, LOW), [[0, 1], [2, 3]]),
    ],
)
def test_tasks_have(text: str, cores: tuple[set[int], ...], expected: list[list[int]]) -> None:
    assert _bound(text, *cores) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("per_task:3", "2 tasks of 3 GPUs"),
        ("map_gpu:4", "the step has 0 to 3"),
        ("mask_gpu:0x10", "the step has 0 to 3"),
    ],
)
def test_what_the_step_does_not_have_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        _bound(text, LOW, HIGH)


@pytest.mark.parametrize("text", ["", "closest:1", "single", "single:0", "per_task:x", "map_gpu:", "mask_gpu:zz", "x"])
def test_what_is_no_binding_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid --gpu-bind argument"):
        gpu_bind.parse(text)


@given(st.integers(1, 4), st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=4))
def test_no_gpu_is_given_to_two_tasks_that_have_their_own(size: int, cores: list[set[int]]) -> None:
    if size * len(cores) > len(UNITS):
        return
    shares = _bound(f"per_task:{size}", *cores)

    given_out = [number for own in shares for number in own]
    assert len(given_out) == len(set(given_out)) == size * len(cores)
