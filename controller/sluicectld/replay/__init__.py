"""Replay: a workload trace, or the cluster's own past, once more on virtual time.  The scheduler is the production one.

trace        jobs from a file in Standard Workload Format
machine      the nodes that a trace is replayed on, and what is free on them
policies     backfill policies by the names that papers give them
drive        the heap of timed events: snapshots in, plans out
schedule     what a replay gives: who started when, and where
figures      slowdown, waits and utilisation, of all jobs, by user and by width
report       figures as text and as JSON; the jobs as a table; starts as lines
picture      drawing in SVG: scales, axes, rectangles
gantt        a picture of who held which processors
utilisation  a picture of busy processors and of the queue
history      the cluster's journal: every pass that started something, made again
past         the cluster's jobs as a workload, and what they wait under another configuration
waits_report who would have waited more or less
run_trace, run_history, progress
             the two ways of the program, and how far it is
"""
