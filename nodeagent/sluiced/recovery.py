"""What an agent finds in its spool when it starts, and what follows from it.

Nobody is about to claim a step: the spool's lock is held until then.  So a step is in one of these conditions.
"""

from __future__ import annotations

from enum import Enum, auto

from sluiced import process_id
from sluiced.spool import Spool, StepKey


class Condition(Enum):
    """Of a step with a launch record."""

    #: Its result is on disk.
    ENDED = auto()
    #: Its step daemon lives.
    RUNNING = auto()
    #: It was never begun, and still can be.
    WAITING = auto()
    #: It was or may have been begun, and nobody will tell what came of it.
    LOST = auto()


def condition_of(spool: Spool, key: StepKey, boot_id: str) -> tuple[Condition, str]:
    """Return the condition and, for a lost step, why."""
    if spool.read_result(key) is not None:
        return Condition.ENDED, ""
    launch = spool.read_launch(key)
    if launch is None:
        return Condition.LOST, "its launch record cannot be read"
    if launch.boot_id != boot_id:
        return Condition.LOST, "the node was restarted"
    claim = spool.read_claim(key)
    if claim is not None:
        is_alive = process_id.start_ticks(claim.pid) == claim.start_ticks
        return (Condition.RUNNING, "") if is_alive else (Condition.LOST, "the step daemon died")
    if launch.tasks is not None:
        return Condition.LOST, "its srun's connection was lost with the agent"
    return Condition.WAITING, ""
