"""The words of PMI-1 and PMI-2."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiced.pmi import text
from sluiced.pmi.text import PmiSyntaxError, Request, Splitter

_WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="=;"), min_size=1, max_size=12)
_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
_FIELDS = st.dictionaries(_WORDS.filter(lambda word: word not in ("cmd", "value")), _VALUES, max_size=5)


def requests_of(data: bytes, sizes: list[int], *, is_framed: bool) -> list[Request]:
    """Return what comes out when *data* arrives in pieces of those sizes, over and over."""
    splitter = Splitter()
    splitter.is_framed = is_framed
    found: list[Request] = []
    position, turn = 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        splitter.feed(data[position : position + size])
        position, turn = position + size, turn + 1
        while (request := splitter.next()) is not None:
            found.append(request)
    return found


@given(st.lists(st.tuples(_WORDS, _FIELDS), max_size=4), st.lists(st.integers(1, 9), min_size=1))
def test_messages_are_the_same_however_they_are_cut(
    messages: list[tuple[str, dict[str, str]]], cuts: list[int]
) -> None:
    """requests(cut(format(messages))) == messages"""
    data = b"".join(text.format_message(command, fields) for command, fields in messages)

    assert requests_of(data, cuts, is_framed=True) == [Request(*message) for message in messages]


@given(_WORDS, _VALUES, st.lists(st.integers(1, 9), min_size=1))
def test_a_value_takes_the_rest_of_its_line(key: str, value: str, cuts: list[int]) -> None:
    """Blanks, signs of equality and semicolons in a value come through."""
    data = text.format_line("put", {"key": key, "value": value}) * 2

    assert requests_of(data, cuts, is_framed=False) == [Request("put", {"key": key, "value": value})] * 2


@given(st.binary(max_size=300), st.booleans(), st.lists(st.integers(1, 50), min_size=1))
def test_garbage_is_refused_or_waited_for(data: bytes, is_framed: bool, cuts: list[int]) -> None:
    with contextlib.suppress(PmiSyntaxError):
        requests_of(data, cuts, is_framed=is_framed)


def test_a_long_command_ends_with_its_own_word() -> None:
    data = b"mcmd=spawn\nnprocs=2\nexecname=/bin/x\nendcmd\ncmd=get_maxes\n"

    spawn, maxes = requests_of(data, [7], is_framed=False)

    assert spawn == Request("spawn", {"nprocs": "2", "execname": "/bin/x"})
    assert maxes == Request("get_maxes", {})


@pytest.mark.parametrize("is_framed", [False, True])
def test_what_never_ends_is_not_kept(is_framed: bool) -> None:
    data = b"999999" if is_framed else b"cmd=put " + b"x" * text.SIZE_MAX

    with pytest.raises(PmiSyntaxError):
        requests_of(data, [4096], is_framed=is_framed)
