"""From a launch record to tasks that only need to be forked: names, files, pipes, environments.

Files are opened as the job's user.  Raises LaunchFailure with the reason that the user will see.
"""

from __future__ import annotations

import os
import socket

from sluice import cpuset, job_env
from sluice.errors import InvalidRequest
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.step import Step, StepNode
from sluice.wire.messages import NodeAddress, TaskLaunch
from sluiced.binding.plan import TaskBinding, bind_batch, bind_tasks
from sluiced.binding.table import binding_table
from sluiced.gpu import plan as gpu
from sluiced.stdio import output_files
from sluiced.stdio.file_names import file_path, job_fields
from sluiced.stdio.relay import STDERR, STDOUT, Relay, set_terminal_size
from sluiced.steps import multi_prog, notice
from sluiced.steps.launch import StepLaunch
from sluiced.steps.launch_failure import LaunchFailure
from sluiced.steps.limits import chosen_limits, nice_of
from sluiced.steps.login_environment import read_login_environment
from sluiced.steps.task import TaskPlan
from sluiced.steps.task_hooks import task_hooks
from sluiced.steps.user import User, acting_as
from sluiced.steps.wireup import Wireup


class OpenFile:
    """An output file of the step: where its own part begins, for the tail."""

    __slots__ = ("fd", "path", "start", "stream")

    def __init__(self, path: str, fd: int, start: int, stream: int) -> None:
        self.path = path
        self.fd = fd
        self.start = start
        self.stream = stream


class Preparation:
    """Collects what the tasks will use, and what the step daemon closes once they are forked."""

    def __init__(self, launch: StepLaunch, user: User, relay: Relay, wireup: Wireup) -> None:
        self.launch = launch
        self.wireup = wireup
        self.user = user
        self.relay = relay
        self.plans: list[TaskPlan] = []
        #: Lines for the user, once the tasks have started.
        self.notes: list[str] = []
        self.files: dict[str, OpenFile] = {}
        #: Given to a task: this side has no use for them after the fork.
        self.task_ends: list[int] = []

    def close_task_ends(self) -> None:
        for fd in self.task_ends:
            os.close(fd)
        self.task_ends.clear()

    def null(self) -> int:
        fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.task_ends.append(fd)
        return fd

    def pipe_from_task(self, rank: int, stream: int) -> int:
        reader, writer = os.pipe()
        self.relay.add_output(reader, rank, stream)
        self.task_ends.append(writer)
        return writer

    def pipe_to_task(self, rank: int) -> int:
        reader, writer = os.pipe()
        self.relay.add_input(writer, rank)
        self.task_ends.append(reader)
        return reader

    def terminal(self, rank: int, size: tuple[int, int]) -> int:
        master, slave = os.openpty()
        set_terminal_size(slave, *size)
        os.fchown(slave, self.user.uid, -1)
        self.relay.add_terminal(master, rank)
        self.task_ends.append(slave)
        return slave

    def output(self, path: str, stream: int, is_appended: bool) -> int:
        """Return the file's descriptor; tasks and streams that name the same path share one."""
        known = self.files.get(path)
        if known is None:
            fd = output_files.open_output(path, is_appended)
            known = self.files[path] = OpenFile(path, fd, output_files.size_of(fd), stream)
        return known.fd

    def input(self, path: str) -> int:
        fd = output_files.open_input(path)
        self.task_ends.append(fd)
        return fd


def prepare_step(launch: StepLaunch, user: User, relay: Relay, wireup: Wireup) -> Preparation:
    """Return the step's tasks, all files open.  Raises LaunchFailure."""
    preparation = Preparation(launch, user, relay, wireup)
    umask = launch.tasks.umask if launch.tasks else launch.job.spec.umask
    inherited = _batch_inheritance(launch, user) if launch.tasks is None else {}
    with acting_as(user, umask):
        try:
            if launch.tasks is None:
                preparation.plans.append(_plan_batch(preparation, inherited))
            else:
                preparation.plans += _plan_tasks(preparation, launch.tasks)
        except output_files.FileProblem as problem:
            reason = Reason.OUTPUT_NOT_WRITABLE if "output" in str(problem) else Reason.JOB_LAUNCH_FAILURE
            raise LaunchFailure(reason, str(problem)) from None
    return preparation


def site_of(launch: StepLaunch) -> job_env.Site:
    config = launch.config
    return job_env.Site(
        config.cluster,
        launch.conf_path,
        launch.controller,
        launch.temp_parent,
        config.topology_addresses,
        manager_text(launch.manager),
    )


def manager_text(manager: NodeAddress | None) -> str:
    """Return what SLUICE_STEPS_AT is, "" for a job whose steps the controller manages."""
    return f"{manager.node},{manager.address},{manager.port}" if manager is not None else ""


