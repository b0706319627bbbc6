"""Which sruns are connected for a step, and which steps end unless their srun launches them.

An srun may take its time between its connection and its launch (--prolog, slow nodes).  A step that the controller has
given up waiting for is ended when nobody is connected for it, else when its last srun goes.  Pure.
"""

from __future__ import annotations

from collections import Counter

from sluiced.spool import StepKey


class Sruns:
    """Connections by step."""

    def __init__(self) -> None:
        self._connected: Counter[StepKey] = Counter()
        #: Given up by the controller; ended once nobody is connected.
        self._doomed: set[StepKey] = set()

    def came(self, key: StepKey) -> None:
        self._connected[key] += 1

    def went(self, key: StepKey) -> bool:
        """Return whether the step is to be ended now, unless it was launched."""
        self._connected[key] -= 1
        if self._connected[key] > 0:
            return False
        del self._connected[key]
        is_doomed = key in self._doomed
        self._doomed.discard(key)
        return is_doomed

    def is_here(self, key: StepKey) -> bool:
        """Is anybody connected for the step?"""
        return self._connected[key] > 0

    def doom(self, key: StepKey) -> bool:
        """Return whether the step is to be ended now; else it is when its srun goes."""
        if self._connected[key] <= 0:
            return True
        self._doomed.add(key)
        return False
