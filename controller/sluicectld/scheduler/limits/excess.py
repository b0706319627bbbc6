"""Does a job exceed a rule?  If so: the reason with whose limit it is, what is used, what is wanted and what would fit.

Pure comparison of a demand and a tally.  Without "safe" a limit of TRES minutes stops jobs once it is used up; with it,
once what runs and the job itself could use it up.  Source: Slurm's public page on resource limits.

Invariant: adding starts to a tally never lets a job pass that exceeded a rule before.
"""

import msgspec

from sluice import duration, size
from sluice.model.reason import Blocker

from .rules import Measure, Rule
from .tally import UNLIMITED_S, Tally, left_s
from .tres import Demand

_MINUTE_S = 60


class Terms(msgspec.Struct, frozen=True):
    """How the job counts.

    usage_factor: of its QOS.  is_safe: jobs must be able to end within limits of TRES minutes; is_factor_safe: with the
    usage factor applied (UsageFactorSafe).
    """

    usage_factor: float = 1.0
    is_safe: bool = False
    is_factor_safe: bool = False


_PLAIN = Terms()


def find_excess(rule: Rule, tally: Tally, demand: Demand, terms: Terms = _PLAIN) -> Blocker | None:
    """Return why a job with this demand must not start under the rule, or None when it may.

    tally: of the rule's holder, without the job.
    """
    match rule.measure:
        case Measure.JOBS:
            text = f"{tally.jobs} run" if tally.jobs + 1 > rule.limit else ""
        case Measure.WALL:
            used = duration.format_long(int(tally.wall_s))
            text = f"{used} used" if tally.wall_s >= rule.limit else ""
        case Measure.JOB_WALL:
            text = _wall_text(rule, demand)
        case Measure.TRES:
            text = _tres_text(rule, tally, demand)
        case Measure.TRES_MINUTES:
            text = _minutes_text(rule, tally, demand, terms)
        case Measure.TRES_RUN_MINUTES:
            text = _run_minutes_text(rule, tally, demand, terms)
        case Measure.JOB_TRES_MINUTES:
            text = _job_minutes_text(rule, demand, terms)
        case Measure.JOB_TRES | Measure.NODE_TRES | Measure.JOB_LEAST_TRES:
            text = _job_tres_text(rule, demand)
        case Measure.SUBMITTED | Measure.ACCRUING:
            text = ""
    return Blocker(reason=rule.reason, text=f"{describe(rule)}, {text}") if text else None


def find_submit_excess(rule: Rule, tally: Tally, count: int) -> Blocker | None:
    """Return why so many jobs more must not be submitted under a rule over submitted jobs."""
    if tally.submitted + count <= rule.limit:
        return None
    fits = max(rule.limit - tally.submitted, 0)
    text = (
        f"{describe(rule)}, {tally.submitted} submitted, {count} more wanted; {_would_fit(str(fits) if fits else '')}"
    )
    return Blocker(reason=rule.reason, text=text)


def describe(rule: Rule) -> str:
    """Return whose limit it is and how much: "account physics: GrpTRES cpu=8"."""
    limit = _count(rule.tres, rule.limit)
    if rule.measure in (Measure.WALL, Measure.JOB_WALL):
        limit = duration.format_long(rule.limit)
    elif rule.measure in (Measure.TRES_MINUTES, Measure.TRES_RUN_MINUTES, Measure.JOB_TRES_MINUTES):
        limit = str(rule.limit)
    return f"{rule.holder.describe()}: {rule.name} {rule.tres}{'=' if rule.tres else ''}{limit}"


def _wall_text(rule: Rule, demand: Demand) -> str:
    if demand.limit_s is not None and demand.limit_s <= rule.limit:
        return ""
    fits = duration.format_long(rule.limit)
    return f"time limit {duration.format_long(demand.limit_s)}; {_would_fit(f'-t {fits}')}"


