"""Bounds of backfill that a site sets: how many jobs may go ahead of others, and who holds a planned start.

A job is a candidate for backfill when a job before it in its queue waits.  All bounds are counts and given numbers.
Source: slurm.conf's manual, SchedulerParameters: bf_max_job_user, bf_max_job_part, bf_max_job_user_part,
bf_max_job_start, bf_min_age_reserve, bf_min_prio_reserve, bf_job_part_count_reserve.
"""

from collections import Counter

from sluice.model.job import Job
from sluice.model.reason import Blocker, Reason

from .snapshot import Policy


class Bounds:
    """The counts of one pass."""

    def __init__(self, policy: Policy, now_at: float) -> None:
        self._policy = policy
        self._now_at = now_at
        self._starts = 0
        self._plans: Counter[str] = Counter()
        #: Candidates so far: by user, by queue, by both.
        self._candidates: Counter[object] = Counter()
        self.are_set = bool(
            policy.backfill_user_jobs_max
            or policy.backfill_partition_jobs_max
            or policy.backfill_user_partition_jobs_max
            or policy.backfill_starts_max
        )

    def find_candidate_blocker(self, job: Job, queue: str) -> Blocker | None:
        """Return which bound keeps the job from being a candidate."""
        policy, uid = self._policy, job.spec.uid
        if policy.backfill_starts_max and self._starts >= policy.backfill_starts_max:
            return _behind(f"{self._starts} jobs went ahead in this pass already (bf_max_job_start)")
        for key, most, word, owner in (
            (uid, policy.backfill_user_jobs_max, "bf_max_job_user", f"user {job.spec.user}"),
            (queue, policy.backfill_partition_jobs_max, "bf_max_job_part", f"partition {queue}"),
            (
                (uid, queue),
                policy.backfill_user_partition_jobs_max,
                "bf_max_job_user_part",
                f"{job.spec.user} in {queue}",
            ),
        ):
            if most and self._candidates[key] >= most:
                return _behind(f"{most} jobs of {owner} were looked at before it ({word})")
        return None

    def note_candidate(self, job: Job, queue: str) -> None:
        uid = job.spec.uid
        for key in (uid, queue, (uid, queue)):
            self._candidates[key] += 1

    def note_start(self) -> None:
        """Count a start ahead of a job that waits."""
        self._starts += 1

    def may_plan(self, job: Job, queue: str, priority: int) -> bool:
        """May the job hold a planned start?"""
        policy = self._policy
        if self._plans[queue] < policy.partition_plans_min:
            return True
        eligible_at = job.submitted_at if job.eligible_at is None else job.eligible_at
        return self._now_at - eligible_at >= policy.plan_age_min_s and priority >= policy.plan_priority_min

    def note_plan(self, queue: str) -> None:
        self._plans[queue] += 1


def _behind(text: str) -> Blocker:
    return Blocker(reason=Reason.PRIORITY, text=text)
