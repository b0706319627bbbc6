"""How one demand of a request is changed: which values a change has, what it makes of the job, how it is told.

The functions behind the table in changes.py; each group says less of one thing.  Nothing here knows what starts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from sluice import duration
from sluice.model.job import Job, PendingArray
from sluice.model.request import Dependency, GresRequest
from sluice.model.states import Hold

_MINUTE_S = 60
#: Limits longer than this are tried as if they were this long.
_LONGEST_LIMIT_MIN = 366 * 24 * 60


class Ground(msgspec.Struct, frozen=True):
    """What the values depend on besides the job.

    partitions: those that the job's user may name.  node_memory_mib: of the largest node.
    running_tasks: of the job's array.
    """

    now_at: float
    partitions: tuple[str, ...] = ()
    node_memory_mib: int = 0
    running_tasks: int = 0


class Change(msgspec.Struct, frozen=True):
    """cost: of any use; span: what is added in proportion to what is given up.

    values: from the least change to the greatest, empty when the change is none for this job.
    setting: KEY=VALUE for `scontrol update`, or a command that takes the job's id; "" when only a new submission can do
    it.  is_bounded: too much of it helps no more, as fewer nodes hold fewer tasks.
    """

    name: str
    cost: float
    values: Callable[[Job, Ground], Sequence[Any]]
    apply: Callable[[Job, Any], Job]
    words: Callable[[Job, Any], str]
    setting: Callable[[Job, Any], str]
    span: float = 0.0
    is_monotone: bool = True
    is_bounded: bool = False
    is_gate: bool = False


def with_fields(job: Job, **fields: Any) -> Job:
    return replace(job, spec=replace(job.spec, **fields))


def no_setting(_job: Job, _value: Any) -> str:
    return ""


# --- gates


def held_by_user(job: Job, _ground: Ground) -> Sequence[None]:
    return (None,) if job.hold is Hold.USER else ()


def held_by_admin(job: Job, _ground: Ground) -> Sequence[None]:
    return (None,) if job.hold is Hold.ADMIN else ()


def release(job: Job, _value: None) -> Job:
    return replace(job, hold=Hold.NONE, priority=job.priority or 1)


def waits_for_jobs(job: Job, _ground: Ground) -> Sequence[None]:
    return (None,) if job.dependency.terms else ()


def without_dependency(job: Job, _value: None) -> Job:
    return with_fields(replace(job, dependency=Dependency()), dependency=Dependency())


def begins_later(job: Job, ground: Ground) -> Sequence[None]:
    return (None,) if job.begin_at is not None and job.begin_at > ground.now_at else ()


def begin_now(job: Job, _value: None) -> Job:
    return with_fields(replace(job, begin_at=None), begin_at=None)


# --- less of something


def limits(job: Job, _ground: Ground) -> Sequence[int]:
    minutes = _LONGEST_LIMIT_MIN if job.limit_s is None else -(-job.limit_s // _MINUTE_S) - 1
    return range(min(minutes, _LONGEST_LIMIT_MIN), 0, -1)


def with_limit(job: Job, minutes: int) -> Job:
    limit_s = minutes * _MINUTE_S
    return with_fields(replace(job, limit_s=limit_s), limit_s=limit_s, is_unlimited=False)


def limit_words(job: Job, minutes: int) -> str:
    return f"-t {duration.format_long(minutes * _MINUTE_S)} instead of {duration.format_long(job.limit_s)}"


def limit_setting(_job: Job, minutes: int) -> str:
    return f"TimeLimit={minutes}"


def memories(job: Job, ground: Ground) -> Sequence[int]:
    spec = job.spec
    if spec.memory_per_gpu_mib is not None:
        return ()
    asked = spec.memory_per_cpu_mib if spec.memory_per_cpu_mib is not None else spec.memory_per_node_mib
    return range((asked or ground.node_memory_mib) - 1, 0, -1)


def with_memory(job: Job, memory_mib: int) -> Job:
    if job.spec.memory_per_cpu_mib is not None:
        return with_fields(job, memory_per_cpu_mib=memory_mib)
    return with_fields(job, memory_per_node_mib=memory_mib)


def memory_words(job: Job, memory_mib: int) -> str:
    spec = job.spec
    if spec.memory_per_cpu_mib is not None:
        return f"--mem-per-cpu={memory_mib}M instead of {spec.memory_per_cpu_mib}M"
    asked = f"{spec.memory_per_node_mib}M" if spec.memory_per_node_mib else "all memory of a node"
    return f"--mem={memory_mib}M instead of {asked}"


def memory_setting(job: Job, memory_mib: int) -> str:
    return f"{'MinMemoryCPU' if job.spec.memory_per_cpu_mib is not None else 'MinMemoryNode'}={memory_mib}"


def fewer_cpus(job: Job, _ground: Ground) -> Sequence[int]:
    return range(job.spec.cpus_per_task - 1, 0, -1)


def fewer_nodes(job: Job, _ground: Ground) -> Sequence[int]:
    return range(job.spec.min_nodes - 1, max(len(job.spec.required_nodes), 1) - 1, -1)


def with_nodes(job: Job, nodes: int) -> Job:
    most = job.spec.max_nodes
    return with_fields(job, min_nodes=nodes, max_nodes=most if most > job.spec.min_nodes else nodes)


def nodes_setting(job: Job, nodes: int) -> str:
    most = job.spec.max_nodes
    return f"NumNodes={nodes}" + (f"-{most}" if most > job.spec.min_nodes else "")


def fewer_tasks(job: Job, _ground: Ground) -> Sequence[int]:
    return range(job.spec.ntasks - 1, 0, -1)


def fewer_units(field: str) -> Callable[[Job, Ground], Sequence[int]]:
    """Values for the units of the one resource that a field asks for."""

    def values(job: Job, _ground: Ground) -> Sequence[int]:
        items = getattr(job.spec, field)
        return range(items[0].count - 1, 0, -1) if len(items) == 1 else ()

    return values


def with_units(field: str) -> Callable[[Job, int], Job]:
    def apply(job: Job, count: int) -> Job:
        item = getattr(job.spec, field)[0]
        return with_fields(job, **{field: (replace(item, count=count),)})

    return apply


def units_words(field: str, option: str) -> Callable[[Job, int], str]:
    def words(job: Job, count: int) -> str:
        items = getattr(job.spec, field)
        return f"{option}={spell((replace(items[0], count=count),))} instead of {spell(items)}"

    return words


def spell(items: Sequence[GresRequest]) -> str:
    return ",".join(f"{item.name}{':' + item.type if item.type else ''}:{item.count}" for item in items)


def typed(job: Job, _ground: Ground) -> Sequence[None]:
    return (None,) if any(item.type for item in (*job.spec.gres_per_node, *job.spec.gres_per_job)) else ()


def without_types(job: Job, _value: None) -> Job:
    spec = job.spec
    untyped = [tuple([replace(item, type="") for item in items]) for items in (spec.gres_per_node, spec.gres_per_job)]
    return with_fields(job, gres_per_node=untyped[0], gres_per_job=untyped[1])


def types_words(job: Job, _value: None) -> str:
    return f"any type in place of {spell((*job.spec.gres_per_node, *job.spec.gres_per_job))}"


# --- somewhere else, or more at a time


def other_partitions(job: Job, ground: Ground) -> Sequence[str]:
    return tuple([name for name in ground.partitions if name not in (job.spec.partitions or (job.partition,))])


def in_partition(job: Job, name: str) -> Job:
    return with_fields(replace(job, partition=name), partitions=(name,))


def throttles(job: Job, ground: Ground) -> Sequence[int]:
    throttle = job.pending_array.throttle if job.pending_array is not None else 0
    return (ground.running_tasks + 1,) if 0 < throttle <= ground.running_tasks else ()


def with_throttle(job: Job, throttle: int) -> Job:
    assert job.pending_array is not None, f"job {job.id} is no array"
    array = PendingArray(ranges=job.pending_array.ranges, throttle=throttle)
    return with_fields(replace(job, pending_array=array), array_throttle=throttle)
