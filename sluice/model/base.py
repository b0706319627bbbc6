"""Struct options shared by every record, and the id types."""

from typing import NewType

import msgspec

JobId = NewType("JobId", int)
#: 0 and up for launched steps; the special ones are negative.
StepId = NewType("StepId", int)

BATCH_STEP = StepId(-5)
INTERACTIVE_STEP = StepId(-6)
EXTERN_STEP = StepId(-4)

#: Steps that agents start by themselves; others are launched by an srun.
OWN_STEPS = frozenset((BATCH_STEP, EXTERN_STEP))
SPECIAL_STEP_NAMES: dict[int, str] = {BATCH_STEP: "batch", INTERACTIVE_STEP: "interactive", EXTERN_STEP: "extern"}


class Record(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A record: frozen, and written without the fields that have their default.

    Records refer to older records only, so they make no cycles and need no garbage collector.
    """


def step_name(step_id: int) -> str:
    """Return the step's part of `job.step`: a number or a special name."""
    return SPECIAL_STEP_NAMES.get(step_id, str(step_id))
