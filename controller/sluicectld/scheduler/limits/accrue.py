"""Which pending jobs gain priority by age: at most so many of each user, account and QOS, first ones first.

Source: the sacctmgr manual on GrpJobsAccrue and MaxJobsAccrue.  How much priority they gain is the priority plugin's.

Invariant: the jobs chosen of a holder are never more than any limit over it.
"""

from collections import Counter
from collections.abc import Iterable

from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.usage import Holder

from .book import LimitBook


def choose_accruing(book: LimitBook, pending: Iterable[tuple[Job, Partition]]) -> frozenset[int]:
    """Return the ids of the jobs that gain priority by age.  pending: eligible ones, first submitted first."""
    accruing: Counter[Holder] = Counter()
    chosen = set()
    for job, partition in pending:
        rules = book.find_member(job.spec, partition).accrue_rules
        if all(accruing[rule.holder] < rule.limit for rule in rules):
            chosen.add(job.id)
            # A holder may have several rules, each counts the job once.
            accruing.update({rule.holder for rule in rules})
    return frozenset(chosen)
