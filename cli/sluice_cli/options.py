"""The job options of sbatch, salloc and srun: one table, a row an option.

A row says: long names, letter, argument, which commands (b sbatch, a salloc, r srun), setter and field, the stem of
its variable (SBATCH_x, SALLOC_x), srun's variables, help.  Adding an option is adding a row.

Rows that begin alike stand in the order in which getopt_long names them when an abbreviation is ambiguous.
Source: CONTRACT.md sections 2.1 to 2.4, 3.1 and 4.
"""

# ruff: noqa: E501

from __future__ import annotations

from sluice_cli import option_values as v
from sluice_cli import size_values as z
from sluice_cli import time_values as t
from sluice_cli.getopt import NO_ARGUMENT as NONE
from sluice_cli.getopt import OPTIONAL, REQUIRED, OptionTable
from sluice_cli.option_row import JobOption as Row

# One row is one line, however long: the table is read by its columns.
# fmt: off

#: Identity, placement in queues, timing.
_QUEUE_ROWS = (
    Row("account", "A", REQUIRED, "bar", v.text, "account", "ACCOUNT", "SLURM_ACCOUNT", "name", "charge job to account"),
    Row("array", "a", REQUIRED, "b", t.array, "array", "ARRAY_INX", "", "indexes", "job array index values"),
    Row("bb", "", REQUIRED, "bar", v.other, "", "", "SLURM_BB", "spec", "burst buffer specifications"),
    Row("bbf", "", REQUIRED, "bar", v.burst_buffer_file, "", "", "", "file", "burst buffer specification file"),
    Row("begin", "b", REQUIRED, "br", t.point, "begin_at", "", "", "time", "defer job until HH:MM MM/DD/YY"),
    Row("begin", "", REQUIRED, "a", t.point, "begin_at", "", "", "time", "defer job until HH:MM MM/DD/YY"),
    Row("comment", "", REQUIRED, "bar", v.text, "comment", "", "", "text", "arbitrary comment"),
    Row("container", "", REQUIRED, "bar", v.other, "", "CONTAINER", "SLURM_CONTAINER", "path", "path of OCI bundle"),
    Row("container-id", "", REQUIRED, "bar", v.other, "", "CONTAINER_ID", "SLURM_CONTAINER_ID", "id", "OCI container id"),
    Row("runtime", "", REQUIRED, "bar", v.other, "", "RUNTIME", "SLURM_RUNTIME", "name", "OCI runtime"),
    Row("cluster clusters", "M", REQUIRED, "bar", v.own, "clusters", "CLUSTERS", "SLURM_CLUSTERS", "names", "clusters to use"),
    Row("cluster-constraint", "", REQUIRED, "bar", v.other, "", "", "", "list", "features of clusters"),
    Row("dependency", "d", REQUIRED, "bar", t.dependency, "", "", "SLURM_DEPENDENCY", "type:jobid[+time]", "defer job until condition on jobid is satisfied"),
    Row("deadline", "", REQUIRED, "bar", t.point, "deadline_at", "", "", "time", "remove the job if it can not end before this"),
    Row("delay-boot", "", REQUIRED, "bar", t.delay_boot, "", "DELAY_BOOT", "SLURM_DELAY_BOOT", "mins", "delay boot for desired node features"),
    Row("extra", "", REQUIRED, "bar", v.other, "", "", "", "text", "extra free text"),
    Row("external", "", NONE, "b", v.other, help="job runs outside of the cluster's nodes"),
    Row("gid", "", REQUIRED, "bar", v.account_id, "", "", "", "group", "group to run as (root only)"),
    Row("hold", "H", NONE, "bar", v.flag, "is_held", help="submit job in held state"),
    Row("immediate", "I", OPTIONAL, "ar", t.immediate, "", "IMMEDIATE", "SLURM_IMMEDIATE", "secs", "exit if resources are not available in time"),
    Row("jobid", "", REQUIRED, "r", v.own, "jobid", "", "SLURM_JOB_ID", "id", "run under already allocated job"),
    Row("job-name", "J", REQUIRED, "bar", v.job_name, "name", "JOB_NAME", "SLURM_JOB_NAME", "name", "name of job"),
    Row("kill-on-invalid-dep", "", REQUIRED, "b", v.yes_or_no, "kill_on_invalid_dependency", "", "", "yes|no", "end job if its dependency can never hold"),
    Row("licenses", "L", REQUIRED, "bar", v.text, "licenses", "", "", "names", "required licenses, comma separated"),
    Row("mail-type", "", REQUIRED, "bar", v.mail_type, "", "", "", "type", "notify on state change: BEGIN, END, FAIL or ALL"),
    Row("mail-user", "", REQUIRED, "bar", v.text, "mail_user", "", "", "user", "who to send email notification to"),
    Row("mcs-label", "", REQUIRED, "bar", v.other, "", "", "", "label", "multi category security label"),
    Row("network", "", REQUIRED, "bar", v.other, "", "NETWORK", "SLURM_NETWORK", "type", "network requirements"),
    Row("nice", "", OPTIONAL, "bar", v.nice, "", "", "", "value", "decrease scheduling priority by value"),
    Row("partition", "p", REQUIRED, "bar", v.words, "partitions", "PARTITION", "SLURM_PARTITION", "names", "partition requested"),
    Row("power", "", REQUIRED, "bar", v.other, "", "POWER", "SLURM_POWER", "flags", "power management options"),
    Row("priority", "", REQUIRED, "bar", v.priority, "", "", "", "value", "set the priority of the job to value"),
    Row("qos", "q", REQUIRED, "bar", v.text, "qos", "QOS", "SLURM_QOS", "qos", "quality of service"),
    Row("reboot", "", NONE, "bar", v.other, help="reboot compute nodes before starting job"),
    Row("requeue", "", NONE, "b", v.flag, "can_requeue", "REQUEUE", help="if set, permit the job to be requeued"),
    Row("reservation", "", REQUIRED, "bar", v.text, "reservation", "RESERVATION", "SLURM_RESERVATION", "names", "allocate resources from named reservation"),
    Row("resources", "", REQUIRED, "bar", v.other, "", "", "", "spec", "cluster-wide resources"),
    Row("segment", "", REQUIRED, "bar", v.count, "segment", "SEGMENT_SIZE", "SLURM_SEGMENT_SIZE", "n", "segment size for block topologies"),
    Row("spread-segments", "", NONE, "bar", v.other, help="segments on different blocks"),
    Row("consolidate-segments", "", NONE, "bar", v.other, help="segments on as few blocks as can be"),
    Row("signal", "", REQUIRED, "bar", t.warn_signal, "", "SIGNAL", "SLURM_SIGNAL", "[R|B]:num[@time]", "send signal when time limit within time seconds"),
    Row("stepmgr", "", NONE, "bar", v.other, help="steps are managed on the allocation's nodes"),
    Row("switches", "", REQUIRED, "bar", v.switches, "", "REQ_SWITCH", "SLURM_REQ_SWITCH", "max[@time]", "optimum switches and how long to wait for them"),
    Row("test-only", "", NONE, "br", v.own_flag, "", "TEST_ONLY", "SLURM_TEST_ONLY", "", "validate and estimate the start; nothing is submitted"),
    Row("explain", "", NONE, "b", v.own_flag, help="as --test-only, with what stands before the start and what would let it be now"),
    Row("time", "t", REQUIRED, "bar", t.time_limit, "", "TIMELIMIT", "SLURM_TIMELIMIT", "minutes", "time limit"),
    Row("time-min", "", REQUIRED, "bar", t.least_time, "", "", "", "minutes", "minimum time limit (if distinct)"),
    Row("uid", "", REQUIRED, "bar", v.account_id, "", "", "", "user", "user to run as (root only)"),
    Row("wckey", "", REQUIRED, "bar", v.text, "wckey", "WCKEY", "SLURM_WCKEY", "wckey", "wckey to run job under"),
)

