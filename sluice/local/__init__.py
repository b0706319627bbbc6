"""A whole cluster on this machine: a controller and agents as background daemons, for trying, teaching and testing.

The daemons are started as programs, never imported.  Everything of one cluster lies in one folder.

place       the folder: its paths, its lock, what it was set up as
shape       what a cluster should be like, and the configuration file for it
ports       loopback ports that are free
wanted_ports  those that the daemons are to listen on: whether they are free, and which key asks for them
process     which process a pid means, and ending it
daemons     the daemons that a configuration asks for: started, recorded, found again
leftovers   what else belongs to a cluster: step daemons, the processes of jobs, control groups
readiness   waiting until every node is at work
cluster     up, down and status
"""
