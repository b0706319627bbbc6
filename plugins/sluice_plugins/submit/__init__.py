"""Built-in submit plugins, under the names that Slurm's administrators know.

require_timelimit   refuses jobs that do not say how long they run
all_partitions      jobs that name no partition may run in any
"""
