"""What the engine does with each command: rules that turn a command into events and effects, never I/O.

turn         one command at work: emit events, leave effects, ask permission
select       which jobs a user's ids and filters name
admission    defaults, checks and refusals of a submission
submit       SubmitJob
endings      how a job ends: final state, what still has to be cleaned
dependents   who waits for a job: woken, released, marked or cancelled
kill         scancel: KillJobs; FinishAllocation
preempt      victims warned, suspended or ended
abandoned    allocations whose salloc or srun is gone
suspend      jobs frozen, and let go on
each         one change for every job named, and what is said of those that refuse
change       hold, release, requeue, suspend, resume, top
mail         what --mail-type tells a job's user
notify       scontrol notify
new_limit    limits that change while the job runs, told to its programs
loans        nodes of a reservation that were lent, called back
update_job   scontrol update of a job
job_keys     what that can change, one row a key
reboot       restarting nodes
drain        nodes that the system sets aside and gives back
failures     nodes on which jobs of many users fail
lost_nodes   what becomes of the jobs on a node that is lost or set down
leftovers    what a node still ran of them when it came back
nodes        registration, loss, scontrol update of nodes
texts        what a process's strings cannot hold
numbers      bounds of the numbers that users and administrators choose
partitions   scontrol update, create, delete of partitions
reports      what agents report of steps and clean nodes
steps        CreateStep, FinishStep
het_steps    CreateHetStep
managed_steps  steps that an agent manages: handed over, and as it reports them
managers     what such an agent is told
step_states  the state of a step that has ended
step_ports   ports leased to a step, the same on each of its nodes
prepare      prologs between a job's start and its script
plan         applying a pass's plan, each decision checked again
warning      --signal, before the limit
timers       time limits, warnings, deadlines, lost nodes, new priorities, forgetting
configure    a new configuration; a new epoch
"""
