"""Which cgroups this process may make, what therefore cannot be enforced here, and a step's group."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Callable, Collection

from msgspec.structs import replace

from sluice import cpuset
from sluice.model.base import EXTERN_STEP, step_name
from sluice.model.confinement import CgroupSettings
from sluiced.binding.plan import node_topology
from sluiced.binding.topology import Topology
from sluiced.cgroup import files, limits
from sluiced.cgroup.devices import device_fence
from sluiced.cgroup.interface import GroupName, NoGroup, NoTree, StepGroup, Tree, Wants
from sluiced.cgroup.limits import Limits, Machine
from sluiced.cgroup.v1 import CONTROLLERS, V1Tree
from sluiced.cgroup.v2 import V2Tree
from sluiced.steps.launch import StepLaunch

logger = logging.getLogger(__name__)

_MIB = 1024 * 1024
#: What a key of cgroup.conf needs, and whether it is asked for.
_NEEDS: dict[str, tuple[str, Callable[[CgroupSettings], object]]] = {
    "ConstrainCores": ("cores", lambda settings: settings.constrain_cores),
    "ConstrainDevices": ("devices", lambda settings: settings.constrain_devices),
    "ConstrainRAMSpace": ("memory", lambda settings: settings.constrain_ram_space),
    "ConstrainSwapSpace": ("swap", lambda settings: settings.constrain_swap_space),
    "SluiceMaxProcesses": ("processes", lambda settings: settings.processes_max),
}


def find_tree(settings: CgroupSettings) -> Tree:
    """Return where groups are made: as CgroupPlugin says, or v2 where it is mounted by itself, else v1."""
    mount = settings.mountpoint
    if settings.plugin == "disabled":
        return NoTree("CgroupPlugin=disabled")
    is_v2 = files.has(mount, "cgroup.controllers")
    if settings.plugin == "cgroup/v2" or (settings.plugin == "autodetect" and is_v2):
        if not is_v2:
            return NoTree(f"CgroupPlugin=cgroup/v2, and {mount} is no cgroup v2 mount")
        return V2Tree(mount, settings.ignore_systemd, settings.enable_controllers)
    if os.geteuid() != 0:
        return NoTree("not permitted (the agent does not run as root)")
    if not any(files.has(os.path.join(mount, name), "tasks") for name in CONTROLLERS):
        return NoTree(f"{mount} holds no cgroup mount")
    return V1Tree(mount)


def prepare(node: str, settings: CgroupSettings) -> str:
    """Make room for the jobs' groups before anything is forked; log and return what cannot be enforced here."""
    try:
        find_tree(settings).prepare()
    except OSError as error:
        logger.error("node %s: cgroups: %s", node, error)
    missing = unenforced(settings)
    if missing:
        logger.warning("node %s: not enforced: %s", node, missing)
    for line in unmet(settings):
        logger.error("node %s: asked for and not enforced: %s", node, line)
    return missing


def unenforced(settings: CgroupSettings) -> str:
    """Return what cannot be enforced on this machine and why; empty: all of it can."""
    gaps = find_tree(settings).gaps()
    words_by_why: dict[str, list[str]] = {}
    for word, why in gaps.items():
        words_by_why.setdefault(why, []).append(word)
    told = [f"{', '.join(words)}: {why}" for why, words in words_by_why.items()]
    return f"cgroups: {'; '.join(told)}" if told else ""


def unmet(settings: CgroupSettings) -> list[str]:
    """Return a line for each key of cgroup.conf that asks for what cannot be enforced here."""
    gaps = find_tree(settings).gaps()
    return [f"{key}: {gaps[word]}" for key, (word, asks) in _NEEDS.items() if asks(settings) and word in gaps]


def fences_devices(settings: CgroupSettings) -> bool:
    """Are devices that others have out of a job's reach, as asked for?"""
    return settings.constrain_devices and "devices" not in find_tree(settings).gaps()


def group_name(launch: StepLaunch) -> GroupName:
    return GroupName(
        launch.group,
        job_name(launch.job.id, launch.job.attempt),
        f"step_{step_name(launch.step_id)}",
    )


