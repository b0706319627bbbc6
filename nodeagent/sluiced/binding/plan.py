"""From a launch to what each of its tasks is bound to, and what its environment tells of it."""

from __future__ import annotations

from typing import NamedTuple

from sluice import cpu_bind, cpuset, distribution, mem_bind
from sluice.errors import InvalidRequest
from sluice.model.reason import Reason
from sluice.model.step import Step, StepNode
from sluiced.binding.masks import Masks, Request, decide_masks
from sluiced.binding.memory import MemoryPolicy, decide_policy
from sluiced.binding.topology import Geometry, Topology, machine, place_cpus
from sluiced.steps.launch import StepLaunch
from sluiced.steps.launch_failure import LaunchFailure

#: What the configuration's CpuBind calls the levels; none is "nothing is said".
_LEVELS = {"none": "", "off": "none", "socket": "sockets", "core": "cores", "thread": "threads", "ldom": "ldoms"}
#: TaskPluginParam's words.
_DEFAULTS = {"none": "none", "sockets": "sockets", "cores": "cores", "threads": "threads"}


class TaskBinding(NamedTuple):
    """What a task does to itself before it is the program.

    mask: the kernel's CPUs, 0 for leaving them.  is_real: they are this machine's.  style: of the verbose line, "" for
    none.
    """

    mask: int = 0
    is_real: bool = True
    style: str = ""
    #: The cores of mask, as gres.conf numbers them; of a step with devices alone, for nobody else asks.
    cores: frozenset[int] = frozenset()
    memory: MemoryPolicy | None = None
    is_memory_told: bool = False
    #: Lines for the task's stderr.
    notes: tuple[str, ...] = ()
    #: For its environment.
    variables: tuple[tuple[str, str], ...] = ()


def node_topology(launch: StepLaunch) -> Topology:
    """Return the CPUs of the launch's node as the scheduler numbers them."""
    setup = launch.config.nodes.get(launch.node)
    if setup is None:
        return place_cpus(machine())
    geometry = Geometry(setup.cpus, setup.sockets, setup.cores_per_socket, setup.threads_per_core)
    return place_cpus(machine(), geometry)


def granted_cpus(launch: StepLaunch) -> int:
    """Return the kernel's CPUs that the job has on this node; 0 where these are not this machine's."""
    topology = node_topology(launch)
    return 0 if topology.is_made_up else topology.kernel_mask(_granted(launch))


def bind_batch(launch: StepLaunch) -> TaskBinding:
    """Return what a batch script is bound to: all that its job has on the node."""
    return TaskBinding(mask=granted_cpus(launch) if _has_affinity(launch) else 0)


def bind_tasks(launch: StepLaunch, step: Step, part: StepNode) -> list[TaskBinding]:
    """Return what the tasks are bound to, by local id.  Raises LaunchFailure for a map that cannot be."""
    cpus = cpuset.parse(part.cpus) or _granted(launch)
    if not cpus or not _has_affinity(launch):
        return _unbound(launch, step, part)
    topology = node_topology(launch)
    try:
        masks = decide_masks(_request(launch, step, part, topology, cpus))
        policies = [_policy(step, topology, local_id, mask) for local_id, mask in enumerate(masks.masks)]
    except InvalidRequest as error:
        raise LaunchFailure(Reason.JOB_LAUNCH_FAILURE, error.message) from None
    return _bindings(launch, step, topology, masks, policies, bool(part.gres))


def _bindings(
    launch: StepLaunch,
    step: Step,
    topology: Topology,
    masks: Masks,
    policies: list[MemoryPolicy | None],
    has_devices: bool,
) -> list[TaskBinding]:
    bind = _mem_bind(step)
    is_verbose = masks.bind.is_verbose or "verbose" in launch.config.task_parameters
    told = {} if step.spec.is_interactive else _cpu_variables(masks, is_verbose)
    variables = tuple((told | _memory_variables(bind)).items())
    notes: tuple[str, ...] = ()
    if bind.kind and bind.is_verbose and len(topology.domains()) == 1:
        notes = (f"mem-bind: node {launch.node} has one NUMA domain: there is nothing to choose",)
    return [
        TaskBinding(
            mask=0 if masks.style == "NONE" else mask,
            is_real=not topology.is_made_up,
            style=masks.style if is_verbose else "",
            cores=frozenset(place.core for place in topology.places if place.mask & mask)
            if has_devices
            else frozenset(),
            memory=policy,
            is_memory_told=bind.is_verbose,
            notes=notes if local_id == 0 else (),
            variables=variables,
        )
        for local_id, (mask, policy) in enumerate(zip(masks.masks, policies, strict=True))
    ]


