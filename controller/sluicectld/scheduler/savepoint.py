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
        self._pass = one_pass
        self._starts = len(one_pass.starts)
        self._licenses = dict(one_pass.licenses.free)
        self._use = one_pass.book.save_use()
        self._cursors = [(shape, shape.cursor) for shape in shapes]
        self._nodes: list[Saved] = []
        self._jobs: list[tuple[Job, Shape, list[Part]]] = []
        now_at = one_pass.snapshot.now_at
        for shape, _ in self._cursors:
            # Which nodes are filled first is settled once a pass: not while something stands there that may go again.
            shape.candidates_during(now_at, now_at)

    def start(self, job: Job, shape: Shape, parts: list[Part]) -> None:
        """Start a job so that undo() can take it back."""
        self._nodes += [self._pass.working.save_node(part.position) for part in parts]
        self._jobs.append((job, shape, parts))
        self._pass.start(job, shape, parts, None)

    def undo(self) -> None:
        """Take back every start."""
        one_pass = self._pass
        for job, shape, parts in reversed(self._jobs):
            takes, end_at = one_pass.taken.pop()
            one_pass.timeline.undo_start(takes, end_at)
            one_pass.uncount_cpus(shape, one_pass.snapshot.now_at, parts)
            licenses = one_pass.starts.pop().allocation.licenses
            one_pass.gate.undo_start(job, shape, one_pass.takes_of(parts), licenses)
        for saved in reversed(self._nodes):
            one_pass.working.restore_node(saved)
        for shape, cursor in self._cursors:
            shape.cursor = cursor
        one_pass.licenses.free = self._licenses
        one_pass.book.restore_use(self._use)
        assert len(one_pass.starts) == self._starts, "something else started meanwhile"
