"""The table of changes that could let a job start now: one row a change, with its cost and how it is told.

Where less is always easier to place, a row's last value tells whether the change can help at all, and halving finds
the least that does (cheapest.py).  Whether a changed job starts is a pass's to say (whatif.py).

Costs compare what a user gives up; docs/decisions/cheapest-change.md explains them.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from sluice import hostlist
from sluice.model.job import Job

from .change import (
    Change,
    begin_now,
    begins_later,
    fewer_cpus,
    fewer_nodes,
    fewer_tasks,
    fewer_units,
    held_by_admin,
    held_by_user,
    in_partition,
    limit_setting,
    limit_words,
    limits,
    memories,
    memory_setting,
    memory_words,
    no_setting,
    nodes_setting,
    other_partitions,
    release,
    spell,
    throttles,
    typed,
    types_words,
    units_words,
    waits_for_jobs,
    with_fields,
    with_limit,
    with_memory,
    with_nodes,
    with_throttle,
    with_units,
    without_dependency,
    without_types,
)


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
        lambda job, _: with_fields(job, **fields),
        lambda job, _: words(job),
        lambda _job, _value: setting,
    )


_GEOMETRY = {"sockets_per_node": 0, "cores_per_socket": 0, "threads_per_core": 0}

#: Cheapest first; equal costs keep this order.
CHANGES: tuple[Change, ...] = (
    Change(
        "release",
        1,
        held_by_user,
        release,
        lambda _job, _value: "release it",
        lambda _job, _value: "scontrol release",
        is_gate=True,
    ),
    Change(
        "begin now",
        1,
        begins_later,
        begin_now,
        lambda _job, _value: "begin now, without --begin",
        lambda _job, _value: "StartTime=now",
        is_gate=True,
    ),
    Change(
        "throttle",
        1,
        throttles,
        with_throttle,
        lambda _job, value: f"{value} tasks of the array at a time",
        lambda _job, value: f"ArrayTaskThrottle={value}",
    ),
    Change("shorter limit", 1, limits, with_limit, limit_words, limit_setting, span=10),
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
    _toggle(
        "reservation",
        2,
        lambda job: bool(job.spec.reservation),
        {"reservation": ""},
        lambda job: f"outside reservation {job.spec.reservation}",
        "ReservationName=",
    ),
    Change("less memory", 2, memories, with_memory, memory_words, memory_setting, span=10),
    Change(
        "other partition",
        2,
        other_partitions,
        in_partition,
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
        fewer_cpus,
        lambda job, count: with_fields(job, cpus_per_task=count),
        lambda job, count: f"-c {count} instead of {job.spec.cpus_per_task}",
        lambda _job, count: f"CPUsPerTask={count}",
        span=10,
    ),
    Change("any type", 4, typed, without_types, types_words, no_setting),
    Change(
        "fewer nodes",
        5,
        fewer_nodes,
        with_nodes,
        lambda job, count: f"-N {count} instead of {job.spec.min_nodes}",
        nodes_setting,
        span=10,
        is_bounded=True,
    ),
    Change(
        "fewer tasks",
        5,
        fewer_tasks,
        lambda job, count: with_fields(job, ntasks=count),
        lambda job, count: f"-n {count} instead of {job.spec.ntasks}",
        lambda _job, count: f"NumTasks={count}",
        span=10,
    ),
    Change(
        "fewer units on a node",
        6,
        fewer_units("gres_per_node"),
        with_units("gres_per_node"),
        units_words("gres_per_node", "--gres"),
        lambda job, count: f"Gres={spell((replace(job.spec.gres_per_node[0], count=count),))}",
        span=10,
    ),
    Change(
        "fewer units",
        6,
        fewer_units("gres_per_job"),
        with_units("gres_per_job"),
        units_words("gres_per_job", "--gpus"),
        no_setting,
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
        waits_for_jobs,
        without_dependency,
        lambda _job, _value: "without --dependency",
        lambda _job, _value: "Dependency=",
        is_gate=True,
    ),
    Change(
        "release by an administrator",
        20,
        held_by_admin,
        release,
        lambda _job, _value: "have an administrator release it",
        lambda _job, _value: "scontrol release",
        is_gate=True,
    ),
)
