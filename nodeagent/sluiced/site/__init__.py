"""The site's own programs on a node.

hooks       prolog and epilog
health      the health check
gpu_watch   the GPUs, looked at again and again
unkillable  processes that do not go: watched until they do, and the program that is told of them
reboot      the program that restarts the machine
"""
