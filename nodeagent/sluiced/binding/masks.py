"""Which CPUs each task of a step may run on.  Pure.

What the tasks are bound to, the first that says something:

    --cpu-bind; --hint; --ntasks-per-core (cores); --ntasks-per-socket (sockets); the node's or the partition's CpuBind
    and TaskPluginParam; else the level of which the step has as many, whole, as its tasks need CPUs: sockets, cores,
    threads; else TaskPluginParam's autobind; else nothing.

What is bound to nothing may run on all of the step's CPUs, and so may all tasks of a step that need more CPUs than it
has.  A step that has one thread of a core may run on the others that its job has there, so that a task has its core.
With too few cores for its tasks a step that is bound to cores has tasks share them, in turn.

Invariant: a mask is within the step's CPUs and their cores, and never empty while the step has any.
Source: CONTRACT section 4; masks recorded from Slurm 22.05 (tests/nodeagent/binding).
"""

from __future__ import annotations

from typing import NamedTuple

from sluice import cpuset
from sluice.cpu_bind import CpuBind
from sluice.distribution import Distribution
from sluice.errors import InvalidRequest
from sluiced.binding.deal import Limits, NotEnough, deal, deal_again
from sluiced.binding.topology import Place, Topology

_HINTS = {"compute_bound": "cores", "memory_bound": "cores", "multithread": "threads", "nomultithread": "threads"}
#: How the lines of --cpu-bind=verbose call each way of binding.
_STYLES = {
    "none": "NONE", "rank": "RANK", "map_cpu": "MAP ", "mask_cpu": "MASK",
    "rank_ldom": "LDRANK", "map_ldom": "LDMAP ", "mask_ldom": "LDMASK",
}  # fmt: skip


class Request(NamedTuple):
    """What decides on the masks of a step's tasks on one node.

    cpus: of the step, as the scheduler numbers them.  job_cpus: of its job, 0 for the same.
    default_kind, auto_kind: of the configuration, "" for none.
    """

    topology: Topology
    cpus: int
    ntasks: int
    cpus_per_task: int = 1
    bind: CpuBind = CpuBind()
    distribution: Distribution = Distribution()
    hint: str = ""
    threads_per_core: int = 0
    tasks_per_core: int = 0
    tasks_per_socket: int = 0
    default_kind: str = ""
    auto_kind: str = ""
    job_cpus: int = 0

    @property
    def reach(self) -> int:
        """Return the step's CPUs, and the job's others on the same cores."""
        places = self.topology.places
        own = self.cpus & self.topology.all_cpus
        cores = {places[number].core for number in cpuset.numbers(own)}
        return own | sum(
            1 << number
            for number in cpuset.numbers(self.job_cpus & self.topology.all_cpus & ~own)
            if places[number].core in cores
        )

    @property
    def uses_one_thread(self) -> bool:
        return self.hint == "nomultithread" or self.threads_per_core == 1


class Masks(NamedTuple):
    """The kernel's CPUs of each task, by local id.  style: of the verbose lines; bind: as the environment tells it."""

    masks: tuple[int, ...]
    style: str
    bind: CpuBind


def decide_masks(request: Request) -> Masks:
    """Return each task's mask.  Raises InvalidRequest where a map names CPUs that the step does not have."""
    kind = request.bind.kind or _implied_kind(request) or _matching_kind(request) or request.auto_kind
    reach = request.reach
    allowed = request.topology.kernel_mask(reach)
    if kind == "none" and reach == request.topology.all_cpus:
        return Masks((allowed,) * request.ntasks, "NONE", request.bind._replace(kind="none"))
    if request.bind.is_manual and kind != "none":
        return _by_hand(request, allowed)
    masks = _dealt(request, kind) if kind not in ("", "none") else [allowed] * request.ntasks
    width = (len(request.topology.places) + 3) // 4
    listed = ",".join(f"0x{mask:0{width}X}" for mask in masks)
    bind = CpuBind("mask_cpu", tuple(masks), listed, request.bind.is_verbose)
    return Masks(tuple(masks), "MASK", bind)


def _implied_kind(request: Request) -> str:
    if request.hint:
        return _HINTS.get(request.hint, "")
    if request.tasks_per_core:
        return "cores"
    return "sockets" if request.tasks_per_socket else request.default_kind


def _matching_kind(request: Request) -> str:
    """Return the level of which the step has as many as its tasks need CPUs."""
    needed = request.ntasks * request.cpus_per_task
    for kind, level in (("sockets", "socket"), ("cores", "core")):
        if _count_whole(request, level) == needed:
            return kind
    return "threads" if request.reach.bit_count() == needed else ""


def _count_whole(request: Request, level: str) -> int:
    """Return how many sockets or cores the step has with all of their CPUs."""
    masks: dict[int, int] = {}
    for number, place in enumerate(request.topology.places):
        group = getattr(place, level)
        masks[group] = masks.get(group, 0) | 1 << number
    reach = request.reach
    return sum(1 for mask in masks.values() if mask & reach == mask)


