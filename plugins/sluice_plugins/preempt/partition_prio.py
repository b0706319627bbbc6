"""preempt/partition_prio: jobs of a partition with a higher PriorityTier preempt those of lower ones.

How is the victim's partition's PreemptMode, else the cluster's; its GraceTime is the partition's.
Source: slurm.conf's manual, PreemptType and PreemptMode.
"""

from sluice.model.preemption import PreemptSetup
from sluice_plugins.interfaces import Contender, PreemptRight, VictimCost

from .common import find_exempt_s, find_right, modes_over, rank_cost, read_words


class PartitionPrio:
    def may_preempt(self, preemptor: Contender, victim: Contender, setup: PreemptSetup) -> PreemptRight | None:
        if preemptor.partition.priority_tier <= victim.partition.priority_tier:
            return None
        words = modes_over(read_words(victim.partition.preempt_mode), setup)
        return None if "OFF" in words else find_right(words)

    def grace_s(self, victim: Contender, setup: PreemptSetup) -> float:
        return float(victim.partition.grace_s)

    def exempt_s(self, victim: Contender, setup: PreemptSetup) -> float:
        return find_exempt_s(victim, setup)

    def rank(self, cost: VictimCost, setup: PreemptSetup) -> tuple[float, ...]:
        return rank_cost(cost, setup)
