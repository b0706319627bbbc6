"""License requests: all of several, or any one; names and counts survive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import license_spec
from sluice.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "terms", "is_any"),
    [
        ("", (), False),
        ("matlab", (("matlab", 1),), False),
        ("matlab:2,ansys=3", (("matlab", 2), ("ansys", 3)), False),
        ("matlab:2;ansys", (("matlab", 2), ("ansys", 1)), False),
        ("matlab:2|ansys", (("matlab", 2), ("ansys", 1)), True),
        ("matlab,matlab:2", (("matlab", 3),), False),
        ("matlab|matlab:2", (("matlab", 2),), True),
    ],
)
def test_commas_ask_for_all_and_bars_for_any(text: str, terms: license_spec.Terms, is_any: bool) -> None:
    assert license_spec.parse(text) == (terms, is_any)


@pytest.mark.parametrize("text", ["a,b|c", "a:x", "a:-1", "a:1:2", "a:99999999999"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        license_spec.parse(text)

    assert refusal.value.code == "invalid_licenses"


names = st.text("abcdef_", min_size=1, max_size=5)


@given(st.dictionaries(names, st.integers(0, 10**6)), st.booleans())
def test_parse_gives_what_was_written(counts: dict[str, int], is_any: bool) -> None:
    """parse(join(terms)) == terms, and names() finds them whatever the sign between."""
    text = ("|" if is_any else ",").join(f"{name}:{count}" for name, count in counts.items())

    assert license_spec.parse(text) == (tuple(counts.items()), is_any and len(counts) > 1)
    assert license_spec.names(text) == list(counts)
