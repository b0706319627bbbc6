"""File name patterns of job output: slurm-%A_%4a.out.

    pattern = { text | "%%" | "%" [ width ] letter }        a leading "\\" turns replacement off

    %A array job id    %a array index     %b array index modulo 10   %J job id.step id   %j job id
    %N short host name %n node number     %r restart count           %S unique id        %s step id
    %t task rank       %u user            %x job name

width pads numbers with zeros, up to 10 places.  An unknown letter, or one that has no value, stays as
written.  A pattern with %t names one file per task, one with %N or %n one file per node.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WIDTH_MAX = 10
#: What %a shows in a job that is no array: the largest 32-bit number less one, as in Slurm.
NO_INDEX = 4294967294
_LETTERS = frozenset("AabJjNnrSstux")


def render(pattern: str, fields: Mapping[str, str | int]) -> str:
    """Return *pattern* with each letter replaced by its value in *fields*, keyed by letter.

    Numbers are padded, texts are not.  Letters that *fields* lacks are derived where that is possible: A and
    J from j, b from a, ranks and restarts are 0 and the step is "batch", so that a batch script's fields
    need only j, N, u, x and, in an array, A and a.
    """
    if pattern.startswith("\\"):
        # Two as documented, one where a shell or a directive's quoting has eaten the other.
        return pattern[2:] if pattern.startswith("\\\\") else pattern[1:]
    parts: list[str] = []
    for text, letter, width in _pieces(pattern):
        value = _value(letter, fields) if letter else None
        if value is None:
            parts.append(text)
        else:
            parts.append(f"{value:0{width}}" if isinstance(value, int) and width else str(value))
    return "".join(parts)


def is_per_task(pattern: str) -> bool:
    """Tell whether each task writes a file of its own."""
    return "t" in _letters(pattern)


def is_per_node(pattern: str) -> bool:
    """Tell whether the tasks of each node share a file of their own."""
    return not _letters(pattern).isdisjoint("Nn")


def _letters(pattern: str) -> set[str]:
    return set() if pattern.startswith("\\") else {letter for _, letter, _ in _pieces(pattern)}


def _pieces(pattern: str) -> Iterator[tuple[str, str, int]]:
    """Yield (text, "", 0) for plain text and (text, letter, width) for a replacement written as text."""
    position = 0
    while position < len(pattern):
        percent = pattern.find("%", position)
        if percent < 0:
            yield pattern[position:], "", 0
            return
        if percent > position:
            yield pattern[position:percent], "", 0
        end = percent + 1
        while pattern[end : end + 1] in tuple("0123456789"):
            end += 1
        letter = pattern[end : end + 1]
        position = end + 1
        if letter == "%" and end == percent + 1:
            yield "%", "", 0
        elif letter in _LETTERS:
            # Ten digits at most: a longer width is the maximum anyway.
            yield pattern[percent:position], letter, min(int(pattern[percent + 1 : end][-10:] or 0), WIDTH_MAX)
        else:
            position = end
            yield pattern[percent:position], "", 0


def _value(letter: str, fields: Mapping[str, str | int]) -> str | int | None:
    if letter in fields:
        return fields[letter]
    if letter in "ntr":
        return 0
    if letter == "s":
        return "batch"
    if letter == "a":
        return NO_INDEX
    if letter == "b":
        return int(fields.get("a", NO_INDEX)) % 10
    if letter == "A":
        return fields.get("j")
    if letter == "J" and "j" in fields:
        return f"{fields['j']}.{fields['s']}" if isinstance(fields.get("s"), int) else fields["j"]
    return None
