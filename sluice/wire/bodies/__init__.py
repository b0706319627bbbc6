"""What frames carry, as records; import them from sluice.wire.messages, which has them all.

base       what all messages have in common
jobs       from commands: jobs, nodes and partitions changed
questions  from commands: questions, and what administrators order
steps      from srun to the controller
reports    from agents to the controller
orders     from the controller to agents
managers   between the controller and agents that manage steps
tasks      from srun to agents and step daemons, and back
table      what the controller accepts, with the type of its reply; a test keeps the two in step
"""
