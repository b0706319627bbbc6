"""Feature expressions over whole allocations: a job starts when some set of nodes suits it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice import feature_expr
from sluicectld.scheduler.cover import find_cover
from sluicectld.scheduler.decide import decide
from tests.builders import Cluster

features = st.sets(st.sampled_from(["a", "b", "c"])).map(sorted)
expressions = st.sampled_from(
    [
        "a",
        "a&b",
        "a|b",
        "(a|b)&c",
        "[a|b]",
        "[a|b]&c",
        "[a|b]|c",
        "[a|b]&[b|c]",
        "[(a&b)|c]",
        "a*2",
        "a*2&b*1",
        "[a*2&b*1]",
        "[a*2&b]",
        "[a*1&b*1&c*1]",
        "[(a|b)*2&c]",
        "[(a|b)*2&c*1]",
        "[a*2|b*1]",
        "[a*1&b*2]&c",
    ]
)


@given(st.lists(features, min_size=1, max_size=5), expressions, st.integers(1, 3), st.integers(0, 2))
@settings(max_examples=150)
def test_a_job_starts_when_some_set_of_nodes_suits(node_features, text, nodes_min, more):
    """Brute force over all sets of allowed size agrees, and the chosen set suits."""
    cluster = Cluster(nodes=0)
    names = [f"n{number}" for number in range(1, len(node_features) + 1)]
    for name, some in zip(names, node_features, strict=True):
        cluster.node(name, cpus=1, memory_mib=100, features=tuple(some))
    cluster.partition("batch", tuple(names))
    nodes_max = nodes_min + more
    cluster.pending(nodes=nodes_min, max_nodes=nodes_max, features=text)

    starts = decide(cluster.snapshot()).starts

    tree = feature_expr.parse(text)
    sizes = range(nodes_min, nodes_max + 1)
    sets = [chosen for size in sizes for chosen in itertools.combinations(node_features, size)]
    assert bool(starts) == any(feature_expr.suits_nodes(tree, chosen) for chosen in sets)
    if starts:
        chosen = [node_features[names.index(name)] for name in starts[0].allocation.nodes]
        assert feature_expr.suits_nodes(tree, chosen)


sorts = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=7)


@given(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)), sorts, st.sets(st.integers(0, 2)))
@settings(max_examples=150)
def test_a_cover_is_filled_and_as_small_as_can_be(counts, some_sorts, required):
    suited = list(enumerate(some_sorts))
    required = frozenset(each for each in required if each < len(suited))

    def fills(chosen) -> bool:
        return all(sum(some_sorts[each][place] for each in chosen) >= count for place, count in enumerate(counts))

    subsets = (
        required | set(others)
        for size in range(len(suited) + 1)
        for others in itertools.combinations(range(len(suited)), size)
    )
    least = min((len(chosen) for chosen in subsets if fills(chosen)), default=None)
    cover = find_cover(counts, suited, required)

    assert (None if cover is None else len(cover)) == least
    assert cover is None or (fills(cover) and required <= cover)


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("a|b", ["a|b"]),
        ("[a|b]", ["a", "b"]),
        ("[a|b]&c", ["a&c", "b&c"]),
        ("[a|b]&[c|d]", ["a&c", "a&d", "b&c", "b&d"]),
        ("[a*2&b*1]", ["[a*2&b*1]"]),
        ("[a*2|b*1]", ["a*2", "b*1"]),
        ("[a&b]", ["a&b"]),
    ],
)
def test_the_ways_of_an_expression(text, ways):
    assert [feature_expr.format_tree(way) for way in feature_expr.ways(feature_expr.parse(text))] == ways


def test_preferred_nodes_come_first_but_need_not_be_there():
    cluster = Cluster(nodes=2).node("n2", cpus=4, memory_mib=4000, features=("fast",))
    cluster.pending(other=(("prefer", "fast"),))
    cluster.pending(other=(("prefer", "faster"),))

    assert [start.allocation.nodes for start in decide(cluster.snapshot()).starts] == [("n2",), ("n1",)]


def test_the_batch_script_runs_on_a_node_with_its_features():
    cluster = Cluster(nodes=3).node("n3", cpus=4, memory_mib=4000, features=("login",))
    cluster.pending(nodes=2, other=(("batch", "login"),))

    assert decide(cluster.snapshot()).starts[0].allocation.nodes == ("n3", "n2")
