"""Directive lines: words, quotes and comments as a shell reads them."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import shell_words
from sluice.errors import InvalidRequest


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(" --time=5\t-J  name \n", ["--time=5", "-J", "name"], id="blanks and tabs separate"),
        pytest.param('--job-name="my job" -A x', ["--job-name=my job", "-A", "x"], id="double quotes"),
        pytest.param("-J 'a b'\"c\"d", ["-J", "a bcd"], id="quotes within a word"),
        pytest.param('-J "" -A x', ["-J", "", "-A", "x"], id="an empty word"),
        pytest.param("-n 4 # four tasks", ["-n", "4"], id="a comment after a blank"),
        pytest.param("--comment=a#b", ["--comment=a#b"], id="no comment within a word"),
        pytest.param('-J "a # b"', ["-J", "a # b"], id="no comment within quotes"),
        pytest.param("# all", [], id="only a comment"),
        pytest.param(r"-J a\ b\#c", ["-J", "a b#c"], id="a backslash takes the next character"),
        pytest.param(r'"a\"b\\c\d"', [r'a"b\c\d'], id="a backslash within double quotes"),
        pytest.param(r"'a\b'", [r"a\b"], id="a backslash within single quotes"),
        pytest.param("-D $HOME/x", ["-D", "$HOME/x"], id="nothing is expanded"),
        pytest.param("a\\", ["a"], id="a backslash at the end"),
    ],
)
def test_split_reads_as_a_shell_does(line: str, words: list[str]) -> None:
    assert shell_words.split(line) == words


@pytest.mark.parametrize(
    ("line", "message"), [('-J "open', "'\"open': no closing \""), ("-J 'x", "\"'x\": no closing '")]
)
def test_an_open_quote_is_refused(line: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        shell_words.split(line)
    assert refusal.value.message == message


@given(st.lists(st.text()))
def test_split_reverses_join(words: list[str]) -> None:
    """split(join(w)) == w, and the standard library's shell splitting agrees."""
    line = shell_words.join(words)
    assert shell_words.split(line) == words
    assert shlex.split(line) == words


@given(st.text("ab =\\'\" ", max_size=15))
def test_split_agrees_with_the_standard_library(line: str) -> None:
    """split(x) == shlex.split(x) for every line that both accept."""
    try:
        expected = shlex.split(line)
        words = shell_words.split(line)
    except (ValueError, InvalidRequest):
        return
    assert words == expected
