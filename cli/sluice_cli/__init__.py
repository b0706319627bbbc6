"""The commands: thin, light, one file a command; options -> request -> call -> words on stdout and stderr.

entry           where each program begins
getopt          command lines as getopt_long reads them, from a table
talk            data to stdout, talk to stderr; help_text makes --help and --usage
client          the controller, asked once or patiently; its refusals in Slurm's words
waiting, inbox  waiting for an answer or a signal, whichever comes first

options         the job options of sbatch, salloc and srun: one table of option_row rows
option_values, size_values, time_values
                what a value means and where it lands in a draft; expected says what would have been taken
draft, layers, combine, job_request
                a request in the making: sources by precedence, contradictions, the JobSpec's map
host_file       the nodes that a file names, a line after the other
node_counts     how many nodes -N, -n and -w come to together, and which of the named ones
script, foreign_directives, environment
                the batch script with its directives; what of the submitter's surroundings goes along

sbatch, scancel, salloc, srun, sattach, sbcast
                the commands; allocation and salloc_command serve salloc, srun_*, multi_prog and
                linked_mpi serve srun, sattach_control sattach; broadcast and shared_objects send files for
                sbcast and srun --bcast
other_user      --uid and --gid where something runs at this side
job_states      state words as users type them
"""
