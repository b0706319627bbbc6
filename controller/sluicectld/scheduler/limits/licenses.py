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
        return next(filter(self.holds, options_of(needs)), None)

    def holds(self, licenses: Licenses) -> bool:
        """Are these free?"""
        return all(self._has(*each) for each in licenses)

    def find_blocker(self, needs: Needs) -> Blocker | None:
        """Return which licenses are short."""
        if self.choose(needs) is not None:
            return None
        short = [each for each in needs.licenses if not self._has(*each)] or list(needs.license_choices)
        words = [f"{count} of license {name}, {max(self.free.get(name, 0), 0)} free" for name, count in short]
        return Blocker(
            reason=Reason.LICENSES, text=f"needs {('; or ' if needs.license_choices else '; and ').join(words)}"
        )

    def take(self, licenses: Licenses) -> None:
        """Take out what a job gets."""
        assert self.holds(licenses), f"licenses taken that are not free: {licenses}"
        for name, count in licenses:
            self.free[name] -= count

    def put_back(self, licenses: Licenses) -> None:
        """Undo take() of these."""
        for name, count in licenses:
            self.free[name] += count

    def _has(self, name: str, count: int) -> bool:
        return self.free.get(name, 0) >= count


def options_of(needs: Needs) -> tuple[Licenses, ...]:
    """Return what a job may get: all that it asks for, or any one of several, the first choice first."""
    return tuple([(each,) for each in needs.license_choices]) or (needs.licenses,)
