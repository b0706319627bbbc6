"""The table of changes that could let a job start now: one row a change, with its cost and how it is told.

A row offers values from the least change to the greatest; where less is always easier to place (is_monotone), the
greatest one tells whether the change can help at all, and halving finds the least that does.  Gates are what must be
lifted whatever else is changed.  Whether a changed job starts is a pass's to say (whatif.py).

Costs compare what a user gives up; docs/decisions/cheapest-change.md explains them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from sluice import duration, hostlist
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
    it.
    """

    name: str
    cost: float
    values: Callable[[Job, Ground], Sequence[Any]]
    apply: Callable[[Job, Any], Job]
    words: Callable[[Job, Any], str]
    setting: Callable[[Job, Any], str]
    span: float = 0.0
    is_monotone: bool = True
    is_gate: bool = False


def _spec(job: Job, **fields: Any) -> Job:
    return replace(job, spec=replace(job.spec, **fields))


def _no_setting(_job: Job, _value: Any) -> str:
    return ""


def _toggle(
    name: str,
    cost: float,
    has: Callable[[Job], bool],
    fields: dict[str, Any],
    words: Callable[[Job], str],
    setting: str,
) -> Change:
    """Return the change that drops one demand of the request."""
    return Change(
        name,
        cost,
        lambda job, _: (None,) if has(job) else (),
        lambda job, _: _spec(job, **fields),
        lambda job, _: words(job),
        lambda _job, _value: setting,
    )


# --- gates


def _held_by_user(job: Job, _ground: Ground) -> Sequence[None]:
    return (None,) if job.hold is Hold.USER else ()


def _held_by_admin(job: Job, _ground: Ground) -> Sequence[None]:
    return (None,) if job.hold is Hold.ADMIN else ()


def _release(job: Job, _value: None) -> Job:
    return replace(job, hold=Hold.NONE, priority=job.priority or 1)


def _waits_for_jobs(job: Job, _ground: Ground) -> Sequence[None]:
    return (None,) if job.dependency.terms else ()


def _without_dependency(job: Job, _value: None) -> Job:
    return _spec(replace(job, dependency=Dependency()), dependency=Dependency())


def _begins_later(job: Job, ground: Ground) -> Sequence[None]:
    return (None,) if job.begin_at is not None and job.begin_at > ground.now_at else ()


def _begin_now(job: Job, _value: None) -> Job:
    return _spec(replace(job, begin_at=None), begin_at=None)


# --- less of something