# Dealt masks.


def _dealt(request: Request, kind: str) -> list[int]:
    topology = request.topology
    own = {number: topology.places[number] for number in cpuset.numbers(request.cpus & topology.all_cpus)}
    reach = {number: topology.places[number] for number in cpuset.numbers(request.reach)}
    everything = [topology.kernel_mask(request.reach)] * request.ntasks
    if request.ntasks * request.cpus_per_task > len(own):
        return everything
    if kind == "cores":
        return [_widened(reach, numbers, "core") for numbers in _deal_cores(request, own)]
    dealt = _deal_threads(request, own)
    level = {"sockets": "socket", "ldoms": "domain"}.get(kind)
    if level is None:
        return [topology.kernel_mask(sum(1 << number for number in numbers)) for numbers in dealt]
    return [_widened(reach, numbers, level) for numbers in dealt]


def _deal_cores(request: Request, own: dict[int, Place]) -> list[list[int]]:
    """Return for each task one CPU of each core that it has: whole cores, shared when there are too few."""
    numbers_by_core: dict[int, list[int]] = {}
    for number, place in own.items():
        numbers_by_core.setdefault(place.core, []).append(number)
    cores = {numbers[0]: own[numbers[0]] for numbers in numbers_by_core.values()}
    threads = 1 if request.uses_one_thread else max(map(len, numbers_by_core.values()))
    size = -(-request.cpus_per_task // threads)
    # A core is one unit here, so that a limit of tasks on it says nothing.
    limits = Limits(per_socket=request.tasks_per_socket)
    try:
        return deal(cores, request.ntasks, size, request.distribution, limits)
    except NotEnough:
        return deal_again(cores, request.ntasks, size, request.distribution)


def _deal_threads(request: Request, own: dict[int, Place]) -> list[list[int]]:
    """Return for each task its CPUs; what asks for less than there is gets by without its limits."""
    limits = Limits(request.tasks_per_core, request.tasks_per_socket)
    singles: dict[int, Place] = {}
    cores = set()
    for number, place in own.items():
        if place.core not in cores:
            singles[number] = place
        cores.add(place.core)
    for places, bounds in ((singles if request.uses_one_thread else own, limits), (own, limits)):
        try:
            return deal(places, request.ntasks, request.cpus_per_task, request.distribution, bounds)
        except NotEnough:
            continue
    return deal(own, request.ntasks, request.cpus_per_task, request.distribution)


def _widened(reach: dict[int, Place], numbers: list[int], level: str) -> int:
    """Return the kernel's CPUs of all that the step has of these CPUs' cores, sockets or domains."""
    groups = {getattr(reach[number], level) for number in numbers}
    mask = 0
    for place in reach.values():
        if getattr(place, level) in groups:
            mask |= place.mask
    return mask


# Masks by hand.


def _by_hand(request: Request, allowed: int) -> Masks:
    bind = request.bind
    masks = tuple(_hand_mask(request, allowed, local_id) for local_id in range(request.ntasks))
    return Masks(masks, _STYLES[bind.kind], bind)


def _hand_mask(request: Request, allowed: int, local_id: int) -> int:
    bind = request.bind
    value = bind.values[local_id % len(bind.values)] if bind.values else local_id
    if bind.kind == "rank":
        numbers = cpuset.numbers(request.topology.kernel_mask(request.cpus))
        return 1 << numbers[value % len(numbers)]
    if bind.kind in ("map_cpu", "mask_cpu"):
        mask = 1 << value if bind.kind == "map_cpu" else value
        if not mask or mask & ~allowed:
            width = (len(request.topology.places) + 3) // 4
            raise InvalidRequest(
                f"CPU binding outside of job step allocation, allocated CPUs are: 0x{allowed:0{width}X}.", "cpu_bind"
            )
        return mask
    return _domain_mask(request, value)


def _domain_mask(request: Request, value: int) -> int:
    """Return the step's CPUs in the NUMA domains that a rank, a number or a mask means."""
    topology = request.topology
    known = topology.domains()
    numbers = list(known)
    if request.bind.kind == "rank_ldom":
        own = [domain for domain in numbers if known[domain] & request.cpus]
        return topology.kernel_mask(known[own[value % len(own)]] & request.cpus)
    wanted = cpuset.numbers(value) if request.bind.kind == "mask_ldom" else [value]
    cpus = sum(known.get(domain, 0) for domain in wanted) & request.cpus
    if not cpus:
        text = cpuset.format(sum(1 << domain for domain in numbers))
        asked = cpuset.format(sum(1 << domain for domain in wanted))
        raise InvalidRequest(
            f"the step has no CPUs in NUMA domain {asked} (--cpu-bind={request.bind.kind}); the node has {text}",
            "cpu_bind",
        )
    return topology.kernel_mask(cpus)