#: How large, and on which nodes.
_SIZE_ROWS = (
    Row("acctg-freq", "", REQUIRED, "bar", v.accounting_frequency, "", "ACCTG_FREQ", "SLURM_ACCTG_FREQ", "type=interval", "accounting and profiling sampling intervals"),
    Row("batch", "", REQUIRED, "b", v.other, "", "BATCH", "", "list", "features of the node that runs the batch script"),
    Row("constraint", "C", REQUIRED, "bar", v.features, "", "CONSTRAINT", "SLURM_CONSTRAINT", "list", "a list of features"),
    Row("contiguous", "", NONE, "bar", v.flag, "is_contiguous", help="demand a contiguous range of nodes"),
    Row("core-spec", "S", REQUIRED, "bar", v.natural_count, "core_spec", "CORE_SPEC", "SLURM_CORE_SPEC", "cores", "count of reserved cores"),
    Row("cores-per-socket", "", REQUIRED, "bar", v.count, "cores_per_socket", "", "", "cores", "cores per socket of the nodes"),
    Row("cpu-freq", "", REQUIRED, "bar", v.cpu_frequency, "", "", "SLURM_CPU_FREQ_REQ", "min[-max[:gov]]", "requested cpu frequency"),
    Row("cpus-per-task", "c", REQUIRED, "bar", v.count, "cpus_per_task", "", "SLURM_CPUS_PER_TASK SRUN_CPUS_PER_TASK", "ncpus", "cpus required per task"),
    Row("distribution", "m", REQUIRED, "bar", v.distribution, "", "DISTRIBUTION", "SLURM_DISTRIBUTION", "type", "distribution of tasks to nodes and cpus"),
    Row("exclude", "x", REQUIRED, "bar", z.node_names, "excluded_nodes", "", "", "hosts", "exclude a specific list of hosts"),
    Row("exclusive", "", OPTIONAL, "bar", v.exclusive, "", "EXCLUSIVE", "SLURM_EXCLUSIVE", "user|mcs|topo", "nodes shared with no other job"),
    Row("extra-node-info", "B", REQUIRED, "bar", z.geometry, "", "", "", "S[:C[:T]]", "sockets, cores and threads of the nodes"),
    Row("hint", "", REQUIRED, "bar", v.hint, "", "HINT", "SLURM_HINT", "type", "bind tasks according to application hints"),
    Row("mem", "", REQUIRED, "bar", z.memory, "memory_per_node_mib", "MEM_PER_NODE", "SLURM_MEM_PER_NODE", "MB", "minimum amount of real memory per node"),
    Row("mem-bind", "", REQUIRED, "bar", v.memory_bind, "", "MEM_BIND", "SLURM_MEM_BIND", "type", "bind memory to locality domains"),
    Row("mem-per-cpu", "", REQUIRED, "bar", z.memory, "memory_per_cpu_mib", "MEM_PER_CPU", "SLURM_MEM_PER_CPU", "MB", "memory per allocated cpu"),
    Row("mem-per-gpu", "", REQUIRED, "bar", z.memory, "memory_per_gpu_mib", "MEM_PER_GPU", "SLURM_MEM_PER_GPU", "MB", "memory per allocated GPU"),
    Row("mem-update", "", REQUIRED, "bar", v.other, "", "", "", "spec", "change of the memory limit later"),
    Row("mincpus", "", REQUIRED, "bar", v.count, "min_cpus_per_node", "", "", "n", "minimum number of cpus per node"),
    Row("no-kill", "k", OPTIONAL, "bar", v.no_kill, "", "NO_KILL", "SLURM_NO_KILL", "off", "do not kill job on node failure"),
    Row("no-requeue", "", NONE, "b", v.off, "can_requeue", "NO_REQUEUE", help="if set, do not permit the job to be requeued"),
    Row("nodefile", "F", REQUIRED, "bar", z.node_file, "", "", "", "filename", "file with the hosts to request"),
    Row("nodelist", "w", REQUIRED, "bar", z.required_names, "required_nodes", "", "", "hosts", "request a specific list of hosts"),
    Row("nodes", "N", REQUIRED, "bar", z.nodes, "", "", "SLURM_NNODES SLURM_JOB_NUM_NODES", "nnodes", "number of nodes on which to run"),
    Row("ntasks", "n", REQUIRED, "bar", v.count, "ntasks", "", "SLURM_NPROCS SLURM_NTASKS", "ntasks", "number of tasks to run"),
    Row("ntasks-per-core", "", REQUIRED, "bar", v.count, "ntasks_per_core", "", "SLURM_NTASKS_PER_CORE", "n", "number of tasks to invoke on each core"),
    Row("ntasks-per-gpu", "", REQUIRED, "bar", v.other_count, "", "", "SLURM_NTASKS_PER_GPU", "n", "number of tasks to invoke for each GPU"),
    Row("ntasks-per-node tasks-per-node", "", REQUIRED, "bar", v.count, "ntasks_per_node", "", "SLURM_NTASKS_PER_NODE", "n", "number of tasks to invoke on each node"),
    Row("ntasks-per-socket", "", REQUIRED, "bar", v.count, "ntasks_per_socket", "", "", "n", "number of tasks to invoke on each socket"),
    Row("ntasks-per-tres", "", REQUIRED, "bar", v.other_count, "", "", "SLURM_NTASKS_PER_TRES", "n", "number of tasks to invoke for each GPU"),
    Row("oom-kill-step", "", OPTIONAL, "bar", v.other, "", "", "SLURM_OOM_KILL_STEP", "0|1", "end the whole step when a task runs out of memory"),
    Row("overcommit", "O", NONE, "bar", v.flag, "is_overcommitted", "OVERCOMMIT", "SLURM_OVERCOMMIT", "", "overcommit resources"),
    Row("oversubscribe share", "s", NONE, "bar", v.flag, "can_oversubscribe", help="over subscribe resources with other jobs"),
    Row("prefer", "", REQUIRED, "bar", v.other, "", "", "", "list", "features that are preferred"),
    Row("profile", "", REQUIRED, "bar", v.profile, "", "PROFILE", "SLURM_PROFILE", "value", "detailed accounting to collect"),
    Row("sockets-per-node", "", REQUIRED, "bar", v.count, "sockets_per_node", "", "", "S", "sockets of the nodes"),
    Row("spread-job", "", NONE, "bar", v.other, "", "SPREAD_JOB", "SLURM_SPREAD_JOB", "", "spread job across as many nodes as possible"),
    Row("thread-spec", "", REQUIRED, "bar", v.other_count, "", "THREAD_SPEC", "SLURM_THREAD_SPEC", "threads", "count of reserved threads"),
    Row("threads-per-core", "", REQUIRED, "bar", v.count, "threads_per_core", "THREADS_PER_CORE", "SLURM_THREADS_PER_CORE", "n", "threads per core to use"),
    Row("tmp", "", REQUIRED, "bar", z.disk, "", "", "", "MB", "minimum amount of temporary disk"),
    Row("use-min-nodes", "", NONE, "bar", v.other, "", "USE_MIN_NODES", "SLURM_USE_MIN_NODES", "", "prefer the smaller count of a range of nodes"),
    Row("wait-all-nodes", "", REQUIRED, "ba", v.zero_or_one, "wait_all_nodes", "WAIT_ALL_NODES", "", "0|1", "wait for all nodes to be ready"),
)

