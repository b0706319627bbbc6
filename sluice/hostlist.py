"""Hostlists: the notation for many node names, n[01-16,20],login1.

    hostlist = [ entry ] { "," [ entry ] }         blanks and empty entries count for nothing
    entry    = piece { piece }                     pieces multiply out, the last one runs fastest
    piece    = text | "[" range { "," range } "]"
    range    = number [ "-" number ]               the first number's width is the zero padding

expand() gives names in written order with duplicates; fold() gives the shortest notation of a set of
names, sorted.  Folding is on the trailing digits of a name only, and each prefix has one bracket: that is
what Slurm prints and what the tools that read its lists understand.

Invariant: expand(fold(names)) is sorted(set(names), key=natural_key) unless widths are mixed; then it is
the same set with each padding width kept together.  No text yields more than NAMES_MAX names.
"""

from __future__ import annotations

import itertools

from sluice.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Range = tuple[int, int, int]  # first, last, width of the zero padding (0: none)
    Piece = str | list[Range]

#: Names that one hostlist may stand for; a larger one is refused before it is expanded.
NAMES_MAX = 1_000_000
#: Digits that are read as one number; a longer run of digits is text.
_DIGITS_MAX = 15
#: Characters of one node name, without its ranges (POSIX HOST_NAME_MAX).
_NAME_CHARACTERS_MAX = 255
_DIGITS = "0123456789"


def expand(text: str) -> list[str]:
    """Return the names that *text* stands for, in written order, duplicates kept.

    Raises InvalidRequest if *text* is no hostlist or stands for more than NAMES_MAX names.
    """
    names: list[str] = []
    for pieces in _checked_entries(text):
        if len(pieces) == 1 and isinstance(pieces[0], str):
            names.append(pieces[0])
        else:
            names.extend(map("".join, itertools.product(*map(_spellings, pieces))))
    return names


def count(text: str) -> int:
    """Return how many names *text* stands for, duplicates counted, without expanding it."""
    return sum(map(_entry_count, _checked_entries(text)))


def fold(names: Iterable[str]) -> str:
    """Return the hostlist of the set of *names*, naturally sorted: n[1-4,7],rack2n[01-16]."""
    indices_by_prefix: dict[str, set[str]] = {}
    for name in names:
        prefix = _prefix(name)
        digits = name[len(prefix) :]
        if prefix in indices_by_prefix:
            indices_by_prefix[prefix].add(digits)
        else:
            indices_by_prefix[prefix] = {digits}
    entries: list[str] = []
    for prefix in sorted(indices_by_prefix, key=natural_key):
        indices = indices_by_prefix[prefix]
        if "" in indices:
            indices.remove("")
            entries.append(prefix)
        if indices:
            entries.append(prefix + _bracket(_runs(_by_width(indices))))
    return ",".join(entries)


def fold_in_order(names: Iterable[str]) -> str:
    """Return the hostlist of *names* as they come, neither sorted nor made unique: n[2,10,1]."""
    entries: list[str] = []
    for prefix, group in itertools.groupby(names, _prefix):
        digits = [name[len(prefix) :] for name in group]
        for is_bare, run in itertools.groupby(digits, lambda each: not each):
            if is_bare:
                entries.extend(prefix for _ in run)
            else:
                numbers = [(int(each), len(each) if _is_padded(each) else 0) for each in run]
                entries.append(prefix + _bracket(_runs(numbers)))
    return ",".join(entries)


def natural_key(name: str) -> tuple[str | int, ...]:
    """Return the sort key that puts n9 before n10: text and numbers in turn, text first."""
    parts: list[str | int] = []
    for is_number, run in itertools.groupby(name, _DIGITS.__contains__):
        if is_number and not parts:
            parts.append("")
        part = "".join(run)
        # A run too long for a host name is cut: int() refuses thousands of digits.
        parts.append(int(part[-_NAME_CHARACTERS_MAX:]) if is_number else part)
    return tuple(parts)


def split_entries(text: str) -> list[str]:
    """Return the parts of *text* between commas and blanks outside brackets, empty ones left out."""
    if "[" not in text:
        return text.replace(",", " ").split()
    entries: list[str] = []
    start = depth = 0
    for position, character in enumerate(text):
        if character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
        elif depth <= 0 and (character == "," or character.isspace()):
            entries.append(text[start:position])
            start = position + 1
    entries.append(text[start:])
    return [entry for entry in entries if entry]