def _limits(job: Job, _ground: Ground) -> Sequence[int]:
    minutes = _LONGEST_LIMIT_MIN if job.limit_s is None else -(-job.limit_s // _MINUTE_S) - 1
    return range(min(minutes, _LONGEST_LIMIT_MIN), 0, -1)


def _with_limit(job: Job, minutes: int) -> Job:
    limit_s = minutes * _MINUTE_S
    return _spec(replace(job, limit_s=limit_s), limit_s=limit_s, is_unlimited=False)


def _limit_words(job: Job, minutes: int) -> str:
    return f"-t {duration.format_long(minutes * _MINUTE_S)} instead of {duration.format_long(job.limit_s)}"


def _limit_setting(_job: Job, minutes: int) -> str:
    return f"TimeLimit={minutes}"


def _memories(job: Job, ground: Ground) -> Sequence[int]:
    spec = job.spec
    if spec.memory_per_gpu_mib is not None:
        return ()
    asked = spec.memory_per_cpu_mib if spec.memory_per_cpu_mib is not None else spec.memory_per_node_mib
    return range((asked or ground.node_memory_mib) - 1, 0, -1)


def _with_memory(job: Job, memory_mib: int) -> Job:
    if job.spec.memory_per_cpu_mib is not None:
        return _spec(job, memory_per_cpu_mib=memory_mib)
    return _spec(job, memory_per_node_mib=memory_mib)


def _memory_words(job: Job, memory_mib: int) -> str:
    spec = job.spec
    if spec.memory_per_cpu_mib is not None:
        return f"--mem-per-cpu={memory_mib}M instead of {spec.memory_per_cpu_mib}M"
    asked = f"{spec.memory_per_node_mib}M" if spec.memory_per_node_mib else "all memory of a node"
    return f"--mem={memory_mib}M instead of {asked}"


def _memory_setting(job: Job, memory_mib: int) -> str:
    return f"{'MinMemoryCPU' if job.spec.memory_per_cpu_mib is not None else 'MinMemoryNode'}={memory_mib}"


def _fewer_cpus(job: Job, _ground: Ground) -> Sequence[int]:
    return range(job.spec.cpus_per_task - 1, 0, -1)


def _fewer_nodes(job: Job, _ground: Ground) -> Sequence[int]:
    return range(job.spec.min_nodes - 1, max(len(job.spec.required_nodes), 1) - 1, -1)


def _with_nodes(job: Job, nodes: int) -> Job:
    most = job.spec.max_nodes
    return _spec(job, min_nodes=nodes, max_nodes=most if most > job.spec.min_nodes else nodes)


def _nodes_setting(job: Job, nodes: int) -> str:
    most = job.spec.max_nodes
    return f"NumNodes={nodes}" + (f"-{most}" if most > job.spec.min_nodes else "")


def _fewer_tasks(job: Job, _ground: Ground) -> Sequence[int]:
    return range(job.spec.ntasks - 1, 0, -1)


def _fewer_units(field: str) -> Callable[[Job, Ground], Sequence[int]]:
    """Values for the units of the one resource that a field asks for."""

    def values(job: Job, _ground: Ground) -> Sequence[int]:
        items = getattr(job.spec, field)
        return range(items[0].count - 1, 0, -1) if len(items) == 1 else ()

    return values


def _with_units(field: str) -> Callable[[Job, int], Job]:
    def apply(job: Job, count: int) -> Job:
        item = getattr(job.spec, field)[0]
        return _spec(job, **{field: (replace(item, count=count),)})

    return apply


def _units_words(field: str, option: str) -> Callable[[Job, int], str]:
    def words(job: Job, count: int) -> str:
        items = getattr(job.spec, field)
        return f"{option}={_spell((replace(items[0], count=count),))} instead of {_spell(items)}"

    return words


def _spell(items: Sequence[GresRequest]) -> str:
    return ",".join(f"{item.name}{':' + item.type if item.type else ''}:{item.count}" for item in items)


def _typed(job: Job, _ground: Ground) -> Sequence[None]:
    return (None,) if any(item.type for item in (*job.spec.gres_per_node, *job.spec.gres_per_job)) else ()


def _without_types(job: Job, _value: None) -> Job:
    spec = job.spec
    untyped = [tuple([replace(item, type="") for item in items]) for items in (spec.gres_per_node, spec.gres_per_job)]
    return _spec(job, gres_per_node=untyped[0], gres_per_job=untyped[1])


def _types_words(job: Job, _value: None) -> str:
    return f"any type in place of {_spell((*job.spec.gres_per_node, *job.spec.gres_per_job))}"


# --- somewhere else, or more at a time


def _other_partitions(job: Job, ground: Ground) -> Sequence[str]:
    return tuple([name for name in ground.partitions if name not in (job.spec.partitions or (job.partition,))])


def _in_partition(job: Job, name: str) -> Job:
    return _spec(replace(job, partition=name), partitions=(name,))


def _throttles(job: Job, ground: Ground) -> Sequence[int]:
    throttle = job.pending_array.throttle if job.pending_array is not None else 0
    return (ground.running_tasks + 1,) if 0 < throttle <= ground.running_tasks else ()


def _with_throttle(job: Job, throttle: int) -> Job:
    assert job.pending_array is not None, f"job {job.id} is no array"
    array = PendingArray(ranges=job.pending_array.ranges, throttle=throttle)
    return _spec(replace(job, pending_array=array), array_throttle=throttle)


_GEOMETRY = {"sockets_per_node": 0, "cores_per_socket": 0, "threads_per_core": 0}

#: Cheapest first; equal costs keep this order.
CHANGES: tuple[Change, ...] = (
    Change(
        "release",
        1,
        _held_by_user,
        _release,
        lambda _job, _value: "release it",
        lambda _job, _value: "scontrol release",
        is_gate=True,
    ),
    Change(
        "begin now",
        1,
        _begins_later,
        _begin_now,
        lambda _job, _value: "begin now, without --begin",
        lambda _job, _value: "StartTime=now",
        is_gate=True,
    ),
    Change(
        "throttle",
        1,
        _throttles,
        _with_throttle,
        lambda _job, value: f"{value} tasks of the array at a time",
        lambda _job, value: f"ArrayTaskThrottle={value}",
    ),
    Change("shorter limit", 1, _limits, _with_limit, _limit_words, _limit_setting, span=10),
    _toggle(
        "switches",
        2,
        lambda job: bool(job.spec.switches),
        {"switches": ""},
        lambda _: "without --switches",
        "Switches=",
    ),
    _toggle(
        "contiguous",
        2,
        lambda job: job.spec.is_contiguous,
        {"is_contiguous": False},
        lambda _: "without --contiguous",
        "",
    ),
    Change("less memory", 2, _memories, _with_memory, _memory_words, _memory_setting, span=10),
    Change(
        "other partition",
        2,
        _other_partitions,
        _in_partition,
        lambda _job, name: f"-p {name}",
        lambda _job, name: f"Partition={name}",
        is_monotone=False,
    ),
    _toggle(
        "excluded nodes",
        3,
        lambda job: bool(job.spec.excluded_nodes),
        {"excluded_nodes": ()},
        lambda job: f"without -x {hostlist.fold(job.spec.excluded_nodes)}",
        "ExcNodeList=",
    ),
    _toggle(
        "required nodes",
        3,
        lambda job: bool(job.spec.required_nodes),
        {"required_nodes": ()},
        lambda job: f"without -w {hostlist.fold(job.spec.required_nodes)}",
        "ReqNodeList=",
    ),
    _toggle(
        "exclusive", 3, lambda job: bool(job.spec.exclusive), {"exclusive": ""}, lambda _: "without --exclusive", ""
    ),
    _toggle(
        "least CPUs of a node",
        3,
        lambda job: job.spec.min_cpus_per_node > 0,
        {"min_cpus_per_node": 0},
        lambda _: "without --mincpus",
        "MinCPUsNode=0",
    ),
    _toggle("local disk", 4, lambda job: job.spec.tmp_disk_mib > 0, {"tmp_disk_mib": 0}, lambda _: "without --tmp", ""),
    _toggle(
        "shape of nodes",
        4,
        lambda job: any(getattr(job.spec, field) for field in _GEOMETRY),
        _GEOMETRY,
        lambda _: "without a shape of sockets, cores and threads",
        "",
    ),
    _toggle(
        "tasks of a node",
        4,
        lambda job: job.spec.ntasks_per_node > 0 and "ntasks" in job.spec.given,
        {"ntasks_per_node": 0},
        lambda _: "without --ntasks-per-node",
        "",
    ),
    Change(
        "fewer CPUs of a task",
        4,
        _fewer_cpus,
        lambda job, count: _spec(job, cpus_per_task=count),
        lambda job, count: f"-c {count} instead of {job.spec.cpus_per_task}",
        lambda _job, count: f"CPUsPerTask={count}",
        span=10,
    ),
    Change("any type", 4, _typed, _without_types, _types_words, _no_setting),
    Change(
        "fewer nodes",
        5,
        _fewer_nodes,
        _with_nodes,
        lambda job, count: f"-N {count} instead of {job.spec.min_nodes}",
        _nodes_setting,
        span=10,
    ),
    Change(
        "fewer tasks",
        5,
        _fewer_tasks,
        lambda job, count: _spec(job, ntasks=count),
        lambda job, count: f"-n {count} instead of {job.spec.ntasks}",
        lambda _job, count: f"NumTasks={count}",
        span=10,
    ),
    Change(
        "fewer units on a node",
        6,
        _fewer_units("gres_per_node"),
        _with_units("gres_per_node"),
        _units_words("gres_per_node", "--gres"),
        lambda job, count: f"Gres={_spell((replace(job.spec.gres_per_node[0], count=count),))}",
        span=10,
    ),
    Change(
        "fewer units",
        6,
        _fewer_units("gres_per_job"),
        _with_units("gres_per_job"),
        _units_words("gres_per_job", "--gpus"),
        _no_setting,
        span=10,
    ),
    _toggle(
        "features",
        6,
        lambda job: bool(job.spec.features),
        {"features": ""},
        lambda job: f"without -C {job.spec.features}",
        "Features=",
    ),
    _toggle(
        "licenses",
        12,
        lambda job: bool(job.spec.licenses),
        {"licenses": ""},
        lambda job: f"without -L {job.spec.licenses}",
        "Licenses=",
    ),
    Change(
        "dependency",
        15,
        _waits_for_jobs,
        _without_dependency,
        lambda _job, _value: "without --dependency",
        lambda _job, _value: "Dependency=",
        is_gate=True,
    ),
    Change(
        "release by an administrator",
        20,
        _held_by_admin,
        _release,
        lambda _job, _value: "have an administrator release it",
        lambda _job, _value: "scontrol release",
        is_gate=True,
    ),
)
