"""Steps inside their job's allocation: what each gets, and what became of it.  Pure.

The same for whoever manages a job's steps, the controller or the agent of its first node.

request   what a request may say
layout    which nodes and how many tasks a step gets
ranks     which of its tasks run on which of these nodes (-m)
gres      which of its job's generic resources it has there
grant     a step that could begin now, or what keeps it waiting
whole     the ranks of one over several components of a heterogeneous job
results   what its nodes report, put together
"""
