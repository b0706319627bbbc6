"""Limits that administrators set on associations and QOS (CONTRACT section 10), named as sacctmgr names them.

What is None, absent from a TRES dict or below zero is no limit; zero allows nothing.  A TRES dict may be of TRES, of
TRES minutes or of TRES minutes that running jobs may still use.  Memory counts MiB, wall time seconds.
"""

from msgspec import field

from sluice.tres import Tres

from .base import Record


class CommonLimits(Record, frozen=True, kw_only=True):
    """The limits that associations and QOS have both: of the whole group, and of each job."""

    group_tres: Tres = field(default_factory=dict)
    group_tres_minutes: Tres = field(default_factory=dict)
    group_tres_run_minutes: Tres = field(default_factory=dict)
    group_jobs: int | None = None
    group_jobs_accrue: int | None = None
    group_submit_jobs: int | None = None
    group_wall_s: int | None = None
    max_tres_per_job: Tres = field(default_factory=dict)
    max_tres_per_node: Tres = field(default_factory=dict)
    max_tres_minutes_per_job: Tres = field(default_factory=dict)
    max_wall_s: int | None = None
    #: A job of lower priority gets no planned start.
    min_priority_threshold: int | None = None


class AssociationLimits(CommonLimits, frozen=True, kw_only=True):
    """A group limit holds over the association and all below it; the others are the default of all below it."""

    max_jobs: int | None = None
    max_jobs_accrue: int | None = None
    max_submit_jobs: int | None = None
    max_tres_run_minutes: Tres = field(default_factory=dict)


class QosLimits(CommonLimits, frozen=True, kw_only=True):
    """A group limit holds over all jobs with the QOS; others over those of one user, one account, or one job."""

    max_jobs_per_user: int | None = None
    max_jobs_per_account: int | None = None
    max_jobs_accrue_per_user: int | None = None
    max_jobs_accrue_per_account: int | None = None
    max_submit_jobs_per_user: int | None = None
    max_submit_jobs_per_account: int | None = None
    max_tres_per_user: Tres = field(default_factory=dict)
    max_tres_per_account: Tres = field(default_factory=dict)
    max_tres_run_minutes_per_user: Tres = field(default_factory=dict)
    max_tres_run_minutes_per_account: Tres = field(default_factory=dict)
    min_tres_per_job: Tres = field(default_factory=dict)
