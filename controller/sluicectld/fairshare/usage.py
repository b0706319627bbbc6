"""Usage over time: it decays with PriorityDecayHalfLife, grows with running jobs, and is reset once a period.

Usage is in billing seconds: what compute_billing() says of an allocation, for each second, times the QOS's UsageFactor.
A running job's usage decays from the second in which it accrued, so the result does not depend on how often it is
computed: accruing over a and then over b is accruing over a + b.
Source: Slurm's documentation of PriorityDecayHalfLife and PriorityUsageResetPeriod.
"""

import math
from datetime import UTC, datetime, timedelta


def decay(usage: float, elapsed_s: float, half_life_s: float) -> float:
    """Return what is left of *usage* after a while; a half-life of 0 is none: usage stays."""
    return usage * 0.5 ** (elapsed_s / half_life_s) if half_life_s > 0 else usage


def accrue(usage: float, billing: float, elapsed_s: float, half_life_s: float) -> float:
    """Return the usage after *elapsed_s* in which jobs were charged *billing* a second, all of it decaying."""
    if half_life_s <= 0:
        return usage + billing * elapsed_s
    rate = math.log(2) / half_life_s
    return decay(usage, elapsed_s, half_life_s) - billing * math.expm1(-rate * elapsed_s) / rate


def compute_reset_at(period: str, now_at: float, utc_offset_s: int = 0) -> float | None:
    """Return the last time at or before *now_at* at which PriorityUsageResetPeriod clears all usage.

    None: never (NONE), and for NOW, which clears once, when the configuration is read.  Periods begin at midnight by
    the site's clock: of every day, of Sunday, of the first day of the month, of the quarter or of the year.
    """
    today = datetime.fromtimestamp(now_at + utc_offset_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "DAILY":
            begin = today
        case "WEEKLY":
            begin = today - timedelta(days=(today.weekday() + 1) % 7)
        case "MONTHLY":
            begin = today.replace(day=1)
        case "QUARTERLY":
            begin = today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1)
        case "YEARLY":
            begin = today.replace(month=1, day=1)
        case _:
            return None
    return begin.timestamp() - utc_offset_s


def advance(
    usage: float,
    billing: float,
    since_at: float,
    now_at: float,
    half_life_s: float,
    reset_period: str = "NONE",
    utc_offset_s: int = 0,
) -> float:
    """Return what *usage* of *since_at* is at *now_at*, with jobs charged *billing* a second meanwhile."""
    reset_at = compute_reset_at(reset_period, now_at, utc_offset_s)
    if reset_at is not None and reset_at > since_at:
        usage, since_at = 0.0, reset_at
    return accrue(usage, billing, now_at - since_at, half_life_s)
