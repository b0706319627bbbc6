"""Built-in preempt plugins: who may preempt whom, and which victims go first.

partition_prio  jobs of a partition with a higher PriorityTier
qos             jobs with a QOS that lists the victim's QOS in its Preempt
common          modes, exempt times and the order of victims, as both know them
"""
