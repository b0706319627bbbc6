"""The nodes of a scene counted by how much of them is free, once for many questions about one moment.

Equal levels are one object, so that a question costs by their number, not by the nodes'.
"""

from collections import Counter

from .levels import Level
from .place import sum_of_best
from .shapes import Shape
from .working import WorkingCopy


class Census:
    """How many nodes are at each level, usable ones and others apart."""

    def __init__(self, working: WorkingCopy) -> None:
        self.working = working
        self.counts: Counter[tuple[Level, bool]] = working.count_levels()

    def could_hold(self, shape: Shape, with_unusable: bool = False) -> bool:
        """Could the nodes hold the job by their counts, whatever is planned or reserved?  False is certain."""
        offers: Counter[int] = Counter()
        for (level, is_usable), count in self.counts.items():
            if (is_usable or with_unusable) and shape.suits(level.kind):
                offers[shape.offer(level)] += count
        del offers[0]
        nodes = offers.total()
        if nodes < shape.needs.nodes_min:
            return False
        return sum_of_best(offers, shape.needs.nodes_max or nodes) >= shape.needs.tasks
