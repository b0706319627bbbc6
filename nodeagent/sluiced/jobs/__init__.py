"""What happens to the jobs of this node: events in, effects out.  Pure.

engine       the state machine: what starts, and how a job goes through its phases
effects      what it wants done
table        the jobs and steps that are here, and those that were
admission    whom this node refuses, and in which words
words        what of a request no kernel call takes
step_orders  what the step daemons of a job are told
sruns        which sruns are connected for a step, and which steps end with them
"""
