"""What reservations mean to jobs: who comes in, when, where, and what stays closed to the others."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.reservation import CoreShare, Reservation
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.reservations import OPEN, Book, compute_view
from sluicectld.scheduler.snapshot import Policy, Snapshot
from tests.builders import Cluster

HOUR_S = 3600.0
POLICY = Policy(select_unit="cpu", utc_offset_s=0)


def kept(
    cluster: Cluster, *nodes: str, begins_in_s: float = 0.0, lasts_s: float = HOUR_S, **fields: Any
) -> Reservation:
    """Return a reservation of whole nodes for ann; r1 unless it has another name."""
    start_at = cluster.now_at + begins_in_s
    values: dict[str, Any] = {"id": 1, "name": "r1", "users": ("ann",), "anchor_at": start_at} | fields
    return Reservation(start_at=start_at, end_at=start_at + lasts_s, nodes=nodes, **values)


def snapshot(cluster: Cluster, *reservations: Reservation) -> Snapshot:
    return replace(cluster.snapshot(), reservations=reservations)


def plan(cluster: Cluster, *reservations: Reservation, **policy: Any) -> Plan:
    return decide(snapshot(cluster, *reservations), replace(POLICY, **policy))


def starts(plan: Plan) -> dict[int, tuple[str, ...]]:
    return {start.job_id: start.allocation.nodes for start in plan.starts}


def bob(cluster: Cluster, **fields: Any) -> Job:
    return cluster.pending(**({"user": "bob", "uid": 1001} | fields))


def test_a_job_outside_gets_the_other_node() -> None:
    cluster = Cluster(nodes=2)
    job = bob(cluster)

    assert starts(plan(cluster, kept(cluster, "n1"))) == {job.id: ("n2",)}


def test_a_job_that_ends_before_the_reservation_may_have_its_nodes() -> None:
    cluster = Cluster(nodes=1)
    short, long = bob(cluster, limit_s=600, ntasks=1), bob(cluster, limit_s=601, ntasks=1)

    assert starts(plan(cluster, kept(cluster, "n1", begins_in_s=600))) == {short.id: ("n1",)}
    assert long.id not in starts(plan(cluster, kept(cluster, "n1", begins_in_s=600)))


def test_maintenance_is_told_with_the_longest_limit_that_fits_now() -> None:
    cluster = Cluster(nodes=1)
    job = bob(cluster, limit_s=7200)
    maintenance = kept(cluster, "n1", begins_in_s=3200, name="m1", flags=("MAINT",))

    (blocker,) = plan(cluster, maintenance).blockers[job.id]

    assert blocker.reason is Reason.REQ_NODE_NOT_AVAIL
    assert blocker.text == (
        "Reserved for maintenance: reservation 'm1' from 14:40 to 15:40; a time limit of at most 00:53:00 fits now"
    )


def test_the_longest_limit_is_that_of_the_node_whose_reservation_begins_last() -> None:
    cluster = Cluster(nodes=2)
    job = bob(cluster, limit_s=7200)
    first = kept(cluster, "n1", begins_in_s=1800)
    second = kept(cluster, "n2", begins_in_s=2700, id=2, name="r2")

    (blocker,) = plan(cluster, first, second).blockers[job.id]

    assert blocker.text.endswith("a time limit of at most 00:45:00 fits now")


def test_what_is_kept_now_leaves_no_limit_that_fits() -> None:
    cluster = Cluster(nodes=1)
    job = bob(cluster)

    (blocker,) = plan(cluster, kept(cluster, "n1")).blockers[job.id]

    assert blocker.text.startswith("May be reserved for other job: reservation 'r1' from 13:46 to 14:46")
    assert blocker.text.endswith("no time limit fits now")


def test_a_job_is_planned_for_when_the_reservation_is_over() -> None:
    cluster = Cluster(nodes=1)
    job = bob(cluster)

    assert plan(cluster, kept(cluster, "n1")).planned[job.id].at == cluster.now_at + HOUR_S


def test_a_job_is_planned_into_the_gap_of_a_repeating_reservation() -> None:
    cluster = Cluster(nodes=1)
    job = bob(cluster, limit_s=1800)
    repeating = kept(cluster, "n1", lasts_s=1200, flags=("HOURLY",))

    assert plan(cluster, repeating).planned[job.id].at == cluster.now_at + 1200
    longer = bob(cluster, limit_s=3000)
    assert longer.id not in plan(cluster, repeating).planned


def test_a_job_inside_runs_on_the_reserved_nodes_alone() -> None:
    cluster = Cluster(nodes=3)
    job = cluster.pending(nodes=1, limit_s=600, reservation="r1")

    made = plan(cluster, kept(cluster, "n2"))

    assert starts(made) == {job.id: ("n2",)}
    assert made.starts[0].reservation == "r1"


def test_a_job_waits_for_its_reservation_to_begin() -> None:
    cluster = Cluster(nodes=2)
    job = cluster.pending(limit_s=600, reservation="r1")

    made = plan(cluster, kept(cluster, "n1", begins_in_s=1800))

    assert made.blockers[job.id][0].reason is Reason.RESERVATION
    assert made.blockers[job.id][0].text == "reservation 'r1' begins 14:16"
    assert made.planned[job.id].at == cluster.now_at + 1800
    assert made.planned[job.id].nodes == ("n1",)


def test_a_job_longer_than_the_reservation_gets_what_is_left_of_it() -> None:
    cluster = Cluster(nodes=1)
    cluster.pending(limit_s=7200, reservation="r1")

    made = plan(cluster, kept(cluster, "n1", begins_in_s=-600))

    assert made.starts[0].limit_s == 3000


def test_with_resv_over_run_it_gets_that_much_more() -> None:
    cluster = Cluster(nodes=1)
    cluster.pending(limit_s=7200, reservation="r1")

    assert plan(cluster, kept(cluster, "n1"), reservation_overrun_s=600.0).starts[0].limit_s == 4200
    assert plan(cluster, kept(cluster, "n1"), reservation_overrun_s=None).starts[0].limit_s == 7200


def test_a_job_that_fits_the_next_time_whole_waits_for_it() -> None:
    cluster = Cluster(nodes=1)
    job = cluster.pending(limit_s=1200, reservation="r1")
    repeating = kept(cluster, "n1", begins_in_s=-1200, lasts_s=1800, flags=("HOURLY",))

    made = plan(cluster, repeating)

    assert not made.starts
    assert made.planned[job.id].at == cluster.now_at + 2400


@pytest.mark.parametrize(
    ("fields", "is_let_in"),
    [
        pytest.param({"users": ("ann",)}, True, id="its user"),
        pytest.param({"users": ("bob",)}, False, id="another user"),
        pytest.param({"users": ("bob",), "is_users_denied": True}, True, id="any user but one"),
        pytest.param({"users": ("ann",), "is_users_denied": True}, False, id="the user that is kept out"),
        pytest.param({"users": (), "accounts": ("physics",)}, True, id="its account"),
        pytest.param({"accounts": ("chemistry",)}, False, id="its user in another account"),
        pytest.param({"accounts": ("physics",), "is_accounts_denied": True}, False, id="the account that is kept out"),
        pytest.param({"users": (), "qos": ("high",)}, False, id="another QOS"),
        pytest.param({"allowed_partitions": ("other",)}, False, id="another partition"),
    ],
)
def test_who_may_come_in(fields: dict[str, Any], is_let_in: bool) -> None:
    cluster = Cluster(nodes=1)
    job = cluster.pending(limit_s=600, reservation="r1", account="physics", qos="normal")

    made = plan(cluster, kept(cluster, "n1", **fields))

    assert (job.id in starts(made)) == is_let_in
    assert is_let_in or "access to reservation 'r1' is denied" in made.blockers[job.id][0].text


def test_a_reservation_that_is_gone_is_no_way_in() -> None:
    cluster = Cluster(nodes=1)
    job = cluster.pending(reservation="r1")

    assert plan(cluster).blockers[job.id][0].reason is Reason.RESERVATION_INVALID


def test_of_several_reservations_the_first_with_room_is_taken() -> None:
    cluster = Cluster(nodes=3).running(nodes=("n1",))
    job = cluster.pending(limit_s=600, reservation="r1,r2")
    second = kept(cluster, "n2", id=2, name="r2")

    made = plan(cluster, kept(cluster, "n1"), second)

    assert starts(made) == {job.id: ("n2",)}
    assert made.starts[0].reservation == "r2"


def test_a_magnetic_reservation_draws_jobs_that_do_not_ask_for_it() -> None:
    cluster = Cluster(nodes=2)
    own, other = cluster.pending(nodes=1, limit_s=600), bob(cluster, limit_s=600)

    made = plan(cluster, kept(cluster, "n2", flags=("MAGNETIC",)))

    assert starts(made) == {own.id: ("n2",), other.id: ("n1",)}
    assert [start.reservation for start in made.starts] == ["r1", ""]


def test_a_job_too_long_for_the_magnet_runs_outside_with_its_limit() -> None:
    cluster = Cluster(nodes=2)
    job = cluster.pending(limit_s=7200)

    made = plan(cluster, kept(cluster, "n1", flags=("MAGNETIC",)))

    assert starts(made) == {job.id: ("n2",)}
    assert made.starts[0].limit_s == 7200


def test_flex_lets_its_jobs_run_before_after_and_elsewhere() -> None:
    cluster = Cluster(nodes=2)
    job = cluster.pending(nodes=2, limit_s=86400, reservation="r1")
    outside = bob(cluster)

    made = plan(cluster, kept(cluster, "n1", begins_in_s=600, flags=("FLEX",)))

    assert starts(made) == {job.id: ("n1", "n2"), outside.id: ("n2",)}


def test_maintenance_over_a_reservation_wins_over_it() -> None:
    cluster = Cluster(nodes=1)
    inside = cluster.pending(limit_s=600, ntasks=1, reservation="r1")
    repair = cluster.pending(limit_s=600, ntasks=1, reservation="m1")
    over = kept(cluster, "n1", id=2, name="m1", flags=("MAINT",))

    assert starts(plan(cluster, kept(cluster, "n1"), over)) == {repair.id: ("n1",)}
    assert inside.id in plan(cluster, kept(cluster, "n1"), over).blockers


def test_any_nodes_keeps_licenses_and_lets_its_jobs_run_anywhere() -> None:
    cluster = Cluster(nodes=2).licenses(matlab=2)
    outside = bob(cluster, licenses="matlab:1")
    inside = cluster.pending(limit_s=600, licenses="matlab:2", reservation="r1")
    licenses = kept(cluster, flags=("ANY_NODES",), licenses=(("matlab", 2),))

    made = plan(cluster, licenses)

    assert list(starts(made)) == [inside.id]
    assert made.blockers[outside.id][0].reason is Reason.LICENSES


def test_licenses_beyond_those_kept_are_everybodys() -> None:
    cluster = Cluster(nodes=2).licenses(matlab=3)
    outside = bob(cluster, licenses="matlab:1")

    made = plan(cluster, kept(cluster, flags=("ANY_NODES",), licenses=(("matlab", 2),)))

    assert outside.id in starts(made)


def test_max_start_delay_lends_the_nodes_for_so_long() -> None:
    cluster = Cluster(nodes=1)
    longer, short = cluster.pending(limit_s=601, ntasks=1), cluster.pending(limit_s=600, ntasks=1)
    stranger = bob(cluster, limit_s=600, ntasks=1)

    made = plan(cluster, kept(cluster, "n1", max_start_delay_s=600))

    assert starts(made) == {short.id: ("n1",)}
    assert {longer.id, stranger.id} <= made.blockers.keys()


def test_what_always_lies_ahead_lets_short_jobs_through() -> None:
    cluster = Cluster(nodes=1)
    short, long = bob(cluster, limit_s=600, ntasks=1), bob(cluster, limit_s=1200, ntasks=1)

    made = plan(cluster, kept(cluster, "n1", begins_in_s=0, flags=("TIME_FLOAT",), float_s=900.0))

    assert starts(made) == {short.id: ("n1",)}
    assert long.id not in made.planned


def cores(cluster: Cluster, cpus: int, **fields: Any) -> Reservation:
    share = CoreShare(node="n1", cores=f"0-{cpus - 1}", core_count=cpus, cpu_count=cpus)
    return kept(cluster, "n1", core_shares=(share,), **fields)


def test_of_a_node_whose_cores_are_kept_the_others_are_everybodys() -> None:
    cluster = Cluster(nodes=1, cpus=8)
    fits, exceeds = bob(cluster, ntasks=3), bob(cluster, ntasks=3)

    made = plan(cluster, cores(cluster, 5))

    assert starts(made) == {fits.id: ("n1",)}
    assert made.blockers[exceeds.id][0].reason in (Reason.REQ_NODE_NOT_AVAIL, Reason.RESOURCES)


def test_all_jobs_inside_have_no_more_than_the_kept_cores() -> None:
    cluster = Cluster(nodes=1, cpus=8)
    jobs = [cluster.pending(ntasks=2, limit_s=600, reservation="r1") for _ in range(3)]
    outside = bob(cluster, ntasks=3)

    made = plan(cluster, cores(cluster, 5))

    assert list(starts(made)) == [jobs[0].id, jobs[1].id, outside.id]


def test_an_exclusive_job_does_not_come_to_a_node_with_kept_cores() -> None:
    cluster = Cluster(nodes=1, cpus=8)
    job = bob(cluster, exclusive="node")

    assert job.id in plan(cluster, cores(cluster, 1)).blockers


def test_jobs_that_see_the_same_share_a_key() -> None:
    cluster = Cluster(nodes=2)
    one, other = cluster.pending(), bob(cluster)
    inside = cluster.pending(reservation="r1")
    seen = snapshot(cluster, kept(cluster, "n1"))

    assert compute_view(seen, one).key == compute_view(seen, other).key == ("", ())
    assert compute_view(seen, inside).key == ("r1", ())
    assert compute_view(cluster.snapshot(), one) is OPEN
    book = Book(seen)
    assert book.views_of(one)[0] is book.views_of(other)[0]


windows = st.tuples(st.integers(0, 100), st.integers(1, 100))
REPEATED = st.sampled_from(((), ("HOURLY",), ("DAILY",), ("MAINT",), ("TIME_FLOAT",)))


@settings(max_examples=60)
@given(
    kept_times=st.lists(st.tuples(windows, REPEATED, st.integers(1, 4)), min_size=1, max_size=4),
    limits=st.lists(st.integers(1, 200), min_size=1, max_size=6),
    is_inside=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_nobody_overlaps_what_is_kept_for_others(
    kept_times: list[Any], limits: list[int], is_inside: list[bool]
) -> None:
    """No start and no planned start of a job outside meets a reservation; none of a job inside outlives it."""
    cluster = Cluster(nodes=4)
    reservations = []
    for number, ((begin, length), flags, node) in enumerate(kept_times):
        begins_in_s, lasts_s = begin * 60.0, min(length, 59) * 60.0
        float_s = begins_in_s if flags == ("TIME_FLOAT",) else None
        reservations.append(
            kept(
                cluster, f"n{node}", begins_in_s=begins_in_s, lasts_s=lasts_s, id=number, name=f"r{number}",
                flags=flags, float_s=float_s,
            )
        )  # fmt: skip
    jobs = {}
    for limit, inside in zip(limits, is_inside, strict=False):
        job = cluster.pending(limit_s=limit * 60, ntasks=1, reservation="r0" if inside else "")
        jobs[job.id] = job
    made = plan(cluster, *reservations)
    book = Book(snapshot(cluster, *reservations))

    intervals = [
        (start.job_id, start.allocation.nodes, cluster.now_at, start.limit_s, start.reservation)
        for start in made.starts
    ]
    intervals += [
        (job_id, planned.nodes, planned.at, None, jobs[job_id].spec.reservation)
        for job_id, planned in made.planned.items()
    ]
    for job_id, nodes, at, limit_s, own in intervals:
        view = book.views_of(jobs[job_id])[0]
        length_s = jobs[job_id].limit_s if limit_s is None else limit_s
        assert length_s is not None
        if own:
            assert set(nodes) <= set(reservations[0].nodes)
            assert view.windows is not None
            assert any(window.from_at <= at < window.until_at for window in view.windows)
            if limit_s is not None:
                assert any(window.from_at <= at and at + limit_s <= window.until_at for window in view.windows)
            continue
        positions = {int(node[1:]) - 1 for node in nodes}
        for closure in view.closures:
            assert closure.positions.isdisjoint(positions) or not closure.meets(at, at + length_s), closure
