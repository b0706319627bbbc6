"""Priority: what the factors read, how they are weighted, and what came of it for one job.

The scheduler and the priority plugins share these records; the pass fills them, a factor only reads.
"""

from collections.abc import Sequence

from msgspec import field

from .base import Record
from .job import Job

#: account, user, partition ("" for the association that holds in every partition).
AssociationKey = tuple[str, str, str]

#: With priority/basic the first job's priority is one below; each later one has one less.  Observed of Slurm 22.05.
ARRIVAL_TOP = 4294901760
#: A priority of 0 means held, so a job that may run has at least this.
PRIORITY_LEAST = 1


class PrioritySetup(Record, frozen=True, kw_only=True):
    """The configuration: PriorityType, weights by the name of their factor, and everything else that factors heed.

    weights: without those that are zero.  tres_weights: by TRES in lower case; memory for each MiB.
    flags: PriorityFlags.  site_factor: the plugin whose number is added as it is, "" for none.
    half_life_s: 0 for usage that does not decay.  dampening: FairShareDampeningFactor.
    """

    type: str = "multifactor"
    weights: dict[str, int] = field(default_factory=dict)
    tres_weights: dict[str, float] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()
    is_small_favored: bool = False
    max_age_s: float = 7 * 86400.0
    site_factor: str = ""
    site_parameters: str = ""
    half_life_s: float = 7 * 86400.0
    usage_reset_period: str = "NONE"
    calculation_period_s: float = 300.0
    dampening: float = 1.0

    def is_raw(self, what: str) -> bool:
        """Is the number of ASSOC, PART, QOS or TRES weighted as it is, not as a part of the largest one?"""
        return f"NO_NORMAL_{what}" in self.flags or "NO_NORMAL_ALL" in self.flags


class PriorityTables(Record, frozen=True, kw_only=True):
    """What accounting knows that counts for priorities.  What is absent counts zero, so empty tables favour nobody."""

    fair_shares: dict[AssociationKey, float] = field(default_factory=dict)
    association_priorities: dict[AssociationKey, int] = field(default_factory=dict)
    qos_priorities: dict[str, int] = field(default_factory=dict)
    #: Set by an administrator, by job id.
    site_factors: dict[int, int] = field(default_factory=dict)


class Standing(Record, frozen=True, kw_only=True):
    """Who asks, and where the job waits.  Many jobs have the same."""

    account: str
    user: str
    qos: str
    partition: str
    partition_factor: int


class Asked(Record, frozen=True, kw_only=True):
    """How much a job asks for, and for how long.  Many jobs ask for the same.

    tres: by name in lower case.  partition_tres: what the partition has, with the cluster's licenses.
    """

    limit_s: int | None
    nodes: int
    cpus: int
    tres: dict[str, int] = field(default_factory=dict)
    partition_tres: dict[str, int] = field(default_factory=dict)


class PriorityContext(Record, frozen=True, kw_only=True):
    """What is the same for all jobs of a pass.  The sizes are of the whole cluster."""

    now_at: float
    setup: PrioritySetup = PrioritySetup()
    tables: PriorityTables = PriorityTables()
    nodes: int = 0
    cpus: int = 0
    partition_factor_max: int = 1
    association_priority_max: int = 0
    qos_priority_max: int = 0


class Candidates(Record, frozen=True, kw_only=True):
    """The jobs to be numbered: the n-th of each list belong together.  Jobs with equal ones share one record."""

    jobs: Sequence[Job]
    standings: Sequence[Standing]
    asked: Sequence[Asked]


class JobPriority(Record, frozen=True, kw_only=True):
    """One job's priority in one partition, taken apart: the columns of sprio.

    factors: by name, each in [0, 1] unless it is not normalised.  weighted: the same times their weights.
    tres_factors, tres_weighted: of the TRES factor, by TRES.  is_manual: set by hand, nothing else counts.
    """

    job_id: int
    user: str
    account: str
    qos: str
    partition: str
    priority: int
    nice: int = 0
    site: int = 0
    is_manual: bool = False
    factors: dict[str, float] = field(default_factory=dict)
    weighted: dict[str, float] = field(default_factory=dict)
    tres_factors: dict[str, float] = field(default_factory=dict)
    tres_weighted: dict[str, float] = field(default_factory=dict)


def compute_arrival_priority(job: Job) -> int:
    """Return the priority of the order of arrival; all tasks of an array have their array's."""
    return ARRIVAL_TOP - (job.array_job_id or job.id)
