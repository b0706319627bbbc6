"""Wiring up parallel programs: what MPI libraries ask of who started them, answered on every node of a step.

The step daemons of a step talk to each other directly, in a tree; the controller has no part in it.

wireup      server and network as one object, for the step's poll loop
layout      the ranks of each node, and PMI_process_mapping
tree        who is whose parent, and the next hop to a node
local       what the poll loop needs of a node's server, whichever protocol it speaks

text        the words of PMI-1 and PMI-2, from bytes and to bytes
dialects    how each of the two answers
session     one rank's conversation, in whichever of the two it chooses
store       the keys and values of a step, as one node knows them
server      the PMI server of one node: sessions, barriers, aborts; bytes in, actions out
local_pmi   that server with its sockets

libpmix     the library by ctypes: layouts, checked at start-up
helper      the PMIx server of a node, a process of its own
local_pmix  that process as the step daemon sees it

collective  gathering over the tree, and spreading what was gathered
messages    what step daemons, and the PMIx helper, say to each other
frames      frames on a socket without an event loop
parent      the way to the parent in the tree
network     a step daemon among those of its step
"""
