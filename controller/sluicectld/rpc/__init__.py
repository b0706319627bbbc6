"""Requests from the wire: who calls, which type, which rule; the answers once they are committed.

dispatch   the wire's handler: identity, typed decode, one row a request
call       one request at work
callers    users and administrators by uid; groups
jobs       submit, test, wait, kill, change, update
steps      create, finish, locate
managers   of agents that manage steps, and the way to them
queries    jobs, steps, nodes, partitions, configuration, statistics
topology   switches, blocks and tori of the network
views      records as the listings get them
accounting sacct, scripts, output tails
statistics counters by name
agents     register, report, heartbeat
admin      ping, reconfigure, shutdown
"""
