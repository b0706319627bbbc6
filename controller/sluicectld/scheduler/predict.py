"""Predicted run times: how long a job will probably run, from what its user's last jobs did with their limits.

A prediction decides only who is tried first; everything that is promised is computed from limits.  So a job that
outruns its prediction needs no correction, and a wrong prediction breaks no promise.  What the controller keeps
is a short tuple of runs for each user, newest first.

Source: Tsafrir, Etsion, Feitelson 2007 (the last two runs of the user); docs/decisions/prediction.md.
"""

import msgspec

from sluice.model.job import Job
from sluice.model.states import JobState

#: Runs kept for a user at most, and of these with one limit.
RUNS_MAX = 32
RUNS_PER_LIMIT = 2

#: Ends that tell nothing of how long the job would have run.
_CUT_SHORT = frozenset({JobState.NODE_FAIL, JobState.PREEMPTED, JobState.BOOT_FAIL})


class FinishedRun(msgspec.Struct, frozen=True):
    """How long a job ran, and the limit that it had; None: unlimited."""

    limit_s: int | None
    run_s: float


#: The runs of one user, newest first.
Runs = tuple[FinishedRun, ...]


def add_run(runs: Runs, run: FinishedRun) -> Runs:
    """Return the user's runs with a newer one; the oldest of its limit or of all gives way."""
    same_limit = [known for known in runs if known.limit_s == run.limit_s]
    gone = same_limit[RUNS_PER_LIMIT - 1 :]
    kept = [known for known in runs if not any(known is each for each in gone)]
    return (run, *kept[: RUNS_MAX - 1])


def predict_run_s(runs: Runs, limit_s: int | None) -> float | None:
    """Return how long the user's next job with that limit will probably run, at most its limit; None: nobody knows.

    It is the mean of the last two runs with the same limit; where there is none, the same part of the limit that
    the last two runs took of theirs.
    """
    alike = [run.run_s for run in runs if run.limit_s == limit_s][:2]
    if alike:
        run_s = sum(alike) / len(alike)
        return run_s if limit_s is None else min(run_s, limit_s)
    parts = [run.run_s / run.limit_s for run in runs if run.limit_s][:2]
    if limit_s is None or not parts:
        return None
    return min(limit_s * (sum(parts) / len(parts)), limit_s)


def find_run(job: Job) -> FinishedRun | None:
    """Return what an ended job tells of its user; None if it never ran or something else cut it short."""
    if job.started_at is None or job.ended_at is None or not is_telling(job.state):
        return None
    return FinishedRun(job.limit_s, max(0.0, job.ended_at - job.started_at - job.suspended_s))


def is_telling(state: JobState) -> bool:
    """Does a job that ended in this state tell of its user?"""
    return state not in _CUT_SHORT