def _request(launch: StepLaunch, step: Step, part: StepNode, topology: Topology, cpus: int) -> Request:
    spec = step.spec
    default_kind, auto_kind = _configured_kinds(launch)
    return Request(
        topology=topology,
        cpus=cpus,
        ntasks=part.ntasks,
        cpus_per_task=spec.cpus_per_task or launch.job.spec.cpus_per_task,
        bind=cpu_bind.parse(spec.cpu_bind) if spec.cpu_bind else cpu_bind.CpuBind(),
        distribution=distribution.parse(spec.distribution),
        hint=spec.hint,
        threads_per_core=spec.threads_per_core or 0,
        tasks_per_core=spec.ntasks_per_core or 0,
        tasks_per_socket=spec.ntasks_per_socket or 0,
        default_kind=default_kind,
        auto_kind=auto_kind,
        job_cpus=_granted(launch),
    )


def _configured_kinds(launch: StepLaunch) -> tuple[str, str]:
    """Return what binds where the step says nothing, and what does where nothing matches either."""
    setup = launch.config.nodes.get(launch.node)
    words = [
        _LEVELS.get(setup.cpu_bind if setup else "none", ""),
        _LEVELS.get(launch.config.partition_cpu_bind.get(launch.job.partition, "none"), ""),
    ]
    parameters = launch.config.task_parameters
    words += [kind for word, kind in _DEFAULTS.items() if word in parameters]
    return next((word for word in words if word), ""), _DEFAULTS.get(parameters.get("autobind", "").lower(), "")


def _unbound(launch: StepLaunch, step: Step, part: StepNode) -> list[TaskBinding]:
    asked = {
        "cpu-bind": cpu_bind.parse(step.spec.cpu_bind).kind if step.spec.cpu_bind else "",
        "mem-bind": _mem_bind(step).kind,
    }
    plugins = ",".join(f"task/{name}" for name in launch.config.task_plugins) or "none"
    notes = tuple(
        f"--{option}={kind} does nothing here: TaskPlugin={plugins} has no task/affinity"
        for option, kind in asked.items()
        if kind not in ("", "none") and not _has_affinity(launch)
    )
    return [TaskBinding(notes=notes if local_id == 0 else ()) for local_id in range(part.ntasks)]


def _policy(step: Step, topology: Topology, local_id: int, mask: int) -> MemoryPolicy | None:
    return None if topology.is_made_up else decide_policy(_mem_bind(step), topology, local_id, mask)


def _mem_bind(step: Step) -> mem_bind.MemBind:
    return mem_bind.parse(step.spec.mem_bind) if step.spec.mem_bind else mem_bind.MemBind()


def _has_affinity(launch: StepLaunch) -> bool:
    return "affinity" in launch.config.task_plugins


def _granted(launch: StepLaunch) -> int:
    grant = launch.job.allocation.grant_on(launch.node) if launch.job.allocation else None
    return cpuset.parse(grant.cpus) if grant is not None else 0


def _cpu_variables(masks: Masks, is_verbose: bool) -> dict[str, str]:
    word = "verbose" if is_verbose else "quiet"
    return {
        "SLURM_CPU_BIND": f"{word},{cpu_bind.format(masks.bind)}",
        "SLURM_CPU_BIND_LIST": masks.bind.listed,
        "SLURM_CPU_BIND_TYPE": cpu_bind.type_of(masks.bind),
        "SLURM_CPU_BIND_VERBOSE": word,
    }


def _memory_variables(bind: mem_bind.MemBind) -> dict[str, str]:
    if not bind.kind:
        return {}
    variables = {
        "SLURM_MEM_BIND": mem_bind.format(bind),
        "SLURM_MEM_BIND_LIST": bind.listed,
        "SLURM_MEM_BIND_TYPE": mem_bind.type_of(bind),
        "SLURM_MEM_BIND_VERBOSE": "verbose" if bind.is_verbose else "quiet",
    }
    variables |= {"SLURM_MEM_BIND_PREFER": "prefer"} if bind.is_preferred else {}
    return variables | ({"SLURM_MEM_BIND_SORT": "sort"} if bind.is_sorted else {})
