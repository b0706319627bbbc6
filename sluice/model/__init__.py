"""The records that daemons keep, store and send: frozen, typed, one meaning each.

A change is a new record in the one table that owns it.  On the wire and in SQL they are maps without their defaults.

base         the common struct options, ids
states       job, step and node states with their short forms
reason       why a job does not start, or ended as it did
allocation   what was granted, node by node
request      what a job asks for (JobSpec) and what a step asks for (StepSpec)
job          a request and its life
step         one parallel launch inside an allocation
confinement  how jobs are confined on nodes
node         a machine: configured, registered, and its state
partition    a named set of nodes with limits
priority     what priority factors read, and what came of it for a job
limits       what associations and QOS limit
limit_words  the words for limits that keep a job waiting
association  the place of an account or a user in the tree of shares and limits
qos          a named bundle of limits, priority and rights
usage        what the holders of limits use
reservation  nodes, cores or licenses kept for some users over an interval
"""
