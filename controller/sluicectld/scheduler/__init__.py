"""The scheduler: a pure function from a snapshot and a policy to a plan.  No clock, no I/O, no randomness, no logging.

snapshot     what a pass sees: eligible jobs, free resources, running jobs; the policy
plan         what a pass wants: starts, planned starts, and why the others wait
decide       one pass: the queue in order, starts and planned starts
queue        which jobs are in which order
priority     a job's priority as a number
needs        a request boiled down to numbers, defaults resolved; the key that equal requests share
levels       how much is free on a node, as counts; equal levels are one object
offer        how many tasks of a request a node holds at a level, and what it then takes
shapes       equal requests share everything that a pass finds out about them
working      the working copy of what is free now, with CPU and unit numbers
search       where a shape fits, now or at a later moment
place        which nodes a request gets, and how many tasks each of them
sharing      the same for resources of the whole job (--gpus)
constraints  feature expressions that speak of the whole allocation
timeline     free resources over time
backfill     planned starts: the earliest slot beside all that runs or is planned
limits       partition limits and licenses
explain      reasons as sentences with their numbers, as a pass writes them
ranking      in which order the causes of a wait are told
feasible     could a request ever run?  Asked at submission
nearest      the funnel of a refused request, and the nearest one that fits
estimate     when would a job start?  Asked by --test-only

forecast     how good planned starts have been

inquiry      one job's wait, answered in full: every cause with its numbers
funnel       how many nodes are left after each demand
holders      the running jobs that hold what is missing
sharers      words for other jobs: awaited, holding, planned
whatif       the cheapest changes with which a job would start in the next pass
cheapest     the search: single changes, then pairs, each at its least
changes      the table of changes, with their costs
change       how one demand of a request is changed, and how it is told
"""
