"""A savepoint of a pass: what was started since can be taken back as if it had never been tried.

Only the components of heterogeneous jobs need it; everything else that a pass starts, it keeps.

Invariant: after undo() every question about the pass has the answer that it had before the savepoint.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sluice.model.job import Job

from .search import Part
from .shapes import Shape
from .working import Saved

if TYPE_CHECKING:
    from .decide import Pass


class Savepoint:
    """shapes: those that may be searched and started before undo()."""

    def __init__(self, one_pass: "Pass", shapes: Iterable[Shape]) -> None:
        self._working = one_pass.working
        self._ledger = one_pass.ledger
        self._starts = len(self._ledger.starts)
        self._cursors = [(shape, shape.cursor) for shape in shapes]
        self._nodes: list[Saved] = []
        #: What was started, in this order.
        self.jobs: list[tuple[Job, Shape, list[Part]]] = []
        now_at = one_pass.snapshot.now_at
        for shape, _ in self._cursors:
            # Which nodes are filled first is settled once a pass: not while something stands there that may go again.
            shape.candidates_during(now_at, now_at)

    def start(self, job: Job, shape: Shape, parts: list[Part]) -> None:
        """Start a job so that undo() can take it back."""
        self._nodes += [self._working.save_node(part.position) for part in parts]
        self.jobs.append((job, shape, parts))
        self._ledger.start(job, shape, parts, None)

    def undo(self) -> None:
        """Take back every start."""
        for job, shape, parts in reversed(self.jobs):
            self._ledger.undo_last(job, shape, parts)
        for saved in reversed(self._nodes):
            self._working.restore_node(saved)
        for shape, cursor in self._cursors:
            shape.cursor = cursor
        assert len(self._ledger.starts) == self._starts, "something else started meanwhile"
