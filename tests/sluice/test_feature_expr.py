"""Feature expressions: what is written is what a node must have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import feature_expr
from sluice.errors import InvalidRequest

Tree = tuple[Any, ...]

names = st.sampled_from(["a", "b", "gpu-x", "intel:v4"]).map(lambda name: ("name", name))


def _lists(parts: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(parts, min_size=2, max_size=3)
    return several.map(lambda some: ("and", *some)) | several.map(lambda some: ("or", *some))


plain = st.recursive(names, _lists, max_leaves=8)
trees = st.recursive(
    names,
    lambda parts: (
        _lists(parts) | st.tuples(st.just("count"), parts, st.integers(1, 99)) | st.tuples(st.just("match"), parts)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", ("name", "a")),
        ("a&b", ("and", ("name", "a"), ("name", "b"))),
        ("a|b&c", ("or", ("name", "a"), ("and", ("name", "b"), ("name", "c")))),
        ("(a|b)&c", ("and", ("or", ("name", "a"), ("name", "b")), ("name", "c"))),
        ("a*4", ("count", ("name", "a"), 4)),
        (
            "[a*2&b*1]",
            ("match", ("and", ("count", ("name", "a"), 2), ("count", ("name", "b"), 1))),
        ),
        ("[rack1|rack2]", ("match", ("or", ("name", "rack1"), ("name", "rack2")))),
        (" a & b ", ("and", ("name", "a"), ("name", "b"))),
    ],
)
def test_parse_gives_the_tree(text: str, tree: Tree) -> None:
    assert feature_expr.parse(text) == tree


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected a feature name, found the end"),
        ("a&", "expected a feature name, found the end"),
        ("a&|b", "expected a feature name, found '|b'"),
        ("(a", "expected ')', found the end"),
        ("[a)", "expected ']', found ')'"),
        ("a)", "expected '&', '|' or the end, found ')'"),
        ("a b", "expected '&', '|' or the end, found 'b'"),
        ("a,b", "expected '&', '|' or the end, found ',b'"),
        ("a*x", "expected a count, found 'x'"),
        ("a*0", "expected a count, found '0'"),
        ("a*", "expected a count, found the end"),
    ],
)
def test_a_refusal_says_what_was_expected(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        feature_expr.parse(text)
    assert refusal.value.message == f"{text!r} is not a constraint: {problem}"
    assert refusal.value.code == "invalid_feature"


@pytest.mark.parametrize("text", ["(" * 40 + "a" + ")" * 40, "(" * 5000, "a&" * 3000 + "a"])
def test_expressions_are_bounded(text: str) -> None:
    with pytest.raises(InvalidRequest, match="at most"):
        feature_expr.parse(text)


@pytest.mark.parametrize(
    ("text", "features", "suits"),
    [
        ("a&b", {"a"}, False),
        ("a|b", {"b"}, True),
        ("(a|b)&c", {"b", "c"}, True),
        ("(a|b)&c", {"c"}, False),
        ("a*4", {"a"}, True),
        ("[a*2&b*1]", {"b"}, True),
        ("[a*2&b*1]", {"c"}, False),
        ("[a|b]&c", {"b"}, False),
        ("[a&b]", {"b"}, False),
    ],
)
def test_evaluate_answers_for_one_node(text: str, features: set[str], suits: bool) -> None:
    assert feature_expr.evaluate(feature_expr.parse(text), features) == suits


def test_plain_expressions_and_their_names() -> None:
    assert feature_expr.is_plain(feature_expr.parse("(a|b)&c"))
    assert not feature_expr.is_plain(feature_expr.parse("a&b*2"))
    assert not feature_expr.is_plain(feature_expr.parse("[a|b]"))
    assert feature_expr.names(feature_expr.parse("[a*2&b*1]|(c&a)")) == ["a", "b", "c"]


@given(trees)
def test_notation_is_stable(tree: Tree) -> None:
    """format_tree(parse(format_tree(t))) == format_tree(t), and the same tree where no list was nested."""
    text = feature_expr.format_tree(tree)
    back = feature_expr.parse(text)
    assert back == tree
    assert feature_expr.format_tree(back) == text


@given(plain, st.sets(st.sampled_from(["a", "b", "gpu-x", "intel:v4"])))
def test_a_feature_more_never_unsuits_a_node(tree: Tree, features: set[str]) -> None:
    """evaluate is monotone: what suits with some features suits with all of them and more."""
    if feature_expr.evaluate(tree, features):
        assert feature_expr.evaluate(tree, features | set(feature_expr.names(tree)))
    assert feature_expr.evaluate(tree, set(feature_expr.names(tree)))
    assert not feature_expr.evaluate(tree, set())
