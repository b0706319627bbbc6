"""Wiring up parallel programs: what MPI libraries ask of who started them, answered on every node of a step.

The step daemons of a step talk to each other directly, in a tree; the controller has no part in it.

layout      the ranks of each node, and PMI_process_mapping
tree        who is whose parent, and the next hop to a node
store       the keys and values of a step, as one node knows them
text        the words of PMI-1 and PMI-2, from bytes and to bytes
session     one rank's conversation, in whichever of the two it chooses
dialects    how each of the two answers
server      the PMI server of one node: sessions, barriers, aborts; bytes in, actions out
collective  gathering over the tree, and spreading what was gathered
messages    what step daemons, and the PMIx helper, say to each other
links       connections between the step daemons
wireup      all of it as the step's poll loop sees it
pmix        the tasks' PMIx server, in a helper process
helper      the helper process itself
libpmix     Debian's libpmix2 by ctypes: layouts, checked at start-up
private     directories of a node's own, for several nodes on one host
"""