#: Generic resources.
_GRES_ROWS = (
    Row("cpus-per-gpu", "", REQUIRED, "bar", v.count, "cpus_per_gpu", "CPUS_PER_GPU", "SLURM_CPUS_PER_GPU", "n", "number of CPUs required per allocated GPU"),
    Row("gpus", "G", REQUIRED, "bar", z.gpus, "", "GPUS", "SLURM_GPUS", "n", "count of GPUs required for the job"),
    Row("gpu-bind", "", REQUIRED, "bar", v.gpu_bind, "", "GPU_BIND", "SLURM_GPU_BIND", "type", "task to gpu binding options"),
    Row("gpu-freq", "", REQUIRED, "bar", v.gpu_frequency, "", "GPU_FREQ", "SLURM_GPU_FREQ", "freq", "frequency and voltage of GPUs"),
    Row("gpus-per-node", "", REQUIRED, "bar", z.gpus, "", "GPUS_PER_NODE", "SLURM_GPUS_PER_NODE", "n", "number of GPUs required per allocated node"),
    Row("gpus-per-socket", "", REQUIRED, "bar", z.gpus, "", "GPUS_PER_SOCKET", "SLURM_GPUS_PER_SOCKET", "n", "number of GPUs required per allocated socket"),
    Row("gpus-per-task", "", REQUIRED, "bar", z.gpus, "", "GPUS_PER_TASK", "SLURM_GPUS_PER_TASK", "n", "number of GPUs required per spawned task"),
    Row("gres", "", REQUIRED, "bar", z.gres, "", "GRES", "SLURM_GRES SLURM_STEP_GRES", "list", "required generic resources per node"),
    Row("gres-flags", "", REQUIRED, "bar", v.gres_flags, "", "GRES_FLAGS", "SLURM_GRES_FLAGS", "opts", "flags related to GRES management"),
    Row("tres-bind", "", REQUIRED, "bar", v.other, "", "TRES_BIND", "SLURM_TRES_BIND", "spec", "task to tres binding options"),
    Row("tres-per-task", "", REQUIRED, "bar", z.tres_per_task, "", "TRES_PER_TASK", "SLURM_TRES_PER_TASK", "list", "trackable resources required per task"),
)

