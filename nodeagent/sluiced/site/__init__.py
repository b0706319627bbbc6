"""The site's own programs on a node, and what is looked at beside its jobs.

hooks       prolog and epilog
health      the health check
gpu_watch   the GPUs, looked at again and again
gpu_meter   what each step has of them
unkillable  processes that do not go: watched until they do, and the program that is told of them
reboot      the program that restarts the machine
"""
