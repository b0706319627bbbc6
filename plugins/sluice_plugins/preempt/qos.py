"""preempt/qos: a QOS preempts those that its Preempt lists; with WITHIN also itself, the higher priority the lower.

How is the victim's QOS's PreemptMode, else the cluster's; its GraceTime is the QOS's.  Two QOS that list each other
preempt by priority, or they would take turns for ever.  Suspending is for jobs of the same or a higher PriorityTier.
Source: sacctmgr's manual, Preempt and PreemptMode; slurm.conf's manual, PreemptType.
"""

from sluice.model.preemption import PreemptMode, PreemptSetup
from sluice.model.qos import Qos
from sluice_plugins.interfaces import Contender, PreemptRight, VictimCost

from .common import Words, find_exempt_s, find_right, modes_over, rank_cost, read_words

#: Words that take a QOS's own mode back.
_UNSET = frozenset({"OFF", "CLUSTER"})


class ByQos:
    def may_preempt(self, preemptor: Contender, victim: Contender, setup: PreemptSetup) -> PreemptRight | None:
        if preemptor.qos is None or victim.qos is None:
            return None
        words = _modes(victim.qos, setup)
        needs_priority = _lists(victim.qos, preemptor.qos)
        if preemptor.qos.name == victim.qos.name:
            if "WITHIN" not in words:
                return None
            needs_priority = True
        elif not _lists(preemptor.qos, victim.qos):
            return None
        right = find_right(words, needs_priority)
        is_below = preemptor.partition.priority_tier < victim.partition.priority_tier
        return None if right is not None and right.mode is PreemptMode.SUSPEND and is_below else right

    def grace_s(self, victim: Contender, setup: PreemptSetup) -> float:
        return float(victim.qos.grace_s) if victim.qos is not None else 0.0

    def exempt_s(self, victim: Contender, setup: PreemptSetup) -> float:
        return find_exempt_s(victim, setup)

    def rank(self, cost: VictimCost, setup: PreemptSetup) -> tuple[float, ...]:
        return rank_cost(cost, setup)


def _modes(qos: Qos, setup: PreemptSetup) -> Words:
    return modes_over(read_words(qos.preempt_mode) - _UNSET, setup)


def _lists(qos: Qos, other: Qos) -> bool:
    return other.name in qos.preempt
