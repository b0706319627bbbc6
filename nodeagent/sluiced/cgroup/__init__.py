"""Control groups: killing whole steps, limiting memory and CPUs, by plain file operations.

interface  what a step asks, and the answer where nothing can be enforced
detect     what this machine and this privilege allow
v1         the driver for cgroup v1
"""
