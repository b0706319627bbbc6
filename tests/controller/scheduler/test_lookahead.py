"""Planned starts look ahead on licenses and limits: what running jobs give back is counted on, and kept."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sluice.model.reason import Reason
from sluice.model.reservation import Reservation
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.estimate import estimate
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy, Snapshot
from tests.builders import Cluster
from tests.limits_builder import Site
from tests.preempt_builder import Rivals

EASY = Policy(planned_max=1)
LIMITED = Policy(accounting_enforced=frozenset({"associations", "limits", "qos"}))


def started(plan: Plan) -> list[int]:
    return [start.job_id for start in plan.starts]


class TestLicenses:
    def test_a_job_is_planned_for_the_moment_at_which_its_licenses_come_back(self) -> None:
        cluster = Cluster(nodes=4).licenses(matlab=3)
        cluster.running(cpus=1, ends_in_s=600, licenses=(("matlab", 1),))
        cluster.running(cpus=1, ends_in_s=1200, licenses=(("matlab", 2),))
        two = cluster.pending(licenses="matlab:2")

        plan = decide(cluster.snapshot())

        assert plan.planned[two.id].at == cluster.now_at + 1200
        assert plan.planned[two.id].licenses == (("matlab", 2),)
        assert plan.blockers[two.id][0].text == "needs 2 of license matlab, 0 free"

    def test_nodes_and_licenses_must_come_together(self) -> None:
        """The license is back after ten minutes, the nodes after twenty."""
        cluster = Cluster(nodes=2).licenses(matlab=1)
        cluster.running(nodes=2, ends_in_s=1200).running(nodes=0, ends_in_s=600, licenses=(("matlab", 1),))
        job = cluster.pending(nodes=2, licenses="matlab")

        assert decide(cluster.snapshot()).planned[job.id].at == cluster.now_at + 1200

    def test_a_lower_job_starts_only_if_it_gives_the_license_back_in_time(self) -> None:
        cluster = Cluster(nodes=4).licenses(matlab=3)
        cluster.running(cpus=1, ends_in_s=600, licenses=(("matlab", 2),))
        head = cluster.pending(licenses="matlab:3")
        longer = cluster.pending(licenses="matlab", limit_s=660)
        shorter = cluster.pending(licenses="matlab", limit_s=600)

        plan = decide(cluster.snapshot())

        assert started(plan) == [shorter.id]
        assert plan.planned[head.id].at == cluster.now_at + 600
        assert plan.blockers[longer.id][0].text == "needs 1 of license matlab, 1 free; kept for job 2 at 13:56"
        assert plan.planned[longer.id].at == cluster.now_at + 600 + 3600

    def test_a_job_without_the_license_goes_ahead(self) -> None:
        cluster = Cluster(nodes=4).licenses(matlab=3)
        cluster.running(cpus=1, ends_in_s=600, licenses=(("matlab", 3),))
        cluster.pending(licenses="matlab:3")
        other = cluster.pending(licenses="")

        assert started(decide(cluster.snapshot())) == [other.id]

    def test_a_job_that_waits_for_nodes_keeps_its_licenses_too(self) -> None:
        cluster = Cluster(nodes=2).licenses(matlab=1).running(nodes=1, ends_in_s=600)
        wide = cluster.pending(nodes=2, licenses="matlab")
        narrow = cluster.pending(nodes=1, licenses="matlab", limit_s=1200)

        plan = decide(cluster.snapshot())

        assert started(plan) == []
        assert plan.planned[wide.id].at == cluster.now_at + 600
        assert plan.planned[narrow.id].at == cluster.now_at + 600 + 3600

    def test_a_license_that_is_overdue_is_counted_on_but_not_taken(self) -> None:
        """Its holder should have ended: a plan may begin now, a start may not, nor may lower jobs take the rest."""
        cluster = Cluster(nodes=4).licenses(matlab=2).running(cpus=1, ends_in_s=-5, licenses=(("matlab", 1),))
        two = cluster.pending(licenses="matlab:2")
        one = cluster.pending(licenses="matlab")

        plan = decide(cluster.snapshot())

        assert started(plan) == []
        assert plan.planned[two.id].at == cluster.now_at
        assert plan.blockers[one.id][0].reason is Reason.LICENSES

    def test_more_than_there_are_is_planned_for_no_time(self) -> None:
        cluster = Cluster(nodes=1).licenses(matlab=1)
        job = cluster.pending(licenses="matlab:2")

        assert decide(cluster.snapshot()).planned.get(job.id) is None

    def test_a_license_whose_holder_has_no_limit_comes_back_at_no_known_time(self) -> None:
        cluster = Cluster(nodes=2).licenses(matlab=1).running(cpus=1, ends_in_s=None, licenses=(("matlab", 1),))
        job = cluster.pending(licenses="matlab")

        assert decide(cluster.snapshot()).planned.get(job.id) is None

    def test_of_several_that_would_do_the_first_to_come_back_is_planned(self) -> None:
        cluster = Cluster(nodes=4).licenses(matlab=1, octave=1)
        cluster.running(cpus=1, ends_in_s=1200, licenses=(("matlab", 1),))
        cluster.running(cpus=1, ends_in_s=600, licenses=(("octave", 1),))
        job = cluster.pending(licenses="matlab|octave")

        planned = decide(cluster.snapshot()).planned[job.id]

        assert (planned.at, planned.licenses) == (cluster.now_at + 600, (("octave", 1),))

    def test_of_several_that_are_free_the_one_is_taken_that_nobody_waits_for(self) -> None:
        cluster = Cluster(nodes=4).licenses(matlab=2, octave=1)
        cluster.running(cpus=1, ends_in_s=600, licenses=(("matlab", 1),))
        cluster.pending(licenses="matlab:2")
        any_of_two = cluster.pending(licenses="matlab|octave")

        plan = decide(cluster.snapshot())

        assert started(plan) == [any_of_two.id]
        assert plan.starts[0].allocation.licenses == (("octave", 1),)

    def test_twins_are_planned_one_after_the_other(self) -> None:
        cluster = Cluster(nodes=4).licenses(matlab=1).running(cpus=1, ends_in_s=600, licenses=(("matlab", 1),))
        twins = [cluster.pending(licenses="matlab", limit_s=300) for _ in range(3)]

        plan = decide(cluster.snapshot())

        assert [plan.planned[job.id].at - cluster.now_at for job in twins] == [600, 900, 1200]

    def test_who_waits_for_a_license_takes_no_planned_start_from_who_waits_for_nodes(self) -> None:
        """One planned start in each queue is for the first without nodes; who waits for licenses is not counted."""
        cluster = Cluster(nodes=2).licenses(matlab=1).running(cpus=4, ends_in_s=600, licenses=(("matlab", 1),))
        waiting = [cluster.pending(nodes=1, licenses="matlab") for _ in range(2)]
        wide = [cluster.pending(nodes=2) for _ in range(2)]

        plan = decide(cluster.snapshot(), EASY)

        assert set(plan.planned) == {waiting[0].id, waiting[1].id, wide[0].id}

    def test_a_shorter_limit_ends_before_the_license_is_needed(self) -> None:
        cluster = Cluster(nodes=4).licenses(matlab=3)
        cluster.running(cpus=1, ends_in_s=600, licenses=(("matlab", 2),))
        cluster.pending(licenses="matlab:3")
        flexible = cluster.pending(licenses="matlab", limit_s=3600, min_limit_s=300)

        plan = decide(cluster.snapshot())

        assert [(start.job_id, start.limit_s) for start in plan.starts] == [(flexible.id, 600)]

    def test_components_are_planned_for_when_there_are_licenses_for_all(self) -> None:
        cluster = Cluster(nodes=4).licenses(matlab=3)
        cluster.running(cpus=1, ends_in_s=600, licenses=(("matlab", 2),))
        gang = cluster.gang(cluster.pending(licenses="matlab:2"), cluster.pending(licenses="matlab"))

        plan = decide(cluster.snapshot())

        assert {plan.planned[job.id].at for job in gang} == {cluster.now_at + 600}

    def test_test_only_tells_when_the_license_is_back(self) -> None:
        cluster = Cluster(nodes=2).licenses(matlab=1).running(cpus=1, ends_in_s=600, licenses=(("matlab", 1),))
        job = cluster.pending(licenses="matlab")
        snapshot = replace(cluster.snapshot(), pending=())

        assert estimate(snapshot, Policy(), job).start_at == cluster.now_at + 600

    def test_a_license_that_is_made_free_for_a_job_is_planned_behind_it(self) -> None:
        rivals = Rivals(nodes=3, reclaims_licenses=True)
        rivals.licenses(matlab=0)
        rivals.runs(cpus=1, licenses=(("matlab", 1),))
        urgent = rivals.urgent(licenses="matlab", limit_s=7200)
        other = rivals.pending(licenses="matlab", partitions=("low",))

        plan = rivals.plan()

        assert [each.for_job_id for each in plan.preemptions] == [urgent.id]
        assert plan.planned[other.id].at == rivals.now_at + 7200

    def test_strict_queues_plan_nothing(self) -> None:
        cluster = Cluster(nodes=2).licenses(matlab=1).running(cpus=1, ends_in_s=600, licenses=(("matlab", 1),))
        cluster.pending(licenses="matlab")

        assert not decide(cluster.snapshot(), Policy(is_backfilling=False)).planned


class TestReservedLicenses:
    def kept(self, cluster: Cluster, count: int, from_s: float, until_s: float) -> Snapshot:
        now_at = cluster.now_at
        reservation = Reservation(
            id=1,
            name="r1",
            users=("root",),
            flags=("ANY_NODES",),
            licenses=(("matlab", count),),
            start_at=now_at + from_s,
            end_at=now_at + until_s,
            anchor_at=now_at + from_s,
        )
        return replace(cluster.snapshot(), reservations=(reservation,))

    def test_a_job_is_planned_behind_a_reservation_of_its_licenses(self) -> None:
        cluster = Cluster(nodes=2).licenses(matlab=2)
        job = cluster.pending(licenses="matlab", limit_s=600)

        plan = decide(self.kept(cluster, 2, 300, 1800))

        assert started(plan) == []
        assert plan.planned[job.id].at == cluster.now_at + 1800
        assert plan.blockers[job.id][0].text == (
            "needs 1 of license matlab, 2 free; kept for reservation 'r1' at 13:51"
        )

    def test_a_license_that_comes_back_before_the_reservation_begins_is_not_missed_there(self) -> None:
        cluster = Cluster(nodes=2).licenses(matlab=2).running(cpus=1, ends_in_s=240, licenses=(("matlab", 1),))
        job = cluster.pending(licenses="matlab", limit_s=600)

        assert started(decide(self.kept(cluster, 1, 300, 1800))) == [job.id]

    def test_what_jobs_inside_hold_is_not_kept_twice(self) -> None:
        """Three there are, two are kept, and two are in use by the reservation's own job: one is left for others."""
        cluster = Cluster(nodes=2).licenses(matlab=3)
        cluster.running(cpus=1, ends_in_s=600, licenses=(("matlab", 2),), reservation="r1")
        job, other = (cluster.pending(licenses="matlab", limit_s=900) for _ in range(2))

        plan = decide(self.kept(cluster, 2, -60, 1800))

        assert started(plan) == [job.id]
        assert plan.planned[other.id].at == cluster.now_at + 900