#: Input, output, environment, script.
_INPUT_OUTPUT_ROWS = (
    Row("chdir", "D", REQUIRED, "bar", v.own, "chdir", "", "SLURM_REMOTE_CWD SLURM_WORKING_DIR", "path", "set working directory"),
    Row("error", "e", REQUIRED, "br", v.text, "std_err", "ERROR", "SLURM_STDERRMODE SRUN_ERROR", "err", "file for standard error"),
    Row("export", "", REQUIRED, "br", v.text, "export", "EXPORT", "SLURM_EXPORT_ENV SRUN_EXPORT_ENV", "names", "environment variables to export"),
    Row("export-file", "", REQUIRED, "b", v.own, "", "", "", "file|fd", "file with the environment to export"),
    Row("get-user-env", "", OPTIONAL, "ba", v.get_user_env, "", "GET_USER_ENV", "", "mode", "load the user's login environment"),
    Row("ignore-pbs", "", NONE, "b", v.own_flag, "", "IGNORE_PBS", "", "", "ignore #PBS and #BSUB options in the batch script"),
    Row("input", "i", REQUIRED, "br", v.text, "std_in", "INPUT", "SLURM_STDINMODE SRUN_INPUT", "in", "file for standard input"),
    Row("open-mode", "", REQUIRED, "br", v.open_mode, "", "OPEN_MODE", "SLURM_OPEN_MODE", "append|truncate", "how output files are opened"),
    Row("output", "o", REQUIRED, "br", v.text, "std_out", "OUTPUT", "SLURM_STDOUTMODE SRUN_OUTPUT", "out", "file for standard output"),
    Row("parsable", "", NONE, "br", v.own_flag, help="output only the job id and cluster name (if given)"),
    Row("propagate", "", OPTIONAL, "br", v.propagate, "", "", "SLURM_PROPAGATE", "rlimits", "propagate all or specific resource limits"),
    Row("quiet", "Q", NONE, "bar", v.own_flag, help="quiet mode (suppress informational messages)"),
    Row("verbose", "v", NONE, "bar", v.ignore, "", "", "", "", "verbose mode (multiple -v's increase verbosity)"),
    Row("wait", "W", NONE, "b", v.own_flag, "", "WAIT", "", "", "wait for completion of submitted job"),
    Row("wrap", "", REQUIRED, "b", v.own, "", "", "", "command", "wrap command string in a sh script and submit"),
    Row("help", "h", NONE, "bar", v.ignore, help="show this help message"),
    Row("usage", "", NONE, "bar", v.ignore, help="display brief usage message"),
    Row("version", "V", NONE, "bar", v.ignore, help="output version information and exit"),
    Row("autocomplete", "", REQUIRED, "bar", v.ignore, metavar="prefix"),
)

