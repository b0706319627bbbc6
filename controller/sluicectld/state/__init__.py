"""The cluster as one object that only events change; pure, no asyncio, clock, I/O or SQL.

events         the facts, each a row of the journal
cluster        the object: its tables and indexes, the snapshot for a pass
apply          what each event does to the cluster
resources      what is free on each node, kept as jobs take and return resources
dependencies   does a condition on another job hold, can it still hold
arrays         splitting tasks off an array
tally          what the records of one array add up to
timers         when the engine has to look again
invariants     validate(): do tables and indexes tell the same story
commands       what the controller asks of its own engine
effects        what the shell does once the events are on disk
"""
