"""The environment that a job, its batch script and its tasks see (CONTRACT section 3.2).

Each function gives the SLURM_* variables that belong on top of what the submitter sent, as a dict in no particular
order; compose() puts the two together, so that nothing of an outer job shines through.  What only the process that
starts a task knows (its pid, srun's address) is given as arguments or added by the caller.

A light module: records are used by their attributes alone.
"""

from __future__ import annotations

from sluice import cpus_per_node, cpuset, hostlist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sluice.model.allocation import NodeGrant
    from sluice.model.job import Job
    from sluice.model.step import Step, StepNode

#: model.base.INTERACTIVE_STEP, which a light module does not load.
_INTERACTIVE = -6
#: Options whose presence makes the number of tasks part of the batch environment.
_TASK_OPTIONS = frozenset({"ntasks", "ntasks-per-node", "ntasks-per-core", "ntasks-per-socket", "ntasks-per-gpu"})

#: What an outer job may have left in the submitter's environment and this job has not said itself.
_OWNED_PREFIXES = (
    "SLURM_ARRAY_",
    "SLURM_STEP",
    "SLURM_JOB_",
    "SLURM_MEM_PER_",
    "SLURM_GPUS",
    "SLURM_SRUN_",
    "SLURM_NTASKS",
)
_OWNED = frozenset(
    (
        "SLURM_JOBID",
        "SLURM_NODELIST",
        "SLURM_NNODES",
        "SLURM_NPROCS",
        "SLURM_TASKS_PER_NODE",
        "SLURM_CPUS_PER_TASK",
        "SLURM_CPUS_ON_NODE",
        "SLURM_PROCID",
        "SLURM_LOCALID",
        "SLURM_NODEID",
        "SLURM_GTIDS",
        "SLURM_TASK_PID",
        "SLURMD_NODENAME",
        "SLURM_RESTART_COUNT",
        "SLURM_DISTRIBUTION",
        "SLURM_DIST_PLANESIZE",
        "SLURM_HINT",
        "SLURM_OVERCOMMIT",
        "SLURM_THREADS_PER_CORE",
        "SLURM_EXPORT_ENV",
        "SLURM_GET_USER_ENV",
        "SLURM_LAUNCH_NODE_IPADDR",
        "SLURM_TOPOLOGY_ADDR",
        "SLURM_TOPOLOGY_ADDR_PATTERN",
        "SLURM_CLUSTER_NAME",
        "SLURM_WORKING_CLUSTER",
        "SLURM_NODE_ALIASES",
        "SLURM_HET_SIZE",
        "SLUICE_STEPS_AT",
    )
)
#: Between a variable's name and the number of the component that it is about.
_GROUP = "_HET_GROUP_"
#: What the submitting command says about itself; it is believed.
_FROM_SUBMITTER = frozenset(("SLURM_SUBMIT_DIR", "SLURM_SUBMIT_HOST", "SLURM_PRIO_PROCESS", "SLURM_UMASK"))


class Site:
    """What of the cluster shows in an environment.  controller: "host:port".

    topology_addresses: node -> (way to it from the top of the network, what the parts are).  steps_at: where the job's
    steps are managed, as "node,address,port"; "" by the controller.
    """

    __slots__ = ("cluster", "conf_path", "controller", "steps_at", "tmp_dir", "topology_addresses")

    def __init__(
        self,
        cluster: str,
        conf_path: str = "",
        controller: str = "",
        tmp_dir: str = "/tmp",
        topology_addresses: dict[str, tuple[str, str]] | None = None,
        steps_at: str = "",
    ) -> None:
        self.cluster = cluster
        self.conf_path = conf_path
        self.controller = controller
        self.tmp_dir = tmp_dir
        self.topology_addresses = topology_addresses or {}
        self.steps_at = steps_at


def read_environment(entries: Iterable[bytes]) -> dict[str, str]:
    """Return NAME=value strings as a dict; bytes that are not text survive as surrogates."""
    pairs = (entry.decode("utf-8", "surrogateescape").partition("=") for entry in entries)
    return {name: value for name, _, value in pairs if name}


def compose(inherited: dict[str, str], ours: dict[str, str]) -> dict[str, str]:
    """Return the environment of a batch script: *inherited* without another job's variables, then *ours*."""
    kept = {name: value for name, value in inherited.items() if not _is_owned(name)}
    for name in _FROM_SUBMITTER:
        if name in inherited:
            ours.pop(name, None)
    return kept | ours