def _checked_entries(text: str) -> list[list[Piece]]:
    entries = [_parse_entry(entry, text) for entry in split_entries(text)]
    total = sum(map(_entry_count, entries))
    if total > NAMES_MAX:
        raise _refusal(text, f"{total} names, at most {NAMES_MAX} allowed")
    return entries


def _parse_entry(entry: str, text: str) -> list[Piece]:
    pieces: list[Piece] = []
    rest = entry
    while rest:
        plain, bracket, rest = rest.partition("[")
        if "]" in plain:
            raise _refusal(text, "']' without '['")
        if plain:
            pieces.append(plain)
        if bracket:
            inside, closing, rest = rest.partition("]")
            if not closing:
                raise _refusal(text, "missing ']'")
            pieces.append([_parse_range(each.strip(), text) for each in inside.split(",")])
    if sum(len(piece) for piece in pieces if isinstance(piece, str)) > _NAME_CHARACTERS_MAX:
        raise _refusal(text, f"a name of more than {_NAME_CHARACTERS_MAX} characters")
    return pieces


def _parse_range(text: str, hostlist: str) -> Range:
    first, dash, last = text.partition("-")
    for number in (first, last) if dash else (first,):
        if not (number.isascii() and number.isdigit() and len(number) <= _DIGITS_MAX):
            raise _refusal(hostlist, f"range {text!r} is not a number or two")
    low, high = int(first), int(last if dash else first)
    if low > high:
        raise _refusal(hostlist, f"range {text!r} runs backwards")
    return low, high, len(first) if _is_padded(first) else 0


def _entry_count(pieces: list[Piece]) -> int:
    product = 1
    for piece in pieces:
        if not isinstance(piece, str):
            product *= sum(last - first + 1 for first, last, _ in piece)
    return product


def _spellings(piece: Piece) -> Iterable[str]:
    if isinstance(piece, str):
        return (piece,)
    return itertools.chain.from_iterable(map(_range_spellings, piece))


def _range_spellings(each: Range) -> Iterable[str]:
    first, last, width = each
    return map(f"%0{width}d".__mod__ if width else str, range(first, last + 1))


def _prefix(name: str) -> str:
    """Return *name* without the digits at its end that fold() may put into a bracket."""
    prefix = name.rstrip(_DIGITS)
    return name if len(name) - len(prefix) > _DIGITS_MAX else prefix


def _is_padded(digits: str) -> bool:
    return len(digits) > 1 and digits[0] == "0"


def _by_width(indices: set[str]) -> list[tuple[int, int]]:
    """Return (number, padding width) of each index, unpadded ones first, then by width and number.

    An index without leading zero goes with the widest padding of its group that spells it
    the same, so that 08, 09, 10 are one range.
    """
    widths = sorted({len(digits) for digits in indices if _is_padded(digits)}, reverse=True)
    if not widths:
        return [(number, 0) for number in sorted(map(int, indices))]
    numbers: list[tuple[int, int]] = []
    for digits in indices:
        if _is_padded(digits):
            numbers.append((len(digits), int(digits)))
        else:
            width = next((width for width in widths if width <= len(digits)), 0)
            numbers.append((width, int(digits)))
    return [(number, width) for width, number in sorted(numbers)]


def _runs(numbers: list[tuple[int, int]]) -> list[Range]:
    runs: list[Range] = []
    first, width = numbers[0]
    last = first
    for number, its_width in itertools.islice(numbers, 1, None):
        if number == last + 1 and (its_width == width or (not its_width and len(str(number)) >= width)):
            last = number
            continue
        runs.append((first, last, width))
        first = last = number
        width = its_width
    runs.append((first, last, width))
    return runs


def _bracket(runs: list[Range]) -> str:
    if len(runs) == 1 and runs[0][0] == runs[0][1]:
        return _run_text(runs[0])
    return f"[{','.join(map(_run_text, runs))}]"


def _run_text(run: Range) -> str:
    first, last, width = run
    return f"{first:0{width}}" if first == last else f"{first:0{width}}-{last:0{width}}"


def _refusal(text: str, problem: str) -> InvalidRequest:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return InvalidRequest(f"{shown!r} is not a hostlist: {problem}", code="invalid_hostlist")
