"""The scheduler: a pure function from a snapshot and a policy to a plan.  No clock, no I/O, no randomness, no logging.

snapshot     what a pass sees: eligible jobs, free resources, running jobs; the policy
plan         what a pass wants: starts, planned starts, and why the others wait
decide       one pass: the queue in order, starts and planned starts
queue        which jobs are in which order
priority     a job's priority as a number, from the priority plugin
standing     what a job is numbered by, the same for many
memo         what passes found out about requests and need again
totals       what the cluster and each partition have in all
needs        a request boiled down to numbers, defaults resolved; the key that equal requests share
levels       how much is free on a node, as counts; equal levels are one object
layout       what stands where on a node: sockets, cores, units near them, parts of GPUs, what is withheld
masks        which CPU and unit numbers are free, and which CPUs are shared
demand       what so many tasks need on a node: CPUs, memory, units
exact        the numbers that a request gets on a node where counts would promise too much
pick_cpus    which CPUs: over the sockets in turn or on few, near the units
pick_units   which units: typed ones first, near one another, shards on few GPUs
orderings    in which order nodes are looked at, as one table
spreading    placement of --spread-job, and tasks dealt evenly
cover        the fewest nodes that fill several counts of features
offer        how many tasks of a request a node holds at a level, and what it then takes
shapes       equal requests share everything that a pass finds out about them
working      the working copy of what is free now, with CPU and unit numbers
memory       what one pass leaves to the next, so that a pass costs by what has changed
search       where a shape fits, now or at a later moment
arrange      lists of candidates by a topology: nearest nodes first
switches     --switches: how long it is waited for
place        which nodes a request gets, and how many tasks each of them
sharing      the same for resources of the whole job (--gpus)
constraints  feature expressions that speak of the whole allocation
timeline     free resources over time
tracks       the arithmetic of the timeline: levels as numbers, moments, what fits when
native/      the same in C
backfill     planned starts: the earliest slot beside all that runs or is planned
gangs        heterogeneous jobs: all components start together or none does
savepoint    what a pass has started and may take back
shorten      --time-min: the longest limit with which a job starts now
promises     planned starts that outlive their pass (conservative backfill)
limits       a room: partitions, licenses, associations, QOS and their limits
explain      reasons as sentences with their numbers
feasible     could a request ever run?  Asked at submission
reservations what reservations mean to one job: where and when it may run, what is closed to it
reservation_access  who may use a reservation
reservation_nodes   which nodes and cores a reservation gets, and what stands against them
reservation_texts   what of reservations keeps a job waiting, as sentences
recurrence   when a reservation is, again and again
estimate     when would a job start?  Asked by --test-only
"""
