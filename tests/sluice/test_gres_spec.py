"""GRES specifications: names, types and counts, however they are spelled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import gres_spec
from sluice.errors import InvalidRequest

words = st.from_regex(r"[a-z][a-z0-9_.-]{0,6}", fullmatch=True)
specs = st.lists(st.tuples(words, st.just("") | words | st.just("1g.10gb"), st.integers(0, 10**6)), max_size=4).map(
    tuple
)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        pytest.param("", (), id="nothing"),
        pytest.param("none", (), id="none"),
        pytest.param("gpu", (("gpu", "", 1),), id="the count defaults to one"),
        pytest.param("gpu:2", (("gpu", "", 2),), id="a number is a count"),
        pytest.param("gpu:0", (("gpu", "", 0),), id="a count of zero is kept"),
        pytest.param("gpu:a100", (("gpu", "a100", 1),), id="a word is a type"),
        pytest.param("gpu:a100:2,shard:4", (("gpu", "a100", 2), ("shard", "", 4)), id="several entries"),
        pytest.param("gres/gpu:2", (("gpu", "", 2),), id="the TRES spelling"),
        pytest.param("gres:gpu:2", (("gpu", "", 2),), id="the spelling scontrol shows"),
        pytest.param("gres/gpu:a100=2", (("gpu", "a100", 2),), id="an equals sign before the count"),
        pytest.param("gpu:1g.10gb", (("gpu", "1g.10gb", 1),), id="a type may begin with a digit"),
        pytest.param("nic:2K", (("nic", "", 2048),), id="a count with a unit"),
    ],
)
def test_parse_reads_every_spelling(text: str, spec: gres_spec.GresSpec) -> None:
    assert gres_spec.parse(text) == spec


@pytest.mark.parametrize(
    "text", ["gpu:", "gpu:-1", "gpu:a100:x", ":2", "gpu:a:b:2", "gpu,,nic", "gpu:2:a100", "2", "g u", "gpu="]
)
def test_parse_refuses_garbage(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a gres list: ") as refusal:
        gres_spec.parse(text)
    assert refusal.value.code == "invalid_gres"


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("2", (("gpu", "", 2),)),
        ("a100:2,v100", (("gpu", "a100", 2), ("gpu", "v100", 1))),
        ("gpu:2", (("gpu", "", 2),)),
        ("gpu-x:2", (("gpu", "gpu-x", 2),)),
    ],
)
def test_parse_gpus_knows_the_name(text: str, spec: gres_spec.GresSpec) -> None:
    assert gres_spec.parse_gpus(text) == spec


@pytest.mark.parametrize("text", ["", "-1", "x:y", "2,"])
def test_parse_gpus_refuses_garbage(text: str) -> None:
    with pytest.raises(InvalidRequest):
        gres_spec.parse_gpus(text)


def test_totals_merges_and_tres() -> None:
    spec = gres_spec.parse("gpu:a100:2,gpu:v100:1,gpu:a100:1,shard:4")
    assert gres_spec.total(spec, "gpu") == 4
    assert gres_spec.total(spec, "gpu", "a100") == 3
    assert gres_spec.merge(spec) == (("gpu", "a100", 3), ("gpu", "v100", 1), ("shard", "", 4))
    assert gres_spec.to_tres(spec) == {"gres/gpu": 4, "gres/gpu:a100": 3, "gres/gpu:v100": 1, "gres/shard": 4}
    assert gres_spec.format_spec(gres_spec.scale(spec[:1], 3), prefix="gres:") == "gres:gpu:a100:6"


@given(specs)
def test_parse_reverses_format(spec: gres_spec.GresSpec) -> None:
    """parse(format_spec(s)) == s."""
    assert gres_spec.parse(gres_spec.format_spec(spec)) == spec


@given(specs)
def test_merging_changes_no_total(spec: gres_spec.GresSpec) -> None:
    """total(merge(s), name) == total(s, name), and merging twice is merging once."""
    merged = gres_spec.merge(spec)
    assert gres_spec.merge(merged) == merged
    assert all(gres_spec.total(merged, name) == gres_spec.total(spec, name) for name, _, _ in spec)
