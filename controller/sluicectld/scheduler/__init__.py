"""The scheduler: a pure function from a snapshot and a policy to a plan.  No clock, no I/O, no randomness, no logging.

snapshot   what a pass sees: eligible jobs, free resources, running jobs
plan       what a pass wants: starts, planned starts, and why the others wait
decide     one pass: the queue in order, starts and planned starts
queue      which jobs are in which order
priority   a job's priority as a number
feasible   does a request fit a node, a set of nodes, the cluster at all; the funnel that says where it fails
place      which nodes, CPUs and units a request gets
timeline   free resources over time
backfill   who may start early without delaying a planned start
limits     partition limits
explain    reasons as sentences with their numbers
"""
