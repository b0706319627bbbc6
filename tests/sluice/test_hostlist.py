"""Hostlists: what is written is what is meant, and folding loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import hostlist
from sluice.errors import InvalidRequest

names = st.from_regex(r"[a-z]{1,2}([0-9]{1,3}[a-z-])?[0-9]{0,4}", fullmatch=True)
plain_names = st.builds("{}{}".format, st.sampled_from(["n", "rack1n", "rack10n", "gpu-"]), st.integers(0, 2000))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing is no names"),
        pytest.param("n1,n[2-4,7]", ["n1", "n2", "n3", "n4", "n7"], id="ranges and single names"),
        pytest.param("n[08-11]", ["n08", "n09", "n10", "n11"], id="zero padding is kept"),
        pytest.param("n[8-010]", ["n8", "n9", "n10"], id="the first number sets the padding"),
        pytest.param("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"], id="brackets multiply out"),
        pytest.param("n[1-2]-ib", ["n1-ib", "n2-ib"], id="text may follow a bracket"),
        pytest.param("n3,n1,n1", ["n3", "n1", "n1"], id="order and duplicates are kept"),
        pytest.param(" n1,, n2\n", ["n1", "n2"], id="blanks and empty entries count for nothing"),
    ],
)
def test_expand_gives_the_names_as_written(text: str, expected: list[str]) -> None:
    assert hostlist.expand(text) == expected
    assert hostlist.count(text) == len(expected)


@pytest.mark.parametrize(
    ("given_names", "expected"),
    [
        (["n1", "n2", "n3", "n7"], "n[1-3,7]"),
        (["n10", "n9", "n1", "n1"], "n[1,9-10]"),
        (["n09", "n10", "n99", "n100"], "n[09-10,99-100]"),
        (["n8", "n9", "n08", "n09"], "n[8-9,08-09]"),
        (["rack2n01", "rack1n02", "rack1n01"], "rack1n[01-02],rack2n01"),
        (["rack10n1", "rack2n1"], "rack2n1,rack10n1"),
        (["login", "n1", "n"], "login,n,n1"),
        (["n1-ib", "n2-ib"], "n1-ib,n2-ib"),
        ([], ""),
    ],
)
def test_fold_prints_what_slurm_prints(given_names: list[str], expected: str) -> None:
    assert hostlist.fold(given_names) == expected


@pytest.mark.parametrize(
    ("given_names", "expected"),
    [
        (["n2", "n10", "n1"], "n[2,10,1]"),
        (["n3", "n1", "n1"], "n[3,1,1]"),
        (["login", "n1", "n", "n", "n2"], "login,n1,n,n,n2"),
        (["n8", "n9", "n10", "n08", "n09"], "n[8-10,08-09]"),
        ([], ""),
    ],
)
def test_fold_in_order_keeps_order_and_duplicates(given_names: list[str], expected: str) -> None:
    assert hostlist.fold_in_order(given_names) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("n[1-", "missing ']'"),
        ("n]", "']' without '['"),
        ("n[3-1]", "range '3-1' runs backwards"),
        ("n[]", "range '' is not a number or two"),
        ("n[a]", "range 'a' is not a number or two"),
        ("n[٣]", "range '٣' is not a number or two"),
        ("n[1-9999999]", "9999999 names, at most 1000000 allowed"),
        ("[0-9][0-9][0-9][0-9][0-9][0-9][0-9]", "10000000 names, at most 1000000 allowed"),
        ("a" * 300, "a name of more than 255 characters"),
    ],
)
def test_refusal_names_the_text_and_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        hostlist.expand(text)
    assert refusal.value.message.endswith(f"is not a hostlist: {problem}")
    assert repr(text)[:40] in refusal.value.message


def test_refusal_reads_as_one_line() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        hostlist.expand("n[1-")
    assert refusal.value.message == "'n[1-' is not a hostlist: missing ']'"


def test_a_large_cluster_is_one_bracket() -> None:
    everything = hostlist.expand("n[1-100000]")
    assert len(everything) == 100_000
    assert hostlist.fold(reversed(everything)) == "n[1-100000]"


@given(st.lists(plain_names))
def test_expand_of_fold_is_the_sorted_set(some: list[str]) -> None:
    """expand(fold(x)) == sorted(set(x)), in natural order."""
    assert hostlist.expand(hostlist.fold(some)) == sorted(set(some), key=hostlist.natural_key)


@given(st.lists(names))
def test_fold_loses_and_invents_no_name(some: list[str]) -> None:
    """set(expand(fold(x))) == set(x), each name once, whatever the padding."""
    back = hostlist.expand(hostlist.fold(some))
    assert sorted(back) == sorted(set(some))


@given(st.lists(names))
def test_fold_in_order_is_reversed_by_expand(some: list[str]) -> None:
    """expand(fold_in_order(x)) == x."""
    assert hostlist.expand(hostlist.fold_in_order(some)) == some


@given(st.text("n[]-,019 ", max_size=25))
def test_any_text_expands_or_is_refused(text: str) -> None:
    """expand(text) gives count(text) names or raises InvalidRequest, nothing else."""
    try:
        expected = hostlist.count(text)
    except InvalidRequest:
        return
    if expected <= 1000:
        assert len(hostlist.expand(text)) == expected


@given(st.text(max_size=300))
def test_natural_key_orders_any_two_names(name: str) -> None:
    """natural_key(a) and natural_key(b) always compare."""
    assert hostlist.natural_key(name) <= hostlist.natural_key(name + "0") or name