def _batch_inheritance(launch: StepLaunch, user: User) -> dict[str, str]:
    """Return what the script's environment begins with; not to be called while acting as the user.

    A login shell that finds a privileged real uid beside the user's would take the former back.
    """
    spec = launch.job.spec
    inherited = job_env.read_environment(launch.environment)
    is_partial = bool(spec.export) and not spec.export.upper().startswith("ALL")
    return read_login_environment(user) | inherited if spec.get_user_env or is_partial else inherited


def _plan_batch(preparation: Preparation, inherited: dict[str, str]) -> TaskPlan:
    launch, user = preparation.launch, preparation.user
    spec = launch.job.spec
    site = site_of(launch)
    environment = job_env.batch_environment(launch.job, launch.node, site, inherited)
    environment |= gpu.plan_batch(launch)
    environment |= notice.variables(launch.notice_path)
    return TaskPlan(
        rank=0,
        local_id=0,
        argv=(launch.script_path, *spec.arguments),
        environment=environment,
        descriptors=_batch_descriptors(preparation, launch.job),
        work_dir=spec.work_dir or user.home,
        fallback_dir=site.tmp_dir,
        umask=spec.umask,
        rlimits=chosen_limits(spec.rlimits, launch.config, "propagate" in spec.given),
        nice=nice_of(environment, launch.config, os.getpriority(os.PRIO_PROCESS, 0)),
        user=user,
        node=launch.node,
        hooks=task_hooks(launch),
        binding=bind_batch(launch),
    )


def _batch_descriptors(preparation: Preparation, job: Job) -> tuple[int, int, int]:
    launch, spec = preparation.launch, job.spec
    index = job.nodes.index(launch.node) if launch.node in job.nodes else 0
    fields = job_fields(job, launch.step_id, launch.node, index, 0)
    default = "slurm-%j.out" if job.array_task_id is None else "slurm-%A_%a.out"
    out_path = file_path(spec.std_out or default, spec.work_dir, fields)
    err_path = file_path(spec.std_err, spec.work_dir, fields) if spec.std_err else out_path
    in_path = file_path(spec.std_in or os.devnull, spec.work_dir, fields)
    is_appended = _is_appended(spec.open_mode, launch)
    stdin = preparation.input(in_path)
    stdout = preparation.output(out_path, STDOUT, is_appended)
    return stdin, stdout, preparation.output(err_path, STDERR, is_appended)


def _is_appended(open_mode: str, launch: StepLaunch) -> bool:
    return open_mode.startswith("a") if open_mode else launch.config.job_file_append


def _plan_tasks(preparation: Preparation, tasks: TaskLaunch) -> list[TaskPlan]:
    launch = preparation.launch
    part = next(node for node in tasks.step.nodes if node.node == launch.node)
    ranks = cpuset.numbers(cpuset.parse(part.ranks)) or list(range(part.ntasks))
    inherited = job_env.read_environment(tasks.environment)
    wireup = preparation.wireup
    if wireup.dressing.is_per_node and len(ranks) > 1:
        # One program starts the node's tasks itself: it has all that they have.
        free, whole = TaskBinding(), gpu.plan_node(launch, part)
        plan = _plan_task(preparation, tasks, part, ranks[0], 0, inherited, free, whole)
        return [plan._replace(stands_for=tuple(ranks))]
    bindings = bind_tasks(launch, tasks.step, part)
    gpus = gpu.plan_tasks(launch, tasks.step, part, [binding.cores for binding in bindings])
    if tasks.is_verbose:
        preparation.notes += binding_table(launch.node, ranks, bindings, gpus)
    return [
        _plan_task(preparation, tasks, part, rank, local_id, inherited, bindings[local_id], gpus[local_id])
        for local_id, rank in enumerate(ranks)
    ]


def _plan_task(
    preparation: Preparation,
    tasks: TaskLaunch,
    part: StepNode,
    rank: int,
    local_id: int,
    inherited: dict[str, str],
    binding: TaskBinding,
    gpus: gpu.TaskGpus,
) -> TaskPlan:
    launch, wireup = preparation.launch, preparation.wireup
    has_terminal = tasks.is_pty and rank == 0
    environment = _task_variables(launch, tasks, part, rank, local_id, inherited)
    return TaskPlan(
        rank=rank,
        local_id=local_id,
        argv=wireup.dressing.command(_command(tasks, rank)),
        environment=wireup.dressing.environment(
            rank,
            environment | dict(binding.variables) | dict(gpus.variables),
        ),
        descriptors=_task_descriptors(preparation, tasks, rank),
        work_dir=tasks.work_dir or launch.job.spec.work_dir or preparation.user.home,
        fallback_dir=launch.temp_parent,
        umask=tasks.umask,
        rlimits=chosen_limits(tasks.rlimits, launch.config, tasks.is_limits_asked),
        nice=nice_of(environment, launch.config, os.getpriority(os.PRIO_PROCESS, 0)),
        user=preparation.user,
        node=launch.node,
        hooks=task_hooks(launch),
        binding=binding,
        fence=gpus.fence,
        has_terminal=has_terminal,
        missing_hint=wireup.dressing.missing_hint,
        inherited=wireup.descriptors(rank),
        namespace=wireup.namespace,
    )


