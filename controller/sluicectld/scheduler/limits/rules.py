"""Which limits hold for a job and over whom: tables of the limits there are, brought into their order of precedence.

A limit that the first QOS sets hides the same limit of the second and of the associations; the partition's QOS comes
first, or the job's if it has OverPartQOS.  Among associations a group limit holds at every level, over all below it; of
the others the nearest one counts.  Source: Slurm's public page on resource limits.

Invariant: no two rules of one job have the same limit (and TRES), but for group limits of associations.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

import msgspec

from sluice.model.association import Association
from sluice.model.limit_words import limit_word
from sluice.model.limits import AssociationLimits, CommonLimits, QosLimits
from sluice.model.qos import Qos, QosFlag
from sluice.model.reason import Reason
from sluice.model.usage import Holder, HolderKind
from sluice.tres import Tres


class Measure(Enum):
    """What is compared with a limit."""

    JOBS = auto()
    SUBMITTED = auto()
    ACCRUING = auto()
    WALL = auto()
    TRES = auto()
    TRES_MINUTES = auto()
    TRES_RUN_MINUTES = auto()
    #: Of one job alone.
    JOB_WALL = auto()
    JOB_TRES = auto()
    JOB_TRES_MINUTES = auto()
    JOB_LEAST_TRES = auto()
    NODE_TRES = auto()


#: What falls again when jobs end.
COUNTED = frozenset((Measure.JOBS, Measure.TRES))


class Rule(msgspec.Struct, frozen=True):
    """One limit over one holder.

    name: as sacctmgr calls it.  word: for limit_words.py; "" for limits that keep nothing from starting.
    """

    holder: Holder
    name: str
    word: str
    measure: Measure
    limit: int
    tres: str = ""

    @property
    def reason(self) -> Reason:
        return Reason(limit_word(self.word, self.tres))


class _Row(NamedTuple):
    """A limit of the records.  slot: what it hides and is hidden by.  over: whose use counts; None: the setter's."""

    field: str
    name: str
    measure: Measure
    word: str = ""
    slot: str = ""
    over: HolderKind | None = None


_GROUP = (
    _Row("group_jobs", "GrpJobs", Measure.JOBS),
    _Row("group_submit_jobs", "GrpSubmitJobs", Measure.SUBMITTED),
    _Row("group_jobs_accrue", "GrpJobsAccrue", Measure.ACCRUING),
    _Row("group_wall_s", "GrpWall", Measure.WALL),
    _Row("group_tres", "GrpTRES", Measure.TRES),
    _Row("group_tres_minutes", "GrpTRESMins", Measure.TRES_MINUTES),
    _Row("group_tres_run_minutes", "GrpTRESRunMins", Measure.TRES_RUN_MINUTES),
)
_JOB = (
    _Row("max_wall_s", "MaxWall", Measure.JOB_WALL),
    _Row("max_tres_per_job", "MaxTRESPerJob", Measure.JOB_TRES),
    _Row("max_tres_per_node", "MaxTRESPerNode", Measure.NODE_TRES),
    _Row("max_tres_minutes_per_job", "MaxTRESMinsPerJob", Measure.JOB_TRES_MINUTES),
)
_RUN_MINUTES = "MaxTRESRunMins"
_LEAF = (
    _Row("max_jobs", "MaxJobs", Measure.JOBS),
    _Row("max_submit_jobs", "MaxSubmitJobs", Measure.SUBMITTED),
    _Row("max_jobs_accrue", "MaxJobsAccrue", Measure.ACCRUING),
    _Row("max_tres_run_minutes", _RUN_MINUTES, Measure.TRES_RUN_MINUTES, f"{_RUN_MINUTES}PerUser"),
)
_USER, _ACCOUNT = HolderKind.QOS_USER, HolderKind.QOS_ACCOUNT
_QOS_MEMBER = (
    _Row("max_jobs_per_user", "MaxJobsPerUser", Measure.JOBS, slot="MaxJobs", over=_USER),
    _Row("max_jobs_per_account", "MaxJobsPerAccount", Measure.JOBS, over=_ACCOUNT),
    _Row("max_submit_jobs_per_user", "MaxSubmitJobsPerUser", Measure.SUBMITTED, slot="MaxSubmitJobs", over=_USER),
    _Row("max_submit_jobs_per_account", "MaxSubmitJobsPerAccount", Measure.SUBMITTED, over=_ACCOUNT),
    _Row("max_jobs_accrue_per_user", "MaxJobsAccruePerUser", Measure.ACCRUING, slot="MaxJobsAccrue", over=_USER),
    _Row("max_jobs_accrue_per_account", "MaxJobsAccruePerAccount", Measure.ACCRUING, over=_ACCOUNT),
    _Row("max_tres_per_user", "MaxTRESPerUser", Measure.TRES, over=_USER),
    _Row("max_tres_per_account", "MaxTRESPerAccount", Measure.TRES, over=_ACCOUNT),
    _Row(
        "max_tres_run_minutes_per_user",
        f"{_RUN_MINUTES}PerUser",
        Measure.TRES_RUN_MINUTES,
        f"{_RUN_MINUTES}PerUser",
        _RUN_MINUTES,
        _USER,
    ),
    _Row(
        "max_tres_run_minutes_per_account",
        f"{_RUN_MINUTES}PerAccount",
        Measure.TRES_RUN_MINUTES,
        f"{_RUN_MINUTES}PerAccount",
        over=_ACCOUNT,
    ),
    _Row("min_tres_per_job", "MinTRESPerJob", Measure.JOB_LEAST_TRES),
)
#: Percentages of the cluster in a QOS that is Relative.
_RELATIVE_FIELDS = frozenset(
    ("group_tres", "max_tres_per_job", "max_tres_per_user", "max_tres_per_account", "min_tres_per_job")
)
#: As most associations and many QOS have them; to see that is much quicker than to ask for each limit.
_NO_LIMITS, _NO_QOS_LIMITS = AssociationLimits(), QosLimits()
#: What a rule is called in the order of precedence: the limit, and the TRES if it is of one.
_Slot = tuple[str, str]


