"""Random small clusters with everything that may keep a job waiting, for laws about explanations and memories."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.node import Node
from sluice.model.priority import PrioritySetup
from sluice.model.request import GresRequest
from sluice.model.reservation import CoreShare, Reservation
from sluice_plugins.registry import prepare_priority
from sluicectld.scheduler.snapshot import Policy, Snapshot
from sluicectld.scheduler.totals import Totals, compute_totals
from tests.builders import Cluster
from tests.limits_builder import Site

GPUS = (GresRequest(name="gpu", type="a100", count=2),)
_SETUP = PrioritySetup(weights={"jobsize": 1_000_000, "partition": 10_000_000})
_RULE = prepare_priority(_SETUP)
_RESERVATION_NAMES = ("r1", "r2")


class Drawn(msgspec.Struct, frozen=True):
    """A snapshot, whose pending jobs are eligible, and a policy for it."""

    snapshot: Snapshot
    policy: Policy


_requests = st.fixed_dictionaries(
    {
        "nodes": st.integers(1, 3),
        "limit_s": st.sampled_from([60, 600, 7200, None]),
        "partitions": st.sampled_from([("batch",), ("small",), ("batch", "small"), ("small", "batch")]),
        "memory_per_node_mib": st.sampled_from([1, 1500, 4000]),
        "features": st.sampled_from(["", "", "fast"]),
        "licenses": st.sampled_from(["", "", "matlab"]),
        "exclusive": st.sampled_from(["", "", "node", "user"]),
        "gres_per_node": st.sampled_from([(), GPUS]),
        "reservation": st.sampled_from(["", "", "", *_RESERVATION_NAMES]),
        "user": st.sampled_from(["ann", "bob"]),
        "is_contiguous": st.sampled_from([False, False, True]),
        "tasks": st.sampled_from([(), (), ((1, 3, 1),)]),
        "throttle": st.sampled_from([0, 2]),
    }
)


@st.composite
def clusters(draw: st.DrawFn) -> Drawn:
    """A few nodes, some of them busy, reserved or drained, and a queue of different requests of two users."""
    cluster = Cluster(nodes=draw(st.integers(1, 4)), gres=draw(st.sampled_from([(), GPUS])))
    names = tuple(cluster.free_by_name)
    cluster.node(names[-1], features=("fast",), is_drained=draw(st.integers(0, 5)) == 0)
    cluster.licenses(matlab=draw(st.integers(0, 1)))
    cap = draw(st.sampled_from([None, None, 2]))
    cluster.partition("batch", max_cpus_per_node=cap)
    cluster.partition("small", names[:1], max_limit_s=draw(st.sampled_from([None, 600])))
    for name in names:
        cpus = draw(st.integers(0, 4))
        if cpus:
            ends_in_s = draw(st.sampled_from([-5.0, 60.0, 900.0, None]))
            cluster.running((name,), cpus=cpus, ends_in_s=ends_in_s, memory_mib=cpus * 900)
    for fields in draw(st.lists(_requests, min_size=1, max_size=5)):
        tasks = fields["nodes"] * draw(st.integers(1, 4))
        cluster.pending(**fields, ntasks=tasks, uid=1000 if fields["user"] == "ann" else 1001)
    snapshot = replace(cluster.snapshot(), reservations=draw(reservations(names, cluster.now_at)))
    policy = draw(policies([free.node for free in snapshot.nodes], snapshot))
    if draw(st.booleans()):
        site = draw(_sites)
        snapshot = site.seen_by(snapshot)
        policy = replace(policy, accounting_enforced=frozenset({"associations", "limits", "qos"}))
    return Drawn(snapshot, policy)


@st.composite
def reservations(draw: st.DrawFn, nodes: tuple[str, ...], now_at: float) -> tuple[Reservation, ...]:
    """Return none, one or two, of whole nodes or of parts."""
    found = []
    for number, name in enumerate(draw(st.sampled_from([(), (), ("r1",), _RESERVATION_NAMES])), 1):
        start_at = now_at + draw(st.sampled_from([-60.0, 300.0, 1800.0]))
        kept = draw(st.sampled_from([nodes[:1], nodes[-1:], nodes]))
        is_whole = draw(st.booleans())
        shares = tuple(CoreShare(node=each, cores="0-1", core_count=2, cpu_count=2) for each in kept)
        fields: dict[str, Any] = {"id": number, "name": name, "users": ("ann",), "nodes": kept, "anchor_at": start_at}
        flags = draw(st.sampled_from([(), (), ("MAINT",), ("OVERLAP",), ("MAGNETIC",), ("FLEX",)]))
        found.append(
            Reservation(
                start_at=start_at,
                end_at=start_at + draw(st.sampled_from([600.0, 3600.0])),
                flags=flags,
                core_shares=() if is_whole else shares,
                **fields,
            )
        )
    return tuple(found)


@st.composite
def policies(draw: st.DrawFn, nodes: list[Node], snapshot: Snapshot) -> Policy:
    """Return a policy that orders and plans in one way or another."""
    is_numbering = draw(st.booleans())
    totals = compute_totals(nodes, snapshot.partitions.values(), {}) if is_numbering else Totals()
    return Policy(
        is_backfilling=draw(st.booleans()),
        backfill_jobs_max=draw(st.sampled_from([1, 500])),
        starts_max=draw(st.sampled_from([1, 1000])),
        planned_max=draw(st.sampled_from([1, 500])),
        is_shortest_first=draw(st.integers(0, 4)) == 0,
        select_unit=draw(st.sampled_from(["core", "cpu"])),
        stops_at_limits=draw(st.booleans()),
        priority=_SETUP if is_numbering else PrioritySetup(),
        priority_rule=_RULE if is_numbering else None,
        totals=totals,
    )


_sites = st.builds(
    lambda jobs, cpus, wall_s: (
        Site().account("physics", group_tres={"cpu": cpus}).user("ann", "physics", max_jobs=jobs)
        .user("bob", "physics", max_wall_s=wall_s)
    ),
    st.sampled_from([0, 1, 5]),
    st.sampled_from([1, 4, 100]),
    st.sampled_from([None, 600]),
)  # fmt: skip
