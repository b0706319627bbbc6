"""Job array specifications: which indices a job array has, 0-15:4%2.

    array   = indices [ "%" throttle ]
    indices = range { "," range }
    range   = first [ "-" last [ ":" step ] ]

Indices are kept as ranges, so that an array of a million tasks is one tuple: ((0, 999999, 1),).  The
throttle bounds how many tasks run at a time; 0 is no bound.

Invariant of Ranges: ascending, one ends before the next begins, every last index belongs to its range, and
a range of one index has step 1.  Equal sets made by union, remove and intersect are equal tuples, except
that removing single indices may leave more ranges than needed.
"""

from __future__ import annotations

from sluice.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Range = tuple[int, int, int]  # first, last, step
Ranges = tuple[Range, ...]

#: Indices that any array may have; the configuration's MaxArraySize is usually lower.
SIZE_MAX = 4_000_001
#: Characters of a displayed expression, where SLURM_BITSTR_LEN says nothing.
DISPLAY_LENGTH = 64
_DIGITS_MAX = 9
_SET = b"\x01"
_CUT = "..."


def parse(text: str, size_max: int = SIZE_MAX) -> tuple[Ranges, int]:
    """Return (ranges, throttle) of *text*; throttle 0: none given.

    Raises InvalidRequest if *text* is no specification or names an index of size_max or more.
    """
    indices, percent, throttle = text.partition("%")
    return parse_indices(indices, size_max), _number(throttle) if percent else 0


def parse_indices(text: str, size_max: int = SIZE_MAX) -> Ranges:
    """Return the ranges of *text*, which has no throttle: 1,3,5-9."""
    ranges = [_parse_range(part) for part in text.split(",")]
    if max(last for _, last, _ in ranges) >= size_max:
        raise _refusal(text, f"its highest index must be below MaxArraySize, which is {size_max} at most")
    return tuple(ranges) if len(ranges) == 1 else union(ranges)


def from_indices(indices: Iterable[int]) -> Ranges:
    """Return the ranges of a handful of *indices*, in any order."""
    return union((index, index, 1) for index in indices)