def batch_environment(job: Job, node: str, site: Site, inherited: dict[str, str]) -> dict[str, str]:
    """Return the whole environment of the batch script of *job* on *node*, but for SLURM_TASK_PID."""
    ours = job_variables(job, site) | _node_variables(job, node, site) | _rank_variables(0, 0, "0")
    ours |= {
        "ENVIRONMENT": "BATCH",
        "HOSTNAME": node,
        "SLURM_NODEID": str(_node_index(job.nodes, node)),
        "SLURM_NODE_ALIASES": "(null)",
        "SLURM_PRIO_PROCESS": "0",
    }
    if "TMPDIR" not in inherited:
        ours["TMPDIR"] = site.tmp_dir
    return compose(inherited, ours)


def allocation_environment(job: Job, site: Site) -> dict[str, str]:
    """Return what salloc adds to the environment of its command."""
    variables = job_variables(job, site)
    for name in ("SLURM_JOB_UID", "SLURM_JOB_USER", "SLURM_JOB_GID", "SLURM_JOB_GROUP"):
        variables.pop(name, None)
    return variables


def task_environment(
    job: Job, step: Step, part: StepNode, rank: int, local_id: int, site: Site, inherited: dict[str, str]
) -> dict[str, str]:
    """Return the environment of one task of a step, but for what its srun and its pid add.

    inherited: srun's environment, which in a batch job is the batch script's.
    """
    nodes = [node.node for node in step.nodes]
    ours = job_variables(job, site) | _node_variables(job, part.node, site)
    ours |= _rank_variables(rank, local_id, ",".join(map(str, cpuset.numbers(cpuset.parse(part.ranks)))))
    ours |= _interactive_variables(step) if step.step_id == _INTERACTIVE else _step_variables(step, nodes)
    ours |= {
        "SLURM_CPUS_ON_NODE": str(part.cpu_count),
        "SLURM_NODEID": str(_node_index(nodes, part.node)),
        "SLURM_PRIO_PROCESS": "0",
    }
    if step.spec.cpus_per_task:
        ours["SLURM_CPUS_PER_TASK"] = str(step.spec.cpus_per_task)
    ours |= _memory_variables(step.spec.memory_per_node_mib, step.spec.memory_per_cpu_mib, None)
    return compose(inherited, ours)


def job_variables(job: Job, site: Site) -> dict[str, str]:
    """Return what is the same everywhere in a job."""
    spec = job.spec
    variables = {
        "SLURM_JOB_ID": str(job.id),
        "SLURM_JOBID": str(job.id),
        "SLURM_JOB_NAME": spec.name,
        "SLURM_JOB_PARTITION": job.partition,
        "SLURM_JOB_UID": str(spec.uid),
        "SLURM_JOB_USER": spec.user,
        "SLURM_JOB_GID": str(spec.gid),
        "SLURM_CLUSTER_NAME": site.cluster,
        "SLURM_SUBMIT_DIR": spec.work_dir,
        "SLURM_SUBMIT_HOST": spec.submit_host,
    }
    optional = {
        "SLURM_JOB_ACCOUNT": spec.account,
        "SLURM_JOB_QOS": spec.qos,
        "SLURM_JOB_GROUP": spec.group,
        "SLURM_JOB_RESERVATION": job.reservation or spec.reservation,
        "SLURM_JOB_LICENSES": spec.licenses,
        "SLURM_JOB_DEPENDENCY": _dependency_text(job),
        "SLURM_CONF": site.conf_path,
        "SLURM_WORKING_CLUSTER": f"{site.cluster}:{site.controller}:9728:109" if site.controller else "",
        "SLURM_RESTART_COUNT": str(job.attempt) if job.attempt else "",
        "SLUICE_STEPS_AT": site.steps_at,
    }
    variables |= {name: value for name, value in optional.items() if value}
    variables |= _allocation_variables(job) | _request_variables(job) | _array_variables(job) | _time_variables(job)
    return variables | _component_variables(job)


def _component_variables(job: Job) -> dict[str, str]:
    """Return what tells each component of a heterogeneous job about all of them, a set of variables a component."""
    if not job.components:
        return {}
    variables = {"SLURM_HET_SIZE": str(job.het_size)}
    for component in job.components:
        spec = component.spec
        own = {
            "SLURM_JOB_ID": str(component.id),
            "SLURM_JOBID": str(component.id),
            "SLURM_JOB_NAME": spec.name,
            "SLURM_JOB_PARTITION": component.partition,
        }
        optional = {
            "SLURM_JOB_ACCOUNT": spec.account,
            "SLURM_JOB_QOS": spec.qos,
            "SLURM_JOB_RESERVATION": component.reservation or spec.reservation,
        }
        own |= {name: value for name, value in optional.items() if value}
        own |= _allocation_variables(component) | _request_variables(component)
        variables |= {f"{name}{_GROUP}{component.het_offset}": value for name, value in own.items()}
    return variables


