"""Where boxes of a torus have enough: the sum over every box of one size at once.

A grid of counts is one large integer with a field for each place, so that adding two grids is one addition.  The sum
over a box grows along one dimension after the other, by doubling: a box of a x b x c costs about log(abc) additions
of the whole grid, whatever the number of places.

Invariant: a field holds the greatest sum that any box can have, without a carry into the next one.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

Size = tuple[int, int, int]


class Grid:
    """Counts on the places of a torus.  A place is a number; the last dimension runs fastest."""

    def __init__(self, size: Size, counts: Sequence[int]) -> None:
        assert len(counts) == math.prod(size), f"{len(counts)} counts for {size}"
        self.size = size
        # One bit more than a sum needs: the bit that comparisons are read from.  Beyond the edges of what is read
        # a box may count a place twice, so that the sum of all counts is no bound.
        greatest = max(counts) * len(counts)
        self._field_bytes = (greatest.bit_length() + 1 + 7) // 8
        self._bits = 8 * self._field_bytes
        self._padded = _wrap(size, counts)
        padded_size = tuple(2 * each - 1 for each in size)
        self._strides = (padded_size[1] * padded_size[2], padded_size[2], 1)
        self._sums = {(1, 1, 1): self._pack(self._padded)}

    def find(self, box: Size, wanted: int) -> Iterator[int]:
        """Yield the first corners, ascending, of the boxes whose counts come to *wanted* or more."""
        sums = self._sum(box)
        top = 1 << (self._bits - 1)
        if wanted >= top:
            return
        enough = sums + self._pack_all(top - wanted)
        if not enough & self._pack_all(top):
            return
        content = enough.to_bytes(self._field_bytes * len(self._padded) + self._field_bytes, "little")
        tops = content[self._field_bytes - 1 :: self._field_bytes]
        rows, columns, depth = self.size
        for x in range(rows):
            for y in range(columns):
                first = x * self._strides[0] + y * self._strides[1]
                for z in range(depth):
                    if tops[first + z] & 0x80:
                        yield (x * columns + y) * depth + z

    def places(self, box: Size, corner: int) -> list[int]:
        """Return the places in the box, those past an edge on the other side."""
        rows, columns, depth = self.size
        x, y, z = corner // (columns * depth), corner // depth % columns, corner % depth
        return [
            ((x + i) % rows * columns + (y + j) % columns) * depth + (z + k) % depth
            for i in range(box[0])
            for j in range(box[1])
            for k in range(box[2])
        ]

    def _sum(self, box: Size) -> int:
        """Return, in the field of each corner, the sum over its box."""
        known = self._sums.get(box)
        if known is None:
            # One dimension at a time, the last first: boxes of one search share the sums of their first steps.
            axis = next(axis for axis in range(3) if box[axis] > 1)
            thinner = (*box[:axis], 1, *box[axis + 1 :])
            assert len(thinner) == 3
            known = self._sums[box] = _slide(self._sum(thinner), box[axis], self._strides[axis] * self._bits)
        return known

    def _pack(self, counts: Iterable[int]) -> int:
        width = self._field_bytes
        return int.from_bytes(b"".join([count.to_bytes(width, "little") for count in counts]), "little")

    def _pack_all(self, value: int) -> int:
        return int.from_bytes(value.to_bytes(self._field_bytes, "little") * len(self._padded), "little")


def rank_boxes(size: Size, volume_min: int) -> list[Size]:
    """Return the boxes with at least so many places: by volume, then by surface, then by their sizes."""
    found = []
    for rows in range(1, size[0] + 1):
        for columns in range(1, size[1] + 1):
            least = -(-volume_min // (rows * columns))
            found += [(rows, columns, depth) for depth in range(max(least, 1), size[2] + 1)]
    return sorted(found, key=lambda box: (math.prod(box), box[0] * box[1] + box[1] * box[2] + box[0] * box[2], box))


def _slide(grid: int, length: int, step_bits: int) -> int:
    """Return the sums of *length* fields that are *step_bits* apart, each beginning at its own field."""
    result = covered = 0
    power, doubled = 1, grid
    while length:
        if length & 1:
            result += doubled >> (covered * step_bits)
            covered += power
        length >>= 1
        if length:
            doubled += doubled >> (power * step_bits)
            power *= 2
    return result


def _wrap(size: Size, counts: Sequence[int]) -> list[int]:
    """Return the counts with the torus continued past its edges, so that every box lies in one piece."""
    rows, columns, depth = size
    result: list[int] = []
    for x in range(2 * rows - 1):
        for y in range(2 * columns - 1):
            first = (x % rows * columns + y % columns) * depth
            line = counts[first : first + depth]
            result += line
            result += line[: depth - 1]
    return result
