"""Licenses: counted for the whole cluster, on no node.  A job gets all that it asks for, or any one of several.

Invariant: what a pass takes was free.  After a change of the configuration fewer than none may be free; then nothing is
taken until jobs have given enough back.
"""

from collections.abc import Mapping

from sluice.model.reason import Blocker, Reason
from sluicectld.scheduler.needs import Needs

Licenses = tuple[tuple[str, int], ...]


class LicensePool:
    """How many are free of each license, while a pass takes from them."""

    def __init__(self, free: Mapping[str, int]) -> None:
        self.free = dict(free)

    def choose(self, needs: Needs) -> Licenses | None:
        """Return what a job would get now; None when it can't have enough.  Of several the first that is free."""
        if any(not self._has(*each) for each in needs.licenses):
            return None
        if not needs.license_choices:
            return needs.licenses
        chosen = next((each for each in needs.license_choices if self._has(*each)), None)
        return None if chosen is None else (chosen,)

    def find_blocker(self, needs: Needs) -> Blocker | None:
        """Return which licenses are short."""
        if self.choose(needs) is not None:
            return None
        short = [each for each in needs.licenses if not self._has(*each)] or list(needs.license_choices)
        words = [f"{count} of license {name}, {max(self.free.get(name, 0), 0)} free" for name, count in short]
        return Blocker(
            reason=Reason.LICENSES, text=f"needs {('; or ' if needs.license_choices else '; and ').join(words)}"
        )

    def take(self, needs: Needs) -> Licenses:
        """Take out and return what a job gets."""
        chosen = self.choose(needs)
        assert chosen is not None, f"licenses taken that are not free: {needs.licenses or needs.license_choices}"
        for name, count in chosen:
            self.free[name] -= count
        return chosen

    def put_back(self, licenses: Licenses) -> None:
        """Undo take(), which returned these."""
        for name, count in licenses:
            self.free[name] += count

    def _has(self, name: str, count: int) -> bool:
        return self.free.get(name, 0) >= count
