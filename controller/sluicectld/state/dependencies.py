"""Conditions on other jobs: does one hold now, can it still hold (CONTRACT section 2.6).

A term that holds vanishes from the job's dependency; a dependency without terms is fulfilled.  What is known of the
other job comes as an Outcome, from memory or, for a job that ended long ago, from the accounting tables.
"""

from collections.abc import Callable
from enum import Enum

import msgspec

from sluice.model.job import Job
from sluice.model.request import Dependency, DependencyTerm
from sluice.model.states import JobState


class Verdict(Enum):
    """Of one term: it holds, it may hold later, it can never hold."""

    HOLDS = "holds"
    WAITS = "waits"
    NEVER = "never"


class Outcome(msgspec.Struct, frozen=True):
    """What dependencies ask of another job (an array: of all its tasks together)."""

    has_started: bool = False
    started_at: float | None = None
    is_ended: bool = False
    #: Ended with state COMPLETED and exit code 0; of an array: every task.
    is_success: bool = False


def outcome_of(job: Job) -> Outcome:
    """Return the outcome of a single job."""
    return Outcome(
        has_started=job.started_at is not None,
        started_at=job.started_at,
        is_ended=job.is_ended and not job.is_requeued,
        is_success=job.state is JobState.COMPLETED,
    )


def combine(outcomes: list[Outcome]) -> Outcome:
    """Return the outcome of an array from those of its tasks (an unstarted rest counts as one)."""
    started = [outcome.started_at for outcome in outcomes if outcome.started_at is not None]
    return Outcome(
        has_started=all(outcome.has_started or outcome.is_ended for outcome in outcomes),
        started_at=max(started, default=None),
        is_ended=all(outcome.is_ended for outcome in outcomes),
        is_success=all(outcome.is_success for outcome in outcomes),
    )


def judge(term: DependencyTerm, other: Outcome | None, now_at: float) -> Verdict:
    """Return whether a term about one other job holds.

    other None: no such job ever was, or its record was purged; any condition on it counts as met (22.05, observed).
    """
    if other is None:
        return Verdict.HOLDS
    if term.type == "after":
        return _judge_after(term, other, now_at)
    if not other.is_ended:
        return Verdict.WAITS
    if term.type in ("afterok", "aftercorr"):
        return Verdict.HOLDS if other.is_success else Verdict.NEVER
    if term.type == "afternotok":
        return Verdict.NEVER if other.is_success else Verdict.HOLDS
    return Verdict.HOLDS


def _judge_after(term: DependencyTerm, other: Outcome, now_at: float) -> Verdict:
    if other.started_at is None and other.is_ended:
        # Cancelled before it started.
        return Verdict.HOLDS
    if other.started_at is None or not other.has_started:
        return Verdict.WAITS
    return Verdict.HOLDS if other.started_at + term.delay_s <= now_at else Verdict.WAITS


def resolve(dependency: Dependency, verdict_of: Callable[[DependencyTerm], Verdict]) -> tuple[Dependency, bool]:
    """Return (what is left of the dependency, whether it can never be fulfilled)."""
    verdicts = [(term, verdict_of(term)) for term in dependency.terms]
    if dependency.is_any:
        if any(verdict is Verdict.HOLDS for _, verdict in verdicts):
            return Dependency(), False
        left = tuple(term for term, verdict in verdicts if verdict is Verdict.WAITS)
        return (Dependency(terms=left, is_any=True), False) if left else (dependency, bool(dependency.terms))
    left = tuple(term for term, verdict in verdicts if verdict is not Verdict.HOLDS)
    return Dependency(terms=left), any(verdict is Verdict.NEVER for _, verdict in verdicts)