#: salloc alone.
_SALLOC_ROWS = (
    Row("bell", "", NONE, "a", v.own_flag, "", "BELL", "", "", "ring the terminal bell when the job is allocated"),
    Row("kill-command", "K", OPTIONAL, "a", t.kill_command, "", "KILL_CMD", "", "signal", "signal to end the command when the job is ended"),
    Row("no-bell", "", NONE, "a", v.ignore, "", "NO_BELL", "", "", "do not ring the terminal bell"),
    Row("no-shell", "", NONE, "a", v.own_flag, help="leave the allocation without a shell"),
)

#: srun alone.
_SRUN_ROWS = (
    Row("accel-bind", "", REQUIRED, "r", v.other, "", "", "SLURM_ACCEL_BIND", "flags", "bind accelerators to tasks"),
    Row("async", "", NONE, "r", v.own_flag, help="launch the step and leave it"),
    Row("bcast", "", OPTIONAL, "r", v.other, "", "", "SLURM_BCAST", "dest", "copy executable to the compute nodes first"),
    Row("bcast-exclude", "", REQUIRED, "r", v.other, "", "", "SLURM_BCAST_EXCLUDE", "paths", "libraries not to copy"),
    Row("compress", "", OPTIONAL, "r", v.other, "", "", "SLURM_COMPRESS", "library", "compress copied files"),
    Row("cpu-bind", "", REQUIRED, "r", v.cpu_bind, "", "", "SLURM_CPU_BIND", "type", "bind tasks to CPUs"),
    Row("disable-status", "X", NONE, "r", v.own_flag, "", "", "SLURM_DISABLE_STATUS", "", "disable srun status when it gets SIGINT"),
    Row("epilog", "", REQUIRED, "r", v.own, "", "", "SLURM_EPILOG", "program", "run program after the job step"),
    Row("exact", "", NONE, "r", v.own_flag, "", "", "SLURM_EXACT", "", "the step takes just what it asks"),
    Row("external-launcher", "", NONE, "r", v.own_flag, "external-launcher"),
    Row("het-group pack-group", "", REQUIRED, "r", v.own, "", "", "", "value", "components of a heterogeneous job"),
    Row("interactive", "", NONE, "r", v.own_flag, "", "", "SLURM_INTERACTIVE"),
    Row("kill-on-bad-exit", "K", OPTIONAL, "r", v.kill_on_bad_exit, "", "", "SLURM_KILL_BAD_EXIT", "0|1", "end the job step if any task fails"),
    Row("launch", "", REQUIRED, "r", v.own, "", "", "SLUICE_LAUNCH", "name", "launcher of a framework: env, torchrun, ..."),
    Row("label", "l", NONE, "r", v.own_flag, "", "", "SLURM_LABELIO", "", "prepend task number to lines of output"),
    Row("mpi", "", REQUIRED, "r", v.own, "", "", "SLURM_MPI_TYPE", "type", "type of MPI being used"),
    Row("msg-timeout", "", REQUIRED, "r", v.other, "", "", "SLURM_MSG_TIMEOUT", "seconds"),
    Row("multi-prog", "", NONE, "r", v.own_flag, "", "", "", "", "the argument is a file of programs by rank"),
    Row("no-allocate", "Z", NONE, "r", v.own_flag, "", "", "", "", "don't allocate nodes (administrators only)"),
    Row("overlap", "", NONE, "r", v.own_flag, "", "", "SLURM_OVERLAP", "", "share resources with other steps"),
    Row("preserve-env", "E", NONE, "r", v.own_flag, "", "", "SLURM_PRESERVE_ENV", "", "env vars for node and task counts override options"),
    Row("prolog", "", REQUIRED, "r", v.own, "", "", "SLURM_PROLOG", "program", "run program before the job step"),
    Row("pty", "", OPTIONAL, "r", v.own_flag, "", "", "", "fd", "run task zero in pseudo terminal"),
    Row("quit-on-interrupt", "", NONE, "r", v.own_flag, "", "", "", "", "quit on single Ctrl-C"),
    Row("relative", "r", REQUIRED, "r", v.own_number, "", "", "", "n", "run job step relative to node n of allocation"),
    Row("resv-ports", "", OPTIONAL, "r", v.ports, "", "", "SLURM_RESV_PORTS", "n", "reserve communication ports"),
    Row("send-libs", "", OPTIONAL, "r", v.other, "", "", "SLURM_SEND_LIBS", "yes|no", "copy libraries with the executable"),
    Row("slurmd-debug", "", REQUIRED, "r", v.other, "", "", "SLURM_SLURMD_DEBUG", "level", "debug level of the node agents"),
    Row("task-epilog", "", REQUIRED, "r", v.own, "", "", "SLURM_TASK_EPILOG", "program", "run program after launching task"),
    Row("task-prolog", "", REQUIRED, "r", v.own, "", "", "SLURM_TASK_PROLOG", "program", "run program before launching task"),
    Row("threads", "T", REQUIRED, "r", v.other_count, "", "", "SLURM_THREADS", "threads", "count of launching threads"),
    Row("treewidth", "", REQUIRED, "r", v.other, "", "", "SLURM_TREE_WIDTH", "n"),
    Row("unbuffered", "u", NONE, "r", v.own_flag, "", "", "SLURM_UNBUFFEREDIO", "", "do not line-buffer stdout and stderr"),
    Row("wait", "W", REQUIRED, "r", v.own_number, "", "", "SLURM_WAIT", "sec", "seconds to wait after first task exits"),
    Row("wait-for-children", "", NONE, "r", v.own_flag, "", "", "SLURM_WAIT_FOR_CHILDREN", "", "the step lasts until all that its tasks started has ended"),
    Row("x11", "", OPTIONAL, "ar", v.other, "", "", "", "all|first|last", "forward X11"),
)

# fmt: on

LETTERS = {"sbatch": "b", "salloc": "a", "srun": "r"}
PREFIXES = {"sbatch": "SBATCH_", "salloc": "SALLOC_"}
ROWS = (*_QUEUE_ROWS, *_SIZE_ROWS, *_GRES_ROWS, *_INPUT_OUTPUT_ROWS, *_SALLOC_ROWS, *_SRUN_ROWS)


def rows_for(command: str) -> tuple[Row, ...]:
    """Return the rows of one command, in the order of the table."""
    return tuple(row for row in ROWS if LETTERS[command] in row.commands)


def table_for(command: str) -> OptionTable:
    """Return the table of one command; its options end at the script or the program."""
    return OptionTable(*rows_for(command), stops_at_positional=True)


def variables_of(row: Row, command: str) -> list[str]:
    """Return the variables that set *row* for *command*, in rising order of precedence."""
    if command == "srun":
        return row.variables
    if row.key == "cluster":
        return ["SLURM_CLUSTERS", PREFIXES[command] + row.stem]
    return [PREFIXES[command] + row.stem] if row.stem else []