def _allocation_variables(job: Job) -> dict[str, str]:
    allocation = job.allocation
    if allocation is None:
        return {}
    nodes = hostlist.fold(allocation.nodes)
    return {
        "SLURM_JOB_NODELIST": nodes,
        "SLURM_NODELIST": nodes,
        "SLURM_JOB_NUM_NODES": str(len(allocation.nodes)),
        "SLURM_NNODES": str(len(allocation.nodes)),
        "SLURM_JOB_CPUS_PER_NODE": cpus_per_node.fold([grant.cpu_count for grant in allocation.grants]),
        "SLURM_TASKS_PER_NODE": cpus_per_node.fold(_batch_tasks_per_node(job)),
    }


def _batch_tasks_per_node(job: Job) -> list[int]:
    allocation = job.allocation
    assert allocation is not None
    if allocation.tasks_per_node:
        return list(allocation.tasks_per_node)
    return [max(1, grant.cpu_count // max(1, job.spec.cpus_per_task)) for grant in allocation.grants]


def _request_variables(job: Job) -> dict[str, str]:
    """What was asked, where the user asked it."""
    spec, given = job.spec, job.spec.given
    variables = {}
    if given & _TASK_OPTIONS:
        variables["SLURM_NTASKS"] = variables["SLURM_NPROCS"] = str(spec.ntasks)
    numbers = {
        "cpus-per-task": ("SLURM_CPUS_PER_TASK", spec.cpus_per_task),
        "ntasks-per-node": ("SLURM_NTASKS_PER_NODE", spec.ntasks_per_node),
        "ntasks-per-core": ("SLURM_NTASKS_PER_CORE", spec.ntasks_per_core),
        "ntasks-per-socket": ("SLURM_NTASKS_PER_SOCKET", spec.ntasks_per_socket),
        "threads-per-core": ("SLURM_THREADS_PER_CORE", spec.threads_per_core),
    }
    variables |= {name: str(number) for option, (name, number) in numbers.items() if option in given}
    other = dict(spec.other)
    texts = {
        "SLURM_DISTRIBUTION": spec.distribution,
        "SLURM_DIST_PLANESIZE": _plane_size(spec.distribution),
        "SLURM_MEM_BIND": other.get("mem-bind", ""),
        "SLURM_GPU_BIND": spec.gpu_bind,
        "SLURM_NTASKS_PER_GPU": other.get("ntasks-per-gpu", ""),
        "SLURM_HINT": spec.hint,
        "SLURM_OVERCOMMIT": "1" if spec.is_overcommitted else "",
        "SLURM_EXPORT_ENV": spec.export if "export" in given else "",
        "SLURM_GET_USER_ENV": "1" if spec.get_user_env else "",
        "SLURM_GPUS": _gpus_text(spec.gres_per_job),
        # --gres asks for GPUs too, but would be asked for twice by an srun that is told so and has a --gres of its own.
        "SLURM_GPUS_PER_NODE": _gpus_text(spec.gres_per_node) if "gpus-per-node" in given else "",
        "SLURM_GPUS_PER_TASK": _gpus_text(spec.gres_per_task),
        "SLURM_GPUS_PER_SOCKET": _gpus_text(spec.gres_per_socket),
    }
    variables |= {name: text for name, text in texts.items() if text}
    return variables | _memory_variables(spec.memory_per_node_mib, spec.memory_per_cpu_mib, spec.memory_per_gpu_mib)


def _plane_size(distribution: str) -> str:
    """Return the 2 of "plane=2:block"."""
    name, _, size = distribution.partition(",")[0].partition(":")[0].partition("=")
    return size if name == "plane" else ""


def _memory_variables(per_node_mib: int | None, per_cpu_mib: int | None, per_gpu_mib: int | None) -> dict[str, str]:
    if per_cpu_mib is not None:
        return {"SLURM_MEM_PER_CPU": str(per_cpu_mib)}
    if per_gpu_mib is not None:
        return {"SLURM_MEM_PER_GPU": str(per_gpu_mib)}
    if per_node_mib:
        return {"SLURM_MEM_PER_NODE": str(per_node_mib)}
    return {}


def _array_variables(job: Job) -> dict[str, str]:
    if job.array_task_id is None:
        return {}
    ranges = job.spec.array or ((job.array_task_id, job.array_task_id, 1),)
    return {
        "SLURM_ARRAY_JOB_ID": str(job.array_job_id),
        "SLURM_ARRAY_TASK_ID": str(job.array_task_id),
        "SLURM_ARRAY_TASK_COUNT": str(sum((last - first) // step + 1 for first, last, step in ranges)),
        "SLURM_ARRAY_TASK_MIN": str(ranges[0][0]),
        "SLURM_ARRAY_TASK_MAX": str(ranges[-1][1]),
        "SLURM_ARRAY_TASK_STEP": str(ranges[0][2] if len(ranges) == 1 else 1),
    }


def _time_variables(job: Job) -> dict[str, str]:
    if job.started_at is None:
        return {}
    variables = {"SLURM_JOB_START_TIME": str(int(job.started_at))}
    if job.limit_at is not None:
        variables["SLURM_JOB_END_TIME"] = str(int(job.limit_at))
    return variables


def _node_variables(job: Job, node: str, site: Site) -> dict[str, str]:
    address, pattern = site.topology_addresses.get(node, (node, "node"))
    variables = {
        "SLURMD_NODENAME": node,
        "SLURM_TOPOLOGY_ADDR": address,
        "SLURM_TOPOLOGY_ADDR_PATTERN": pattern,
    }
    grant = job.allocation.grant_on(node) if job.allocation else None
    if grant is not None:
        variables["SLURM_CPUS_ON_NODE"] = str(grant.cpu_count)
        variables |= _gpu_variables(grant)
    return variables


def _gpu_variables(grant: NodeGrant) -> dict[str, str]:
    """How a program calls its GPUs is the node agent's to tell."""
    units = sorted(
        number for gres in grant.gres if gres.name == "gpu" for number in cpuset.numbers(cpuset.parse(gres.units))
    )
    shards = sum(gres.count for gres in grant.gres if gres.name == "shard")
    variables = {"SLURM_SHARDS_ON_NODE": str(shards)} if shards else {}
    if units:
        variables |= {"SLURM_JOB_GPUS": ",".join(map(str, units)), "SLURM_GPUS_ON_NODE": str(len(units))}
    return variables


def _rank_variables(rank: int, local_id: int, ranks_here: str) -> dict[str, str]:
    return {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(local_id), "SLURM_GTIDS": ranks_here}


def _step_variables(step: Step, nodes: list[str]) -> dict[str, str]:
    ntasks = str(step.ntasks)
    first, last = step.ports
    ports = {"SLURM_STEP_RESV_PORTS": f"{first}-{last}"} if first else {}
    tasks_per_node = cpus_per_node.fold([node.ntasks for node in step.nodes])
    return {
        **ports,
        "SLURM_STEP_ID": str(step.step_id),
        "SLURM_STEPID": str(step.step_id),
        "SLURM_STEP_NODELIST": hostlist.fold(nodes),
        "SLURM_STEP_NUM_NODES": str(len(nodes)),
        # The step's, where SLURM_NODELIST stays the job's: recorded from Slurm 22.05.
        "SLURM_NNODES": str(len(nodes)),
        "SLURM_STEP_NUM_TASKS": ntasks,
        "SLURM_STEP_TASKS_PER_NODE": tasks_per_node,
        "SLURM_TASKS_PER_NODE": tasks_per_node,
        "SLURM_NTASKS": ntasks,
        "SLURM_NPROCS": ntasks,
    }


def _interactive_variables(step: Step) -> dict[str, str]:
    """A shell on the first node is about the whole job: how many tasks it has itself concerns no srun in it."""
    number = str(step.step_id & 0xFFFFFFFF)
    return {"SLURM_STEP_ID": number, "SLURM_STEPID": number}


def _node_index(nodes: Iterable[str], node: str) -> int:
    return next((index for index, name in enumerate(nodes) if name == node), 0)


def _gpus_text(gres: Iterable[object]) -> str:
    """Return "2" or "a100:2" for the GPUs among requests."""
    parts = []
    for request in gres:
        name, kind, count = (getattr(request, field) for field in ("name", "type", "count"))
        if name == "gpu":
            parts.append(f"{kind}:{count}" if kind else str(count))
    return ",".join(parts)


def _dependency_text(job: Job) -> str:
    terms = job.spec.dependency.terms
    parts = [f"{term.type}:{term.job_id}" if term.job_id else term.type for term in terms]
    return ("?" if job.spec.dependency.is_any else ",").join(parts)


def _is_owned(name: str) -> bool:
    return name in _OWNED or name.startswith(_OWNED_PREFIXES) or _GROUP in name
