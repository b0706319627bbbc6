"""Licenses and limits that are kept for others, as sentences: how much is there, and who takes it when.

What is missing now, whoever comes later, is told by licenses.py and excess.py.
"""

from sluice.model.reason import Blocker, Reason

from .explain import format_at
from .limits.excess import describe
from .pools import Claim, Pools

#: Jobs and reservations that a text names.
_SHOWN_MAX = 5


def kept_blocker(lack: Claim, now: int, pools: Pools, interval: tuple[float, float], utc_offset_s: int = 0) -> Blocker:
    """Return that a claim can't be met during the interval.  now: what is free of a license, or used below a limit."""
    keepers = _describe_keepers(lack, pools, interval, utc_offset_s)
    if lack.rule is not None:
        in_use = f"{now} in use" if lack.pool.tres else f"{now} run"
        text = f"{describe(lack.rule)}, {in_use}, needs {lack.amount}{keepers}"
        return Blocker(reason=lack.rule.reason, text=text)
    text = f"needs {lack.amount} of license {lack.pool.license}, {max(now, 0)} free{keepers}"
    return Blocker(reason=Reason.LICENSES, text=text)


def _describe_keepers(lack: Claim, pools: Pools, interval: tuple[float, float], utc_offset_s: int) -> str:
    from_at, until_at = interval
    words = [
        f"job {booking.job_id} at {format_at(max(booking.from_at, from_at), from_at, utc_offset_s)}"
        for booking in pools.find_keepers(lack, from_at, until_at)
    ]
    words += [
        f"reservation {closure.reservation!r} at {format_at(max(closure.from_at, from_at), from_at, utc_offset_s)}"
        for closure in lack.closures
        if closure.from_at < until_at and from_at < closure.until_at
    ]
    if len(words) > _SHOWN_MAX:
        words[_SHOWN_MAX:] = [f"{len(words) - _SHOWN_MAX} more"]
    return f"; kept for {', '.join(words)}" if words else ""
