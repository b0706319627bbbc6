"""The subcommands of `sluice`, one a file; each module's `command` is the click command of its name.

options       options that several subcommands have
up, down, status
              the cluster on this machine
output, explain
              what became of a job, and why it waits
adopt         a process into its user's job on this node
config        check, diff and show of configuration files
replay        a workload trace on virtual time, by a program of the controller
verify, migrate
              the database, by programs of the controller
version       versions of this command and of the controller
"""
