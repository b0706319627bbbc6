"""A stage: the scene of a snapshot, on which passes are tried one after the other for a question.

Each pass may be over a variant: other jobs wait, or partitions are open that are not.  The nodes, and what runs on
them, are the snapshot's.  With a memory the next question, of a snapshot not much later, finds the stage nearly set.

Invariant: nothing that a pass takes is left when the next one begins, or when the scene itself is looked at.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from .decide import Pass
from .memory import Memory, Scene, renew
from .plan import Plan
from .queue import Queue
from .snapshot import Policy, Snapshot


class Stage:
    """One scene, and the pass that stands on it, if any."""

    def __init__(self, snapshot: Snapshot, policy: Policy, scene: Scene) -> None:
        self.snapshot = snapshot
        self.policy = policy
        self._scene = scene
        self._standing: Pass | None = None

    @property
    def scene(self) -> Scene:
        """The scene as the snapshot has it."""
        self.clear()
        return self._scene

    def decide(self, snapshot: Snapshot, policy: Policy, focus_id: int = 0, queue: Queue | None = None) -> Plan:
        """Return the plan of a whole pass."""
        self._standing = Pass(snapshot, policy, focus_id, self.scene, queue)
        plan = self._standing.run()
        self.clear()
        return plan

    def stop_before(self, job_id: int, snapshot: Snapshot, queue: Queue) -> Pass:
        """Return a pass that has come to the job's turn; it stands until another one is tried."""
        self._standing = stopped = Pass(snapshot, self.policy, 0, self.scene, queue)
        stopped.run_before(job_id)
        return stopped

    def clear(self) -> None:
        """Take down the pass that stands there."""
        if self._standing is not None:
            self._standing.undo()
            self._standing = None
            renew(self._scene, self.snapshot)


@contextmanager
def set_stage(snapshot: Snapshot, policy: Policy, memory: Memory | None = None) -> Iterator[Stage]:
    """Give a stage.  memory: of earlier ones; it forgets the scene if the question fails."""
    memory = memory or Memory()
    stage = Stage(snapshot, policy, memory.enter(snapshot, policy))
    yield stage
    memory.leave(stage.scene)