def _tres_text(rule: Rule, tally: Tally, demand: Demand) -> str:
    used, wanted = tally.tres.get(rule.tres, 0), demand.tres.get(rule.tres, 0)
    if not wanted or used + wanted <= rule.limit:
        return ""
    fits = max(rule.limit - used, 0)
    left = _would_fit(_count(rule.tres, fits) if fits else "")
    return f"{_count(rule.tres, used)} in use, needs {_count(rule.tres, wanted)}; {left}"


def _job_tres_text(rule: Rule, demand: Demand) -> str:
    is_node = rule.measure is Measure.NODE_TRES
    wanted = (demand.node_tres if is_node else demand.tres).get(rule.tres, 0)
    if rule.measure is Measure.JOB_LEAST_TRES:
        is_exceeded = wanted < rule.limit and not demand.is_open
    else:
        is_exceeded = wanted > rule.limit
    if not is_exceeded:
        return ""
    return f"needs {_count(rule.tres, wanted)}{' on one node' if is_node else ''}"


def _minutes_text(rule: Rule, tally: Tally, demand: Demand, terms: Terms) -> str:
    wanted = demand.tres.get(rule.tres, 0)
    limit_s = rule.limit * _MINUTE_S
    used_s = tally.used_seconds.get(rule.tres, 0.0)
    if not wanted:
        return ""
    if not terms.is_safe:
        return f"{_minutes(used_s)} used" if used_s >= limit_s else ""
    running_s = tally.run_seconds.get(rule.tres, 0.0)
    factor = terms.usage_factor if terms.is_factor_safe else 1.0
    free_s = limit_s - used_s - running_s
    if wanted * left_s(demand) * factor <= free_s and used_s < limit_s:
        return ""
    spoken_for = f"{_minutes(used_s)} used, running jobs may use {_minutes(running_s)}"
    return f"{spoken_for}, {_asks(rule, demand, wanted, factor, free_s)}"


def _run_minutes_text(rule: Rule, tally: Tally, demand: Demand, terms: Terms) -> str:
    wanted = demand.tres.get(rule.tres, 0)
    running_s = tally.run_seconds.get(rule.tres, 0.0)
    free_s = rule.limit * _MINUTE_S - running_s
    if wanted * left_s(demand) * terms.usage_factor <= max(free_s, 0.0):
        return ""
    return f"running jobs may use {_minutes(running_s)}, {_asks(rule, demand, wanted, terms.usage_factor, free_s)}"


def _job_minutes_text(rule: Rule, demand: Demand, terms: Terms) -> str:
    wanted = demand.tres.get(rule.tres, 0)
    factor = terms.usage_factor if terms.is_factor_safe else 1.0
    free_s = float(rule.limit * _MINUTE_S)
    if wanted * left_s(demand) * factor <= free_s:
        return ""
    return _asks(rule, demand, wanted, factor, free_s)


def _asks(rule: Rule, demand: Demand, wanted: int, factor: float, free_s: float) -> str:
    """Say what the job could use, and with which time limit it would fit."""
    longest_s = int(free_s / (wanted * factor)) if factor > 0 else 0
    fits = f"-t {duration.format_long(longest_s)}" if longest_s >= _MINUTE_S else ""
    amount = "without end" if demand.limit_s is None else _minutes(wanted * left_s(demand) * factor)
    times = f" for {duration.format_long(demand.limit_s)}" if demand.limit_s is not None else ""
    return f"needs {amount} ({_count(rule.tres, wanted)}{times}); {_would_fit(fits)}"


def _would_fit(what: str) -> str:
    return f"{what} would fit" if what else "nothing more fits"


def _count(tres: str, count: int) -> str:
    return size.format_mib(count) if tres in ("mem", "vmem") and count > 0 else str(count)


def _minutes(seconds: float) -> str:
    if seconds >= UNLIMITED_S:
        return "time without end"
    return f"{seconds / _MINUTE_S:.10g} minutes"