def _command(tasks: TaskLaunch, rank: int) -> tuple[str, ...]:
    """Return program and arguments.  Raises LaunchFailure."""
    if not tasks.multi_prog:
        return tasks.argv
    try:
        command = multi_prog.program_of(tasks.multi_prog, rank)
    except InvalidRequest as error:
        raise LaunchFailure(Reason.JOB_LAUNCH_FAILURE, f"--multi-prog: {error}") from None
    if not command:
        raise LaunchFailure(Reason.JOB_LAUNCH_FAILURE, f"--multi-prog: no program for rank {rank}")
    return command


def _task_variables(
    launch: StepLaunch, tasks: TaskLaunch, part: StepNode, rank: int, local_id: int, inherited: dict[str, str]
) -> dict[str, str]:
    variables = job_env.task_environment(launch.job, tasks.step, part, rank, local_id, site_of(launch), inherited)
    variables |= notice.variables(launch.notice_path) | launch.x11
    variables |= {
        "SLURM_UMASK": f"{tasks.umask:04o}",
        "SLURM_LAUNCH_NODE_IPADDR": launch.srun_address,
        "SLURM_SRUN_COMM_HOST": launch.srun_address,
        "SLURM_SRUN_COMM_PORT": str(launch.srun_port),
        "SLURM_STEP_LAUNCHER_PORT": str(launch.srun_port),
    }
    return variables | job_env.read_environment(tasks.own_environment)


def _task_descriptors(preparation: Preparation, tasks: TaskLaunch, rank: int) -> tuple[int, int, int]:
    if tasks.is_pty:
        if rank != 0:
            null = preparation.null()
            return null, null, null
        slave = preparation.terminal(rank, tasks.pty_size)
        return slave, slave, slave
    stdin = _task_input(preparation, tasks, rank)
    stdout = _task_output(preparation, tasks, tasks.std_out, rank, STDOUT)
    # A file for stdout alone takes stderr too; what goes to srun keeps its two streams apart.
    err_pattern = tasks.std_err or ("" if _is_streamed(tasks.std_out) else tasks.std_out)
    return stdin, stdout, _task_output(preparation, tasks, err_pattern, rank, STDERR)


def _task_input(preparation: Preparation, tasks: TaskLaunch, rank: int) -> int:
    wanted = tasks.std_in or "all"
    if wanted == "none" or (wanted.isdecimal() and int(wanted) != rank):
        return preparation.null()
    if wanted == "all" or wanted.isdecimal():
        return preparation.pipe_to_task(rank)
    return preparation.input(file_path(wanted, _base_dir(preparation, tasks), _fields(preparation, tasks.step, rank)))


def _task_output(preparation: Preparation, tasks: TaskLaunch, pattern: str, rank: int, stream: int) -> int:
    if _is_streamed(pattern):
        if pattern.isdecimal() and int(pattern) != rank:
            return preparation.null()
        return preparation.pipe_from_task(rank, stream)
    path = file_path(pattern, _base_dir(preparation, tasks), _fields(preparation, tasks.step, rank))
    return preparation.output(path, stream, _is_appended(tasks.open_mode, preparation.launch))


def _is_streamed(pattern: str) -> bool:
    """A number is a rank of the step: srun has settled which numbers are."""
    return pattern in ("", "all") or pattern.isdecimal()


def _base_dir(preparation: Preparation, tasks: TaskLaunch) -> str:
    return tasks.work_dir or preparation.launch.job.spec.work_dir or preparation.user.home


def _fields(preparation: Preparation, step: Step, rank: int) -> dict[str, str | int]:
    launch = preparation.launch
    nodes = [node.node for node in step.nodes]
    return job_fields(launch.job, launch.step_id, launch.node, nodes.index(launch.node), rank)


def peer_address(connection: socket.socket | None) -> tuple[str, int]:
    """Return srun's address and port; the loopback for one on this host."""
    if connection is None or connection.family == socket.AF_UNIX:
        return "127.0.0.1", 0
    host, port = connection.getpeername()[:2]
    return host, port
