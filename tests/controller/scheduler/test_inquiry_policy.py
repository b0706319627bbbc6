"""What reservations, limits and topologies have to do with one job's wait, and what would help."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sluice.model.explanation import Explanation
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.reservation import CoreShare, Reservation
from sluice.model.usage import Holder, HolderKind, Usage
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.inquiry import Question, answer
from sluicectld.scheduler.snapshot import Policy, Snapshot
from tests.builders import Cluster
from tests.limits_builder import Site

HOUR_S = 3600.0
ENFORCING = Policy(accounting_enforced=frozenset({"associations", "limits", "qos"}))


def ask(snapshot: Snapshot, job: Job, policy: Policy | None = None) -> Explanation:
    policy = policy or Policy()
    return answer(Question(snapshot, policy, decide(snapshot, policy), job, is_searching=True))


def kept(cluster: Cluster, *nodes: str, begins_in_s: float = 0.0, **fields: Any) -> Reservation:
    """Return a reservation for ann, of an hour."""
    at = cluster.now_at + begins_in_s
    values: dict[str, Any] = {"id": 1, "name": "r1", "users": ("ann",), "anchor_at": at, "nodes": nodes} | fields
    return Reservation(start_at=at, end_at=at + HOUR_S, **values)


def told(found: Explanation) -> list[tuple[Reason, str]]:
    return [(blocker.reason, blocker.text) for blocker in found.blockers]


def words(found: Explanation) -> list[tuple[tuple[str, ...], str]]:
    return [(each.words, each.command) for each in found.suggestions]


def last_step(found: Explanation) -> tuple[int, str, str]:
    step = found.outlooks[0].steps[-1]
    return step.nodes, step.demand, step.lost


def test_maintenance_is_told_with_its_nodes_and_a_limit_that_ends_before_it() -> None:
    cluster = Cluster(nodes=2)
    job = cluster.pending(nodes=2, limit_s=7200, user="bob", uid=1001)
    maintenance = kept(cluster, "n1", begins_in_s=3200, name="m1", flags=("MAINT",))

    found = ask(replace(cluster.snapshot(), reservations=(maintenance,)), job)

    assert [reason for reason, _ in told(found)] == [Reason.REQ_NODE_NOT_AVAIL]
    assert found.blockers[0].text.startswith("Reserved for maintenance: reservation 'm1' from 14:40 to 15:40; ")
    assert last_step(found) == (1, "not reserved for others", "reservation 'm1' from 14:40 to 15:40")
    assert words(found) == [
        (("-t 00:53:00 instead of 02:00:00",), f"scontrol update JobId={job.id} TimeLimit=53"),
        (("-N 1 instead of 2",), f"scontrol update JobId={job.id} NumNodes=1"),
    ]


@pytest.mark.parametrize(
    ("request_", "steps"),
    [
        pytest.param(
            {"required_nodes": ("n1",), "ntasks": 4},
            [(2, "with 4 CPUs free"), (2, "not reserved for others"), (0, "with n1 among them")],
            id="a node by its name",
        ),
        pytest.param(
            {"nodes": 3, "ntasks": 12}, [(2, "with 1 CPU free"), (2, "not reserved for others")], id="all nodes"
        ),
    ],
)
def test_a_busy_node_that_is_needed_is_told_with_its_job_and_its_reservation(request_, steps) -> None:
    cluster = Cluster(nodes=3).running(("n1",), ends_in_s=600)
    job = cluster.pending(user="bob", uid=1001, limit_s=7200, **request_)

    found = ask(replace(cluster.snapshot(), reservations=(kept(cluster, "n1", begins_in_s=3600),)), job)

    assert [(step.nodes, step.demand) for step in found.outlooks[0].steps][1:] == steps
    assert found.outlooks[0].steps[2].lost == "reservation 'r1' from 14:46 to 15:46"
    assert [each.job_id for each in found.outlooks[0].holders] == [1]


def test_a_job_may_leave_a_reservation_that_has_not_begun() -> None:
    cluster = Cluster(nodes=2)
    job = cluster.pending(reservation="r1")

    found = ask(replace(cluster.snapshot(), reservations=(kept(cluster, "n1", begins_in_s=600),)), job)

    assert told(found) == [(Reason.RESERVATION, "reservation 'r1' begins 13:56")]
    assert found.planned_start_at == cluster.now_at + 600
    assert words(found) == [(("outside reservation r1",), f"scontrol update JobId={job.id} ReservationName=")]


def test_the_nodes_of_its_reservation_are_a_step() -> None:
    cluster = Cluster(nodes=3).running(("n1",), ends_in_s=600)
    job = cluster.pending(reservation="r1", nodes=2, limit_s=600)

    found = ask(replace(cluster.snapshot(), reservations=(kept(cluster, "n1", "n2"),)), job)

    assert found.outlooks[0].reservation == "r1"
    assert [(step.nodes, step.demand) for step in found.outlooks[0].steps] == [
        (3, "in partition batch"),
        (2, "in reservation r1"),
        (1, "with 1 CPU free"),
    ]
    assert [holder.job_id for holder in found.outlooks[0].holders] == [1]


def test_each_reservation_that_a_job_names_is_judged() -> None:
    cluster = Cluster(nodes=2).running(("n2",))
    job = cluster.pending(reservation="gone,r1", limit_s=600)

    found = ask(replace(cluster.snapshot(), reservations=(kept(cluster, "n2"),)), job)

    assert [(each.reservation, each.blockers[0].reason) for each in found.outlooks] == [
        ("gone", Reason.RESERVATION_INVALID),
        ("r1", Reason.RESOURCES),
    ]


def test_cores_that_others_have_reserved_are_no_room() -> None:
    cluster = Cluster(nodes=1)
    job = cluster.pending(ntasks=4, user="bob", uid=1001)
    share = CoreShare(node="n1", cores="0-1", core_count=2, cpu_count=2)

    found = ask(replace(cluster.snapshot(), reservations=(kept(cluster, "n1", core_shares=(share,)),)), job)

    assert last_step(found)[:2] == (0, "not reserved for others")
    assert words(found)[0][0] == ("-n 2 instead of 4",)


def test_a_limit_is_told_with_its_holder_and_its_numbers_beside_what_the_nodes_lack() -> None:
    cluster = Cluster(nodes=2).running(("n1",), ends_in_s=600)
    job = cluster.pending(nodes=2, ntasks=2, user="ann")
    site = Site().account("physics", group_tres={"cpu": 5}).user("ann", "physics")
    account = Holder(HolderKind.ASSOCIATION, "physics")
    usage = {account: Usage(jobs=1, tres={"cpu": 4})}
    snapshot = replace(cluster.snapshot(), associations=site.associations, qos=site.qos_table, usage=usage)

    found = ask(snapshot, job, ENFORCING)

    assert [reason for reason, _ in told(found)] == ["AssocGrpCpuLimit", Reason.RESOURCES]
    assert found.blockers[0].text == "account physics: GrpTRES cpu=5, 4 in use, needs 2; 1 would fit"
    assert words(found)[0][0] == ("-N 1 instead of 2", "-n 1 instead of 2")


def test_a_limit_that_a_smaller_request_keeps_is_a_change_away() -> None:
    cluster = Cluster(nodes=1)
    job = cluster.pending(ntasks=4, user="ann", limit_s=7200)
    site = Site().account("physics").user("ann", "physics", max_wall_s=3600)

    found = ask(replace(cluster.snapshot(), associations=site.associations, qos=site.qos_table), job, ENFORCING)

    assert [reason for reason, _ in told(found)] == ["AssocMaxWallDurationPerJobLimit"]
    assert words(found)[0][0] == ("-t 01:00:00 instead of 02:00:00",)


def test_nodes_that_do_not_lie_together_are_told_as_such() -> None:
    cluster = Cluster(nodes=3).running(("n2",), ends_in_s=600)
    job = cluster.pending(nodes=2, ntasks=2, is_contiguous=True)

    found = ask(cluster.snapshot(), job)

    assert last_step(found)[:2] == (0, "near one another as asked: nodes next to one another")
    assert words(found)[0][0] == ("without --contiguous",)
