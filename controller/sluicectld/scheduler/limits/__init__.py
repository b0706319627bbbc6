"""What keeps a job from starting whatever is free: partitions, licenses, associations and QOS.

LimitBook in book.py is what a pass and a submission ask; the rest are the pure rules behind it.

partition    the partition's state, bounds and lists of who may use it
memory       the most memory per node and per CPU
node_cpus    the most CPUs of each node that all jobs of a partition may have together
licenses     counted licenses, all of several or any one
tres         what a request takes at least, or an allocation takes, as TRES; billing
tree         the associations of a job from its user up to the root, its QOS
rules        which limits hold for a job and over whom, in the order of precedence
tally        what a holder of limits uses, while a pass adds to it
excess       does a job exceed a rule?  The words and the numbers
gate         what decide() asks, shape by shape
book         the tallies and rules of all jobs, asked and added to during a pass
submission   what is refused when it is submitted
accrue       which pending jobs gain priority by age
decay        what past use counts later
"""
