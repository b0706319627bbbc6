"""Which CPUs and which memory the tasks of a step run on; decisions are pure, the task itself carries them out.

topology  where the CPUs are, from the kernel's own files, and how the configuration counts them
deal      CPUs to tasks, over sockets and cores
masks     --cpu-bind, --hint and the rest: each task's mask
memory    --mem-bind: each task's NUMA domains, and setting them
plan      from a launch to each task's binding and variables
table     what `srun -v` tells of it
apply     what a task does to itself, and the lines that tell of it
"""
