"""Steps: the processes, from the agent's wish to their result.  No asyncio but in launcher.

launch             the launch record and the orders of a running step
launcher           the agent's side of the fork server
daemons            the agent's side of step daemons that can be given another step
forkserver         forks step daemons, pre-imported and single-threaded
fork               forking without the care for threads that are not there
serving            a step daemon from one step to the next
stepd              claims a step, runs it, writes its result
extern             the step that holds what comes to the job by other ways
setup              names, files, pipes and environments of the tasks
spawn              a plain task without a fork of the step daemon
task               what a forked task does until exec
task_hooks         programs around each task
multi_prog         which program each rank runs
runner             the poll loop: ends, streams, orders, timers
tasks              the tasks of a step: forked, counted, followed by their epilogs
signals            which process hears which signal; freezing and killing all of them
control            orders that come in
children           hearing of the end of child processes
ending             when TERM and KILL are due
time_limit         when a step's own time is over
descendants        every process of the step, wherever it went
limits             which resource limits and which nice value a task gets
user               becoming the job's user
usage              what the tasks used
talk               the lines that the user reads
notice             why a signal comes, as a file
notice_board       the same as a stream, for any number of readers
wiring             whether the tasks have to find each other
wired              the plugins of --mpi and --launch, and the servers they ask for
wireup             what the poll loop knows of it
service            what a step offers to launchers
leased_ports       the ports of a step
private_dirs       directories of a step's own, where nodes share a host
temp_dir           a short folder of a step's own
login_environment  what --export=NONE starts from
launch_failure     a step that could not begin
"""
