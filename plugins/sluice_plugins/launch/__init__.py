"""srun --launch: frameworks' launchers on top of a step's job service.

env        every rank as a task, with the variables that frameworks read
torchrun   torchrun on every node, its rendezvous set up
"""
