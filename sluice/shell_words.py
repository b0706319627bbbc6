"""Words of a directive line, split as a shell does: --job-name="my job"  # why.

    line    = { blank } { word blank { blank } } [ "#" comment ]
    word    = { character | "\\" any | "'" text "'" | '"' text '"' }

Nothing is expanded: $HOME stays $HOME.  In double quotes a backslash escapes only \\, ", $ and `; in single
quotes it is itself.  A "#" begins a comment where a word would begin.
"""

from __future__ import annotations

from sluice.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_BLANKS = " \t\r\n"
_ESCAPED_IN_QUOTES = '\\"$`'
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:,@%^")


def split(line: str) -> list[str]:
    """Return the words of *line* without their quotes.

    Raises InvalidRequest if a quote is not closed.
    """
    words: list[str] = []
    word: list[str] | None = None
    position = 0
    while position < len(line):
        character = line[position]
        position += 1
        if character in _BLANKS:
            if word is not None:
                words.append("".join(word))
            word = None
            continue
        if word is None:
            if character == "#":
                break
            word = []
        if character in "'\"":
            position = _read_quoted(line, position, character, word)
        elif character == "\\":
            word.append(line[position : position + 1])
            position += 1
        else:
            word.append(character)
    if word is not None:
        words.append("".join(word))
    return words


def quote(word: str) -> str:
    """Return *word* quoted so that split() and a shell read it as one word."""
    if word and _PLAIN.issuperset(word):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def join(words: Iterable[str]) -> str:
    """Return a line that split() and a shell read as *words*."""
    return " ".join(map(quote, words))


def _read_quoted(line: str, position: int, mark: str, word: list[str]) -> int:
    """Add the text up to the closing *mark* to *word*; return the position after it."""
    start = position - 1
    while position < len(line) and line[position] != mark:
        if mark == '"' and line[position] == "\\" and line[position + 1 : position + 2] in tuple(_ESCAPED_IN_QUOTES):
            position += 1
        word.append(line[position])
        position += 1
    if position >= len(line):
        raise InvalidRequest(f"{line[start : start + 40]!r}: no closing {mark}")
    return position + 1