def node_name(cluster: str, node: str, spool: str) -> str:
    """Return the name of a node's group; the path of the spool tells clusters of the same name on one machine apart."""
    return f"sluice_{cluster}_{node}_{zlib.crc32(os.fsencode(spool)):08x}".replace("/", "_")


def job_name(job_id: int, attempt: int) -> str:
    return f"job_{job_id}.{attempt}"


def step_group(launch: StepLaunch) -> StepGroup:
    """Return the control group for a step, made and limited as the configuration asks."""
    try:
        wants, problem = _wants(launch)
        group = find_tree(launch.config.cgroup).make_step(group_name(launch), wants)
    except OSError as error:
        logger.error("step %s: runs without limits: cgroup: %s", launch.name, error)
        return NoGroup(f"cgroups: a step's group cannot be made: {error}")
    group.problem = "; ".join(filter(None, (group.problem, problem)))
    if group.problem:
        logger.error("step %s: runs without some limits: %s", launch.name, group.problem)
    return group


def kill_leftovers(launch: StepLaunch) -> set[int]:
    """Kill what a dead step daemon left in its step's group; return the pids."""
    return find_tree(launch.config.cgroup).kill(group_name(launch))


def remove_step(settings: CgroupSettings, name: GroupName) -> None:
    """Take away what is left of a step's group whose last process has gone without its step daemon."""
    find_tree(settings).kill(name)


def kill_unknown_jobs(settings: CgroupSettings, group: str, known: Collection[str]) -> None:
    """Kill and take away the groups of jobs that nobody knows any more.

    group: the node's; known: names of jobs as job_name() has them.
    """
    tree = find_tree(settings)
    for job in tree.jobs(group):
        if job not in known:
            pids = tree.kill_job(group, job)
            logger.warning(
                "%s: took away what is left of a job that nobody knows group=%s killed=%s", group, job, len(pids)
            )


def node_folders(settings: CgroupSettings, group: str) -> list[str]:
    """Return the folders of a node's group, one for each hierarchy in use, made or not."""
    return find_tree(settings).folders(group)


def remove_empty(folders: Collection[str]) -> None:
    """Take a node's groups away that nothing is in.  No step may be about to enter one of them."""
    for folder in folders:
        files.remove_tree(folder)


def _wants(launch: StepLaunch) -> tuple[Wants, str]:
    """Return what a step is to be held to, and which of its limits this machine cannot have."""
    settings = launch.config.cgroup
    # Who comes to it is nobody's child here: the group alone knows what they use, and who they are.
    is_open = launch.step_id == EXTERN_STEP
    is_accounted = launch.config.is_usage_of_cgroup or is_open
    grant = launch.job.allocation.grant_on(launch.node) if launch.job.allocation else None
    if grant is None:
        return Wants(is_accounted=is_accounted, is_open=is_open), ""
    machine = read_machine(settings)
    topology = node_topology(launch)
    grant = replace(grant, cpus=_in_kernel_numbers(topology, grant.cpus))
    job = limits.compute_job_limits(grant, settings, machine)
    step = launch.tasks.step if launch.tasks is not None else None
    part = next((each for each in step.nodes if each.node == launch.node), None) if step is not None else None
    own = Limits(cpus=job.cpus)
    if step is not None and part is not None:
        part = replace(part, cpus=_in_kernel_numbers(topology, part.cpus))
        own = limits.compute_step_limits(part, step.spec.is_exact, job, settings, machine)
    wants = Wants(job, own, device_fence(launch), is_accounted, settings.memory_swappiness, is_open)
    return wants, limits.unmet_cores(grant, settings, machine)


def _in_kernel_numbers(topology: Topology, cpus: str) -> str:
    """Grants count CPUs through threads, cores and sockets; the kernel has its own order."""
    return cpuset.format(topology.kernel_mask(cpuset.parse(cpus)))


def read_machine(settings: CgroupSettings) -> Machine:
    """Return what the limits are cut to on this machine."""
    mount = settings.mountpoint
    text = files.read_or_empty(os.path.join(mount, "cpuset"), "cpuset.cpus")
    text = text or files.read_or_empty(mount, "cpuset.cpus.effective")
    cpus = cpuset.parse(text) if text else (1 << (os.cpu_count() or 1)) - 1
    return Machine(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB, cpus)
