"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

_PAUSE_S = 0.005
#: How much slower than usual the machine is; set inside of the emulated one.
PATIENCE = float(os.environ.get("SLUICE_TESTPATIENCE", "1"))


def wait_until(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    """Return once *condition* holds.  Fails the test with the condition's name after deadline_s."""
    ends_at = time.monotonic() + deadline_s * PATIENCE
    while not condition():
        if time.monotonic() > ends_at:
            raise AssertionError(f"not within {deadline_s:g} s: {getattr(condition, '__name__', condition)}")
        time.sleep(_PAUSE_S)