def compute_rules(
    chain: Sequence[Association],
    qoses: Sequence[Qos],
    user: str,
    account: str,
    limit_factor: float | None = None,
    totals: Tres | None = None,
) -> tuple[Rule, ...]:
    """Return the rules for the jobs of a user in an account, QOS first, then associations from the user's to the root.

    chain: the user's association and those above.  qoses: in the order of precedence.  limit_factor: of the job's QOS.
    totals: of the cluster, for QOS whose limits are relative.
    """
    hidden: set[_Slot] = set()
    rules: list[Rule] = []
    for qos in qoses:
        found = [(slot, rule) for slot, rule in _qos_rules(qos, user, account, totals or {}) if slot not in hidden]
        rules += [rule for _, rule in found]
        hidden |= {slot for slot, _ in found}
    for association in chain:
        # What a level sets itself hides the default of the levels above, of its group limits none.
        nearest: set[_Slot] = set()
        for slot, rule, is_group in _association_rules(association, chain[0], limit_factor):
            if slot in hidden:
                continue
            rules.append(rule)
            if not is_group:
                nearest.add(slot)
        hidden |= nearest
    return tuple(rules)


def order_qoses(job_qos: Qos | None, partition_qos: Qos | None) -> tuple[Qos, ...]:
    """Return the QOS of a job and of its partition, the one whose limits count first before the other."""
    if job_qos is None or partition_qos is None or job_qos.name == partition_qos.name:
        return tuple(qos for qos in (job_qos or partition_qos,) if qos is not None)
    is_over = QosFlag.OVER_PART_QOS in job_qos.flags
    return (job_qos, partition_qos) if is_over else (partition_qos, job_qos)


def _qos_rules(qos: Qos, user: str, account: str, totals: Tres) -> Iterator[tuple[_Slot, Rule]]:
    if qos.limits == _NO_QOS_LIMITS:
        return
    holders = {
        None: Holder(HolderKind.QOS, qos=qos.name),
        _USER: Holder(_USER, user=user, qos=qos.name),
        _ACCOUNT: Holder(_ACCOUNT, account=account, qos=qos.name),
    }
    is_relative = QosFlag.RELATIVE in qos.flags
    for row in (*_GROUP, *_QOS_MEMBER, *_JOB):
        for tres, limit in _limits_of(qos.limits, row):
            if is_relative and row.field in _RELATIVE_FIELDS:
                limit = totals.get(tres, 0) * limit // 100
            word = row.word or f"QOS{row.name}"
            yield (row.slot or row.name, tres), Rule(holders[row.over], row.name, word, row.measure, limit, tres)


def _association_rules(
    association: Association, leaf: Association, limit_factor: float | None
) -> Iterator[tuple[_Slot, Rule, bool]]:
    if association.limits == _NO_LIMITS:
        return
    own = Holder(HolderKind.ASSOCIATION, *association.key)
    counted = Holder(HolderKind.ASSOCIATION, *leaf.key)
    for rows, holder in ((_GROUP, own), (_LEAF, counted), (_JOB, own)):
        for row in rows:
            for tres, limit in _limits_of(association.limits, row):
                if tres and limit_factor is not None:
                    limit = int(limit * limit_factor)
                rule = Rule(holder, row.name, row.word or f"Assoc{row.name}", row.measure, limit, tres)
                yield (row.name, tres), rule, rows is _GROUP


def _limits_of(limits: CommonLimits, row: _Row) -> Iterator[tuple[str, int]]:
    value = getattr(limits, row.field)
    pairs: Mapping[str, int | None] = value if isinstance(value, dict) else {"": value}
    for tres, limit in pairs.items():
        if limit is not None and limit >= 0:
            yield tres, limit
