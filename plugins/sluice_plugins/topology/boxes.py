"""Where boxes of a torus have enough: the sums over all boxes of one size at once.

A grid of counts is one large integer with a field for each place, so that adding two grids is one addition.  The sum
over a box grows along one dimension after the other, by doubling: a box of a x b x c costs about log(abc) additions
of the whole grid, whatever the number of places.

Invariant: a field holds the greatest sum that any box can have, without a carry into the next one.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

Size = tuple[int, int, int]
#: Beyond the smallest boxes, volumes grow by this factor.
_VOLUME_STEP = 1.1


class Torus:
    """The places of a torus, numbered with the last dimension running fastest; field_bytes: of each grid on it."""

    def __init__(self, size: Size, count_max: int) -> None:
        self.size = size
        # One bit more than a sum needs: the bit that comparisons are read from.  Beyond the edges of what is read
        # a box may count a place twice, so that the sum of all counts is no bound.
        greatest = count_max * math.prod(size)
        self.field_bytes = (greatest.bit_length() + 1 + 7) // 8
        self.bits = 8 * self.field_bytes
        self._padded: Size = (2 * size[0] - 1, 2 * size[1] - 1, 2 * size[2] - 1)
        self._fields = math.prod(self._padded)
        #: How far apart neighbours along each dimension are.
        self.strides = (self._padded[1] * self._padded[2], self._padded[2], 1)
        self._corners = self._mark_corners()

    def pack(self, counts: Sequence[int]) -> int:
        """Return the grid of the counts, continued past the edges, so that every box lies in one piece."""
        width = self.field_bytes
        rows, columns, depth = self.size
        content = b"".join([count.to_bytes(width, "little") for count in counts])
        line_bytes = depth * width
        lines = [content[first : first + line_bytes] for first in range(0, len(content), line_bytes)]
        lines = [line + line[:-width] for line in lines]
        planes = [lines[first : first + columns] for first in range(0, rows * columns, columns)]
        joined = [b"".join([*plane, *plane[:-1]]) for plane in planes]
        return int.from_bytes(b"".join([*joined, *joined[:-1]]), "little")

    def fill(self, value: int) -> int:
        """Return the grid with one value everywhere."""
        return int.from_bytes(value.to_bytes(self.field_bytes, "little") * self._fields, "little")

    def read_corners(self, marks: int) -> Iterator[int]:
        """Yield the places whose fields have the top bit set, ascending."""
        marks &= self._corners
        while marks:
            lowest = marks & -marks
            marks ^= lowest
            x, rest = divmod((lowest.bit_length() - 1) // self.bits, self.strides[0])
            y, z = divmod(rest, self.strides[1])
            yield (x * self.size[1] + y) * self.size[2] + z

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

    def _mark_corners(self) -> int:
        """Return the top bits of the fields that are places, not their repetitions."""
        width = self.field_bytes
        rows, columns, depth = self.size
        top = (1 << (self.bits - 1)).to_bytes(width, "little")
        line = top * depth + bytes((depth - 1) * width)
        plane = line * columns + bytes((columns - 1) * len(line))
        return int.from_bytes(plane * rows, "little")


class Grid:
    """Counts on the places of a torus."""

    def __init__(self, torus: Torus, counts: Sequence[int]) -> None:
        self._torus = torus
        self._sums = {(1, 1, 1): torus.pack(counts)}

    def mark(self, box: Size, wanted: int) -> int:
        """Return the grid with the top bit where the box that begins there has *wanted* or more."""
        top = 1 << (self._torus.bits - 1)
        return self._sum(box) + self._torus.fill(top - wanted) if wanted < top else 0

    def _sum(self, box: Size) -> int:
        """Return, in the field of each corner, the sum over its box."""
        known = self._sums.get(box)
        if known is None:
            # The last dimensions first: boxes of one search share the sums of their first steps.
            axis = next(axis for axis in range(3) if box[axis] > 1)
            thinner = (1, *box[1:]) if axis == 0 else (1, 1, *box[2:]) if axis == 1 else (1, 1, 1)
            step_bits = self._torus.strides[axis] * self._torus.bits
            known = self._sums[box] = _slide(self._sum(thinner), box[axis], step_bits)
        return known


def rank_boxes(size: Size) -> list[Size]:
    """Return all boxes of a torus: by volume, then by surface, then by their sizes."""
    rows, columns, depths = (range(1, each + 1) for each in size)
    return sorted(itertools.product(rows, columns, depths), key=lambda box: (math.prod(box), _surface(box), box))


def thin_out(boxes: Sequence[Size], first: int) -> list[Size]:
    """Return the first boxes of a ranking, of each step of volume the one with the least surface, and the last."""
    best: dict[int, Size] = {}
    for box in boxes[first:]:
        step = int(math.log(math.prod(box), _VOLUME_STEP))
        known = best.get(step)
        if known is None or _surface(box) < _surface(known):
            best[step] = box
    return [*boxes[:first], *best.values(), *boxes[-1:]]


def _surface(box: Size) -> int:
    return box[0] * box[1] + box[1] * box[2] + box[0] * box[2]


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