def count(ranges: Ranges) -> int:
    """Return how many indices *ranges* has."""
    return sum((last - first) // step + 1 for first, last, step in ranges)


def contains(ranges: Ranges, index: int) -> bool:
    """Tell whether *index* is one of *ranges*."""
    return any(first <= index <= last and (index - first) % step == 0 for first, last, step in ranges)


def least(ranges: Ranges) -> int:
    """Return the lowest index of *ranges*, which are not empty."""
    return ranges[0][0]


def greatest(ranges: Ranges) -> int:
    """Return the highest index of *ranges*, which are not empty."""
    return ranges[-1][1]


def step(ranges: Ranges) -> int:
    """Return the step of an array that is one range, 1 for any other: SLURM_ARRAY_TASK_STEP."""
    return ranges[0][2] if len(ranges) == 1 else 1


def iterate(ranges: Ranges) -> Iterator[int]:
    """Yield the indices in ascending order."""
    for first, last, its_step in ranges:
        yield from range(first, last + 1, its_step)


def pop_first(ranges: Ranges) -> tuple[int, Ranges]:
    """Return the lowest index and the ranges without it."""
    first, last, its_step = ranges[0]
    return first, (*_span(first + its_step, last, its_step), *ranges[1:])


def remove_index(ranges: Ranges, index: int) -> Ranges:
    """Return *ranges* without *index*; unchanged if it is none of them."""
    for place, (first, last, its_step) in enumerate(ranges):
        if first <= index <= last and (index - first) % its_step == 0:
            below = _span(first, index - its_step, its_step)
            above = _span(index + its_step, last, its_step)
            return (*ranges[:place], *below, *above, *ranges[place + 1 :])
    return ranges


def remove(ranges: Ranges, others: Ranges) -> Ranges:
    """Return the indices of *ranges* that are not in *others*."""
    if not ranges:
        return ()
    base, end = least(ranges), greatest(ranges) + 1
    flags = _flags(ranges, base, end)
    for first, last, its_step in others:
        # Begin at the first index of the other range that lies in the window.
        start = first if first >= base else first + -(-(base - first) // its_step) * its_step
        inside = range(start - base, min(last + 1, end) - base, its_step)
        if inside:
            flags[inside.start : inside.stop : its_step] = bytes(len(inside))
    return _from_runs(_flag_runs(flags, base))


def intersect(ranges: Ranges, others: Ranges) -> Ranges:
    """Return the indices that are in both."""
    return remove(ranges, remove(ranges, others))


def union(*several: Iterable[Range]) -> Ranges:
    """Return the indices that are in any; the arguments may be ranges in any order."""
    ranges = [each for some in several for each in some]
    if not ranges:
        return ()
    base = min(first for first, _, _ in ranges)
    end = max(last for _, last, _ in ranges) + 1
    return _from_runs(_flag_runs(_flags(ranges, base, end), base))


def format_ranges(ranges: Ranges, throttle: int = 0, length_max: int = DISPLAY_LENGTH) -> str:
    """Return the indices as squeue shows them: 0-9%2, 1,3,5-9, 0-12:4.

    Longer expressions than *length_max* characters (0: any length) end in "..." after a whole range; the
    throttle follows and is not counted.
    """
    text = _format_steps(ranges) or _format_runs(ranges, length_max)
    return f"{text}%{throttle}" if throttle else text


def _parse_range(text: str) -> Range:
    span, colon, step_text = text.partition(":")
    first_text, dash, last_text = span.partition("-")
    first = _number(first_text)
    last = _number(last_text) if dash else first
    its_step = _number(step_text) if colon else 1
    if last < first:
        raise _refusal(text, f"it ends at {last}, before it begins")
    if its_step < 1 or (colon and not dash):
        raise _refusal(text, "a step needs a range and is at least 1")
    return _span(first, last, its_step)[0]


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _refusal(text, "no number")
    if len(text) > _DIGITS_MAX:
        raise _refusal(text, f"more than {_DIGITS_MAX} digits")
    return int(text)


def _span(first: int, last: int, its_step: int) -> Ranges:
    """Return the range from *first* up to at most *last*, as no range or one in normal form."""
    if last < first:
        return ()
    last -= (last - first) % its_step
    return ((first, last, its_step if last > first else 1),)


def _flags(ranges: Iterable[Range], base: int, end: int) -> bytearray:
    """Return one byte for each index of [base, end), set for those in *ranges*.

    Bytes, not a set: a million indices are then combined and searched at the speed of memory.
    """
    flags = bytearray(end - base)
    for first, last, its_step in ranges:
        flags[first - base : last + 1 - base : its_step] = _SET * ((last - first) // its_step + 1)
    return flags


def _flag_runs(flags: bytearray, base: int) -> Iterator[tuple[int, int]]:
    start = flags.find(_SET)
    while start >= 0:
        end = flags.find(b"\0", start)
        if end < 0:
            end = len(flags)
        yield base + start, base + end - 1
        start = flags.find(_SET, end)


def _from_runs(runs: Iterable[tuple[int, int]]) -> Ranges:
    ranges: list[Range] = []
    singles: list[int] = []
    for first, last in runs:
        if first == last:
            singles.append(first)
            continue
        ranges.extend(_progressions(singles))
        singles.clear()
        ranges.append((first, last, 1))
    ranges.extend(_progressions(singles))
    return tuple(ranges)


def _progressions(singles: list[int]) -> Iterator[Range]:
    """Yield the ranges of ascending *singles*; three or more at equal distance are one range."""
    place = 0
    while place < len(singles):
        end = place + 1
        distance = singles[end] - singles[place] if end < len(singles) else 1
        while end < len(singles) and singles[end] - singles[end - 1] == distance:
            end += 1
        if end - place >= 3:
            yield singles[place], singles[end - 1], distance
            place = end
        else:
            yield singles[place], singles[place], 1
            place += 1


def _format_steps(ranges: Ranges) -> str:
    """Return first-last:step for an array that is one range of three or more, "" for any other."""
    if len(ranges) != 1 or ranges[0][2] == 1 or count(ranges) < 3:
        return ""
    return "{}-{}:{}".format(*ranges[0])


def _format_runs(ranges: Ranges, length_max: int) -> str:
    parts: list[str] = []
    length = -1
    for first, last in _display_runs(ranges):
        part = str(first) if first == last else f"{first}-{last}"
        parts.append(part)
        length += len(part) + 1
        if 0 < length_max < length:
            return _cut(parts, length, length_max)
    return ",".join(parts)


def _cut(parts: list[str], length: int, length_max: int) -> str:
    while parts and length + 1 + len(_CUT) > length_max:
        length -= len(parts.pop()) + 1
    return ",".join([*parts, _CUT])


def _display_runs(ranges: Ranges) -> Iterator[tuple[int, int]]:
    """Yield the runs of consecutive indices lazily: only as many are made as fit the display."""
    start = end = -2
    for first, last, its_step in ranges:
        pieces = [(first, last)] if its_step == 1 else ((index, index) for index in range(first, last + 1, its_step))
        for low, high in pieces:
            if low == end + 1:
                end = high
                continue
            if end >= 0:
                yield start, end
            start, end = low, high
    if end >= 0:
        yield start, end


def _refusal(text: str, problem: str) -> InvalidRequest:
    wanted = "expected indices such as 0-15, 1,3,5-9 or 0-20:4"
    return InvalidRequest(f"{text[:80]!r} in a job array: {problem}; {wanted}", code="invalid_array")
