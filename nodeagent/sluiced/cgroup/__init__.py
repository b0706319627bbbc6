"""Control groups: killing and freezing whole steps, limiting what they use, reading what they used, by plain files.

A tree of three levels: job, step, and tasks where they have device fences of their own.

interface     what a step asks, and the answer where nothing can be enforced
detect        what this machine and this privilege allow; a step's group
limits        from grant, cgroup.conf and machine to numbers
devices       which device nodes a step may open
v1            the driver for cgroup v1
v1_group      one step's groups, one in each controller
v1_limits     what is written into which file
v2            the driver for cgroup v2
place         where in the v2 hierarchy the tree grows: a delegated part, or the top
bpf_program   device rules as eBPF instructions
bpf           loading them by bpf(2)
oom           limit, peak and victim of an out-of-memory kill
files         the file operations of all of it
"""
