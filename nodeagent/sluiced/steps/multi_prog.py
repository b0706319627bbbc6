"""Which program each rank of srun --multi-prog runs.

    line  = ranks word { word } | "#" comment
    ranks = "*" | range { "," range }

%t in a word is the rank, %o its offset in the line's ranks; another letter after % goes with it.  Single quotes hold a
word together, a backslash takes the next character as it is, double quotes mean nothing.  The first line that names the
rank counts; srun has checked the file and joined its lines.  Source: recorded from Slurm 22.05.
"""

from __future__ import annotations

from sluice import cpuset


def program_of(text: str, rank: int) -> tuple[str, ...]:
    """Return program and arguments of *rank*; empty: no line names it."""
    for line in text.split("\n"):
        ranks, *words = line.split(None, 1)[:2] or [""]
        if not words or ranks.startswith("#"):
            continue
        rest = words[0]
        offset = _offset(ranks, rank)
        if offset is not None:
            return tuple(_words(rest, rank, offset))
    return ()


def _offset(ranks: str, rank: int) -> int | None:
    if ranks == "*":
        return rank
    # Ranges may be of any size: they are compared, and not counted out.
    before = lowest = 0
    for low, high in sorted(cpuset.spans(ranks)):
        low = max(low, lowest)
        if low <= rank <= high:
            return before + rank - low
        before += max(0, high - low + 1)
        lowest = max(lowest, high + 1)
    return None


def _words(text: str, rank: int, offset: int) -> list[str]:
    values = {"t": str(rank), "o": str(offset)}
    words: list[str] = []
    word: str | None = None
    characters = iter(text)
    is_quoted = False
    for character in characters:
        if character == "'":
            is_quoted = not is_quoted
            word = word or ""
        elif character.isspace() and not is_quoted:
            if word is not None:
                words.append(word)
            word = None
        elif character == "\\":
            word = (word or "") + next(characters, "")
        elif character == "%":
            word = (word or "") + values.get(next(characters, ""), "")
        else:
            word = (word or "") + character
    return words if word is None else [*words, word]