def limited(**limits: Any) -> Site:
    return Site().account("physics", **limits).user("ann", "physics").user("bob", "physics").user("eve", "root")


def plan_with(cluster: Cluster, site: Site, policy: Policy = LIMITED) -> Plan:
    tables = {"associations": site.associations, "qos": site.qos_table, "usage": site.usage}
    return decide(replace(cluster.snapshot(), **tables), policy)


class TestLimits:
    @pytest.mark.parametrize(
        ("limits", "usage"),
        [
            ({"group_jobs": 2}, {"jobs": 2}),
            ({"group_tres": {"cpu": 3}}, {"jobs": 2, "tres": {"cpu": 3}}),
            ({"group_tres": {"node": 2}}, {"jobs": 2, "tres": {"node": 2}}),
        ],
        ids=["GrpJobs", "GrpTRES of CPUs", "GrpTRES of nodes"],
    )
    def test_a_job_is_planned_for_the_moment_at_which_its_limit_leaves_room(self, limits, usage) -> None:
        cluster = Cluster(nodes=4)
        cluster.running(cpus=1, ends_in_s=1200, user="ann").running(cpus=2, ends_in_s=600, user="bob")
        job = cluster.pending(user="ann", ntasks=2)
        lower = cluster.pending(user="eve")

        plan = plan_with(cluster, limited(**limits).used("physics", **usage))

        assert started(plan) == [lower.id]
        assert plan.planned[job.id].at == cluster.now_at + 600
        assert plan.blockers[job.id][0].reason.value.startswith("AssocGrp")

    def test_max_jobs_of_a_user_holds_for_her_alone(self) -> None:
        cluster = Cluster(nodes=4)
        cluster.running(cpus=1, ends_in_s=600, user="ann")
        hers = [cluster.pending(user="ann", limit_s=300) for _ in range(3)]
        his = cluster.pending(user="bob", limit_s=300)
        site = Site().account("physics").user("ann", "physics", max_jobs=1).user("bob", "physics")
        site.used("physics", "ann", jobs=1)

        plan = plan_with(cluster, site)

        assert started(plan) == [his.id]
        assert [plan.planned[job.id].at - cluster.now_at for job in hers] == [600, 900, 1200]

    def test_a_lower_job_below_the_same_limit_does_not_delay_the_planned_start(self) -> None:
        """Four CPUs are allowed and two in use: the first job needs all four, the second one would take the rest."""
        cluster = Cluster(nodes=4)
        cluster.running(cpus=2, ends_in_s=600, user="bob")
        wide = cluster.pending(user="ann", ntasks=4)
        longer = cluster.pending(user="bob", limit_s=1200)
        shorter = cluster.pending(user="bob", limit_s=600)
        other = cluster.pending(user="eve", limit_s=1200)
        site = limited(group_tres={"cpu": 4}).used("physics", jobs=1, tres={"cpu": 2})

        plan = plan_with(cluster, site)

        assert started(plan) == [shorter.id, other.id]
        assert plan.planned[wide.id].at == cluster.now_at + 600
        assert plan.blockers[longer.id][0].text == (
            "account physics: GrpTRES cpu=4, 2 in use, needs 1; kept for job 2 at 13:56"
        )

    def test_whole_nodes_count_with_all_their_cpus(self) -> None:
        """One CPU is asked and the limit would leave three at once; the node that it gets has four."""
        cluster = Cluster(nodes=2, cpus=4)
        cluster.running(cpus=1, ends_in_s=600, user="bob")
        whole = cluster.pending(user="ann", exclusive="node")
        site = limited(group_tres={"cpu": 4}).used("physics", jobs=1, tres={"cpu": 1})

        plan = plan_with(cluster, site)

        assert started(plan) == []
        assert plan.planned[whole.id].at == cluster.now_at + 600

    @pytest.mark.parametrize(
        "limits",
        [{"group_jobs": 0}, {"group_tres": {"cpu": 1}}, {"max_wall_s": 60}, {"group_tres_minutes": {"cpu": 0}}],
        ids=["no jobs at all", "less than it needs", "its own length", "a budget"],
    )
    def test_what_no_end_of_a_job_changes_is_planned_for_no_time(self, limits) -> None:
        cluster = Cluster(nodes=4).running(cpus=1, ends_in_s=600, user="bob")
        job = cluster.pending(user="ann", ntasks=2)

        plan = plan_with(cluster, limited(**limits).used("physics", jobs=1, tres={"cpu": 1}))

        assert not plan.planned
        assert plan.blockers[job.id]

    def test_what_is_used_by_nobody_who_is_known_comes_back_at_no_known_time(self) -> None:
        cluster = Cluster(nodes=4)
        cluster.pending(user="ann")

        assert not plan_with(cluster, limited(group_jobs=1).used("physics", jobs=1)).planned

    def test_a_planned_job_counts_below_limits_that_are_not_its_own(self) -> None:
        """His QOS has a limit of its own in place of the account's, and he counts in the account all the same."""
        cluster = Cluster(nodes=4)
        cluster.running(nodes=3, ends_in_s=600, user="bob", qos="free")
        wide = cluster.pending(nodes=4, user="bob", qos="free", limit_s=600)
        hers = cluster.pending(user="ann", limit_s=600)
        site = limited(group_tres={"node": 4}).qos("free", group_tres={"node": 9})
        site.used("physics", jobs=1, tres={"node": 3}).used("", qos="free", jobs=1, tres={"node": 3})

        plan = plan_with(cluster, site)

        assert started(plan) == [hers.id]
        assert plan.planned[wide.id].at == cluster.now_at + 600

    def test_assoc_limit_stop_plans_the_job_that_stops_its_queue(self) -> None:
        cluster = Cluster(nodes=4)
        cluster.running(cpus=1, ends_in_s=600, user="bob")
        stopped = [cluster.pending(user="ann") for _ in range(2)]
        site = limited(group_jobs=1).used("physics", jobs=1)

        plan = plan_with(cluster, site, replace(LIMITED, stops_at_limits=True))

        assert plan.planned[stopped[0].id].at == cluster.now_at + 600
