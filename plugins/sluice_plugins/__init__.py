"""Plugins: what a site or a third party may change about Sluice, and the built-in ones.

Daemons import interfaces and registry only; a plugin is found by its entry point, the built-in ones included.

interfaces     what a plugin of each kind must offer
registry       from the names in the configuration to plugins
testing        the contract that every plugin of a kind must keep, as functions for a plugin's own tests
testing_steps  the same for the kinds that the step daemon asks
submit/        JobSubmitPlugins: changes or refuses a submission before the controller checks it
priority/      PriorityType plugins, and the factors that multifactor weighs
topology/      TopologyPlugin: which nodes are near each other
preempt/       PreemptType: which jobs may preempt which
mpi/           srun --mpi: how the tasks of a step find each other
launch/        srun --launch: launchers and frameworks on top of a step
"""
