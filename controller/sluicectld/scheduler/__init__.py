"""The scheduler: a pure function from a snapshot and a policy to a plan.  No clock, no I/O, no randomness, no logging.

snapshot     what a pass sees: eligible jobs, free resources, running jobs; the policy
plan         what a pass wants: starts, planned starts, and why the others wait
decide       one pass: the queue in order, starts and planned starts
walk         the order in which a pass comes to the jobs, and the short cuts
shaping      the shape of a job as reservations and topologies have it
ledger       what a pass hands out, counted everywhere at once
verdicts     what a pass says of jobs that do not start
queue        which jobs are in which order
lineup       its entries, made from those of the queue before
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
matches      the shape that a job was found to have, kept from pass to pass
roll         what some pending job asks for that changes how a pass looks at all nodes
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
steps        a count over time: how much of something is taken from which moment on
pools        what is on no node, over time: licenses, and room below limits
claimant     a waiting job before the pools: when they let it run, and with which licenses
lack_texts   what of licenses and limits is kept for others, as sentences
predict      how long a job will probably run, from its user's last runs
patience     until when a job lets shorter ones pass; the order of the candidates for backfill
backfill     planned starts: the earliest slot beside all that runs or is planned
heads        the first job of each queue that did not fit, and who waits behind it
planner      who gets a planned start, and which, as far as the bounds reach
places       what one pass keeps for jobs that do not start
gangs        heterogeneous jobs: all components start together or none does
savepoint    what a pass has started and may take back
shorten      --time-min: the longest limit with which a job starts now
promises     planned starts that outlive their pass (conservative backfill)
handover     what one pass hands on to the next
preempt      preemption in one pass: who makes room for whom
preempt_places   places that are kept while others make room
preempt_rules    who may be preempted by whom, and which victims go first
preempt_victims  victims: a job, or all components of one
preempt_attempt  one attempt to make room for a job, or for all of its components
preempt_choice   the cheapest set of victims
preempt_search   where a job would start if others were gone
preempt_texts    preemption as sentences
departures   preempted jobs on their way out
resuming     suspended jobs that go on
limits       a room: partitions, licenses, associations, QOS and their limits
explain      reasons as sentences that are not about nodes, and the words that all of them share
demands      the demands of a request on its nodes, as one table
marks        what sets nodes apart that are at the same level
funnel       how many nodes are left after each demand: for a pass, a question, a refusal
ranking      in which order the causes of a wait are told
feasible     could a request ever run?  Asked at submission
nearest      the nearest request that fits instead of a refused one
reservations what reservations mean to one job: where and when it may run, what is closed to it
reservation_access  who may use a reservation
reservation_nodes   which nodes and cores a reservation gets, and what stands against them
reservation_texts   what of reservations keeps a job waiting, as sentences
recurrence   when a reservation is, again and again
forecast     how good planned starts have been

stage        a scene on which passes are tried for a question
estimate     when would a job start?  Asked by --test-only
inquiry      one job's wait, answered in full: every cause with its numbers
judge        how a job stands in each of its partitions and reservations
census       the nodes of a scene counted by what is free on them
holders      the running jobs that hold what is missing
sharers      words for other jobs: awaited, holding, planned
whatif       the cheapest changes with which a job would start in the next pass
cheapest     the search: single changes, then pairs, each at its least
changes      the table of changes, with their costs
change       how one demand of a request is changed, and how it is told
"""
