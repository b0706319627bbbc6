"""Random nodes, requests and takers for the laws of resources."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.node import GresPlace, Node
from sluice.model.partition import Partition
from sluice.model.request import GresRequest, JobSpec
from sluice.model.states import NodeState
from sluicectld.scheduler.needs import Needs, compute_needs
from sluicectld.scheduler.snapshot import Policy
from tests.builders import make_spec


class Scene(msgspec.Struct, frozen=True):
    """One node in one partition under one policy."""

    node: Node
    partition: Partition
    policy: Policy


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    sockets = draw(st.sampled_from([1, 2, 2, 4]))
    cores = draw(st.integers(1, 4))
    threads = draw(st.sampled_from([1, 1, 2]))
    gres: list[GresRequest] = []
    places: list[GresPlace] = []
    for kind in draw(st.sampled_from([(), ("",), ("a",), ("a", "b")])):
        count = draw(st.integers(1, 4))
        gres.append(GresRequest(name="gpu", type=kind, count=count))
        if draw(st.booleans()):
            places += draw(places_of(kind, count, sockets, cores))
    if gres and draw(st.booleans()):
        gres.append(GresRequest(name="shard", count=draw(st.integers(1, 12))))
    if draw(st.booleans()):
        gres.append(GresRequest(name="tape", count=draw(st.sampled_from([3, 1 << 20]))))
        places.append(GresPlace(name="tape", count=gres[-1].count, is_counted=draw(st.booleans())))
    return Node(
        name="n1",
        cpus=sockets * cores * threads,
        sockets=sockets,
        cores_per_socket=cores,
        threads_per_core=threads,
        memory_mib=draw(st.sampled_from([1000, 4000])),
        gres=tuple(gres),
        gres_places=tuple(places),
        core_spec_count=draw(st.sampled_from([0, 0, 0, 1])) if sockets * cores > 1 else 0,
        mem_spec_limit_mib=draw(st.sampled_from([0, 0, 100])),
        state=NodeState.UP,
    )


@st.composite
def places_of(draw: st.DrawFn, kind: str, count: int, sockets: int, cores: int) -> list[GresPlace]:
    """Each unit near one socket, or near half of one."""
    found = []
    for _ in range(count):
        first = draw(st.integers(0, sockets - 1)) * cores
        last = first + draw(st.integers(1, cores)) - 1
        found.append(GresPlace(name="gpu", type=kind, cores=f"{first}-{last}"))
    return found


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    oversubscribe = draw(st.sampled_from(["NO", "NO", "YES:2", "FORCE:3"]))
    unit = draw(st.sampled_from(["core", "core", "cpu", "socket", "node"]))
    return Scene(
        draw(nodes()),
        Partition(name="batch", nodes=("n1",), oversubscribe=oversubscribe),
        Policy(select_unit=unit, is_block_by_default=draw(st.booleans()), allows_core_spec=True),
    )


_gpus = st.builds(
    lambda kind, count: (GresRequest(name="gpu", type=kind, count=count),),
    st.sampled_from(["", "a", "b"]),
    st.integers(1, 4),
)
_gres = st.one_of(
    st.just(()),
    _gpus,
    st.just((GresRequest(name="gpu", type="a"), GresRequest(name="gpu", count=1))),
    st.builds(lambda count: (GresRequest(name="shard", count=count),), st.integers(1, 6)),
    st.just((GresRequest(name="tape", count=2),)),
)
_others = st.sampled_from(
    [
        (),
        (),
        (("gres-flags", "enforce-binding"),),
        (("gres-flags", "disable-binding"),),
        (("ntasks-per-gpu", "2"),),
    ]
)
_memory = st.sampled_from(
    [{"memory_per_node_mib": 1}, {"memory_per_cpu_mib": 300}, {"memory_per_gpu_mib": 500}, {"memory_per_node_mib": 0}]
)


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    """Return a request for one node."""
    fields = {
        "ntasks": draw(st.integers(1, 12)),
        "cpus_per_task": draw(st.integers(1, 3)),
        "ntasks_per_core": draw(st.sampled_from([0, 0, 0, 1])),
        "ntasks_per_socket": draw(st.sampled_from([0, 0, 0, 1, 2])),
        "threads_per_core": draw(st.sampled_from([0, 0, 0, 1])),
        "min_cpus_per_node": draw(st.sampled_from([0, 0, 0, 3])),
        "exclusive": draw(st.sampled_from(["", "", "", "node"])),
        "core_spec": draw(st.sampled_from([0, 0, 0, 1])),
        "can_oversubscribe": draw(st.booleans()),
        "is_overcommitted": draw(st.sampled_from([False, False, False, True])),
        "distribution": draw(st.sampled_from(["", "block:block", "block:cyclic"])),
        "cpus_per_gpu": draw(st.sampled_from([0, 0, 2])),
        "gres_per_node": draw(_gres),
        "other": draw(_others),
    } | draw(_memory)
    if draw(st.integers(0, 3)) == 0:
        fields["gres_per_task"] = draw(_gpus)
    if draw(st.integers(0, 5)) == 0:
        fields["gres_per_socket"] = draw(_gpus)
        fields["sockets_per_node"] = draw(st.integers(1, 2))
    return make_spec(1, **fields)


def needs_of(spec: JobSpec, scene: Scene) -> Needs:
    """Return the needs of the request, whatever part of its tasks the node holds."""
    return replace(compute_needs(spec, scene.partition, scene.policy), nodes_max=0)
