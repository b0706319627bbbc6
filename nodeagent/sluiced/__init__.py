"""The node agent: runs the controller's jobs on one node, exactly once each, and tells what came of them.

jobs/engine.py decides, agent.py does; step daemons own the processes and outlive both.

entry             the installed program
__main__, daemon  the process: options, log, signals, event loop
options           the command line and the few settings read here
agent             the shell: events to the engine
performer         its effects to the world
link, outbox      the controller: connection, registration, heartbeats, reports until acknowledged
server            srun's launches and credentials
visitors          connections of sattach, sbcast and other nodes' step daemons on their way to who serves them
vouching          asking the controller about jobs whose end may have been forgotten here
adoption          processes that came by other ways, brought into their users' jobs
processes         step daemons started, adopted, watched
unresponsive      step daemons that read no orders when their steps are to end
killed            what was killed from here, until it is gone
control_socket    orders to step daemons
starter           from the engine's wish to a step daemon that is forked
recovery          what the spool tells an agent that starts
spool             the memory on disk
node_groups       the control groups of the node as a whole
old_cluster       ending what another cluster of the same name has left
description       what the node tells of itself, anew when the configuration changes
inventory         what the machine has
process_id        pids that are not mistaken
frame_socket      frames without an event loop, for the processes of a step
short_path        paths that fit into a socket address
emulated          many nodes whose jobs are timers
manager/          managing the steps of jobs whose first node this is
jobs/             the state machine of jobs and steps on the node
site/             the site's programs: prolog, epilog, health check and others
steps/            step daemons and their fork server
native/           the part that is C
files/            files for the nodes of a job
stdio/            files and streams of a step
pmi/              how the tasks of a step find each other
cgroup/           control groups
binding/          the CPUs and the memory of tasks
x11/              X clients of a job, on their way to a display elsewhere
gpu/              devices: what there is, and who may see it
"""
