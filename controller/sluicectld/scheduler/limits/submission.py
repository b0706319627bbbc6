"""What limits refuse when a job is submitted or changed, before it is accepted.

Who may not submit at all is refused: no association, a QOS that is unknown or not allowed, a list of the partition.  So
is what goes over the number of submitted jobs, and with DenyOnLimit what no limit would let start even if nothing else
ran.  The words are CONTRACT section 15's; the message is the reason's word, as Slurm's commands print it.
"""

from sluice.model.partition import Partition
from sluice.model.qos import QosFlag
from sluice.model.reason import Blocker, Reason
from sluice.model.request import JobSpec
from sluicectld.scheduler.feasible import Verdict

from .book import LIMITS, LimitBook, Member
from .excess import find_excess, find_submit_excess
from .rules import Measure
from .tally import Tally
from .tres import Demand

_CODES = {
    Reason.INVALID_ACCOUNT: "invalid_account",
    Reason.ACCOUNT_NOT_ALLOWED: "invalid_account",
    Reason.INVALID_QOS: "invalid_qos",
    Reason.QOS_NOT_ALLOWED: "invalid_qos",
}


def check_submission(
    book: LimitBook, spec: JobSpec, partition: Partition, demand: Demand, task_count: int = 1
) -> Verdict | None:
    """Return why a job must not be submitted to the partition, or None when it may.

    demand: of one job or array task.  task_count: of tasks of an array.
    """
    member = book.find_member(spec, partition)
    for blocker in member.refusals:
        if blocker.reason in _CODES:
            return Verdict(True, _CODES[blocker.reason], details=blocker.text + _others(book, blocker, spec))
    if spec.qos and book.qos and spec.qos not in book.qos:
        return Verdict(
            True, "invalid_qos", details=f"QOS {spec.qos} does not exist; known are {', '.join(sorted(book.qos))}"
        )
    if QosFlag.REQUIRES_RESERVATION in member.flags and not spec.reservation:
        names = [qos.name for qos in member.qoses if QosFlag.REQUIRES_RESERVATION in qos.flags]
        details = f"QOS {', '.join(names)} is for jobs in a reservation; name one with --reservation"
        return Verdict(True, "invalid_qos", details=details)
    if LIMITS not in book.enforced:
        return None
    blocker_found = _find_submit_blocker(member, task_count) or _find_lone_blocker(member, demand)
    return None if blocker_found is None else Verdict(True, "policy", str(blocker_found.reason), blocker_found.text)


def _find_submit_blocker(member: Member, task_count: int) -> Blocker | None:
    found = (find_submit_excess(rule, tally, task_count) for rule, tally in member.submit_rules)
    return next((blocker for blocker in found if blocker is not None), None)


def _find_lone_blocker(member: Member, demand: Demand) -> Blocker | None:
    """Return what would stand against the job if it were the only one."""
    if QosFlag.DENY_ON_LIMIT not in member.flags:
        return None
    nothing = Tally()
    for rule, _ in member.rules:
        # Used up minutes and wall time are of others, and come back.
        if rule.measure is Measure.WALL:
            continue
        blocker = find_excess(rule, nothing, demand, member.terms)
        if blocker is not None:
            return blocker
    return None


def _others(book: LimitBook, blocker: Blocker, spec: JobSpec) -> str:
    if blocker.reason is not Reason.INVALID_ACCOUNT:
        return ""
    accounts = book.tree.accounts_of(spec.user)
    return f"; it has one with {', '.join(accounts)}" if accounts else "; it has none"
