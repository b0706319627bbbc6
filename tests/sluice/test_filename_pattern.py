"""File name patterns: each letter, its padding, and who writes the file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import filename_pattern

TASK: dict[str, str | int] = {
    "A": 40,
    "a": 13,
    "j": 42,
    "N": "n7",
    "n": 1,
    "r": 2,
    "S": "s2V7",
    "s": 3,
    "t": 5,
    "u": "ada",
    "x": "my job",
}
BATCH: dict[str, str | int] = {"j": 42, "N": "n7", "u": "ada", "x": "train"}


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("slurm-%j.out", "slurm-42.out"),
        ("slurm-%A_%a.out", "slurm-40_13.out"),
        ("%A_%4a", "40_0013"),
        ("%b", "3"),
        ("%J", "42.3"),
        ("%N-%n-%t", "n7-1-5"),
        ("%x.%u.%S", "my job.ada.s2V7"),
        ("%r%s", "23"),
        ("100%%", "100%"),
        ("%99j", "0000000042"),
        ("%5N", "n7"),
        ("%q %5z %", "%q %5z %"),
        ("%q%j", "%q42"),
        ("%5%j", "%542"),
        (r"\\%j", "%j"),
        (r"\%j", "%j"),
        ("", ""),
    ],
)
def test_a_task_gets_its_own_values(pattern: str, name: str) -> None:
    assert filename_pattern.render(pattern, TASK) == name


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("dask-%J.out", "dask-42.out"),
        ("%t%n%r", "000"),
        ("%j.%s", "42.batch"),
        ("%A_%a", "42_4294967294"),
        ("%b", "4"),
        ("%S", "%S"),
        ("%3t", "000"),
    ],
)
def test_a_batch_script_is_rank_zero_of_no_array(pattern: str, name: str) -> None:
    assert filename_pattern.render(pattern, BATCH) == name


@pytest.mark.parametrize(
    ("pattern", "per_task", "per_node"),
    [
        ("%j.out", False, False),
        ("%j-%t", True, False),
        ("%3t", True, False),
        ("%N", False, True),
        ("%2n-%t", True, True),
        ("%%t", False, False),
        (r"\\%t%n", False, False),
        ("100%", False, False),
    ],
)
def test_a_pattern_tells_how_many_files_it_names(pattern: str, per_task: bool, per_node: bool) -> None:
    assert filename_pattern.is_per_task(pattern) == per_task
    assert filename_pattern.is_per_node(pattern) == per_node


@given(st.text(st.characters(blacklist_characters="%\\")))
def test_text_without_percent_is_itself(pattern: str) -> None:
    """render(p, f) == p where p has no percent sign."""
    assert filename_pattern.render(pattern, TASK) == pattern


@given(st.text())
def test_doubled_percents_come_back_single(text: str) -> None:
    """render(t.replace("%", "%%"), f) == t unless replacement is off."""
    if not text.startswith("\\"):
        assert filename_pattern.render(text.replace("%", "%%"), TASK) == text


@given(st.text("%AabJjNnrSstux0123456789q", max_size=20))
def test_any_pattern_renders(pattern: str) -> None:
    """A pattern is per task exactly if two ranks get different names."""
    one = filename_pattern.render(pattern, TASK | {"t": 1})
    other = filename_pattern.render(pattern, TASK | {"t": 2})
    assert (one != other) == filename_pattern.is_per_task(pattern)
