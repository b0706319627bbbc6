"""One job's wait, answered in full."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.request import Dependency, DependencyTerm, GresRequest
from sluice.model.states import Hold, JobState
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.forecast import Score
from sluicectld.scheduler.inquiry import Question, answer
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster
from tests.controller.scheduler.cluster_draws import clusters
from tests.preempt_builder import Rivals

GPU = (GresRequest(name="gpu", type="a100", count=4),)


def ask(cluster: Cluster, job: Job, policy: Policy | None = None, **more):
    snapshot, policy = cluster.snapshot(), policy or Policy()
    return answer(Question(snapshot, policy, decide(snapshot, policy), job, **more))


def reasons(explanation) -> list[Reason]:
    return [blocker.reason for blocker in explanation.blockers]


def funnel_of(explanation) -> list[tuple[int, str]]:
    return [(step.nodes, step.demand) for step in explanation.outlooks[0].steps]


class TestFunnel:
    """How many nodes are left after each demand."""

    def test_each_demand_stands_on_its_own(self):
        cluster = Cluster(nodes=8, features=("a",)).node("n1", is_drained=True, reason="disk")
        cluster.node("n2", features=()).node("n3", cpus=2).node("n4", memory_mib=100)
        for name in ("n5", "n6", "n7", "n8"):
            cluster.node(name, gres=GPU if name != "n5" else ())
        cluster.running(("n6",), cpus=1, gres=(("gpu", 3),)).running(("n7",), cpus=3)
        job = cluster.pending(
            nodes=2, ntasks=4, ntasks_per_node=2, cpus_per_task=2, memory_per_node_mib=500, features="a",
            excluded_nodes=("n8",), gres_per_node=(GresRequest(name="gpu", count=2),),
        )  # fmt: skip

        found = ask(cluster, job)

        assert funnel_of(found) == [
            (8, "in partition batch"),
            (7, "up"),
            (6, "without n8"),
            (5, "with features a"),
            (4, "with 4 CPUs"),
            (3, "with 500 MiB"),
            (2, "with 2 gpu"),
            (0, "with 4 CPUs free"),
        ]
        assert found.outlooks[0].needs == "2 nodes for 4 tasks"

    def test_nodes_that_are_not_up_are_named_with_their_reasons(self):
        cluster = Cluster(nodes=5).node("n1", is_drained=True, reason="disk").node("n3", is_responding=False)
        cluster.node("n2", is_drained=True, reason="disk").running(("n4", "n5"))

        step = ask(cluster, cluster.pending()).outlooks[0].steps[1]

        assert (step.nodes, step.demand, step.lost) == (2, "up", "n[1-2] drained: disk, n3 not responding")

    def test_what_is_free_is_told_resource_by_resource(self):
        cluster = Cluster(nodes=3, gres=GPU).running(("n1",)).running(("n2",), cpus=1, memory_mib=3990)
        cluster.running(("n3",), cpus=1, gres=(("gpu", 3),))
        job = cluster.pending(ntasks=2, memory_per_node_mib=20, gres_per_node=(GresRequest(name="gpu", count=2),))

        found = ask(cluster, job)

        assert funnel_of(found)[1:] == [(2, "with 2 CPUs free"), (1, "with 20 MiB free"), (0, "with 2 gpu free")]
        assert found.blockers[0].text.startswith(
            "3 nodes in partition batch -> 2 with 2 CPUs free -> 1 with 20 MiB free -> 0 with 2 gpu free; needs 1 node"
        )

    def test_free_nodes_that_planned_starts_keep_are_the_last_step(self):
        cluster = Cluster(nodes=2).running(("n1",), ends_in_s=600)
        head = cluster.pending(nodes=2, ntasks=8)
        job = cluster.pending(limit_s=1200, ntasks=4)

        found = ask(cluster, job)

        last = found.outlooks[0].steps[-1]
        assert (last.nodes, last.demand, last.lost) == (0, "not kept for planned starts", f"job {head.id} at 13:56")
        assert found.outlooks[0].kept_for == (head.id,)

    def test_room_for_fewer_tasks_than_asked_is_told(self):
        cluster = Cluster(nodes=2).running(("n1",), cpus=3)

        step = ask(cluster, cluster.pending(nodes=2, ntasks=8)).outlooks[0].steps[-1]

        assert (step.nodes, step.demand) == (2, "with 1 CPU free, room for 5 tasks")

    def test_nodes_of_another_user_are_a_step(self):
        cluster = Cluster(nodes=2).running(("n1",), cpus=1, uid=7, exclusive_uid=7).running(("n2",))

        found = ask(cluster, cluster.pending())

        assert funnel_of(found)[-1] == (0, "not kept to other users")


class TestHolders:
    """On whom a job waits."""

    def test_jobs_are_named_by_their_end_until_enough_would_be_free(self):
        cluster = Cluster(nodes=3)
        cluster.running(("n1",), ends_in_s=300).running(("n2",), ends_in_s=100).running(("n3",), ends_in_s=200)

        holders = ask(cluster, cluster.pending(nodes=2)).outlooks[0].holders

        assert [(each.job_id, each.nodes) for each in holders] == [(2, "n2"), (3, "n3")]

    def test_a_job_whose_end_alone_helps_nothing_counts_with_the_one_that_does(self):
        cluster = Cluster(nodes=1).running(("n1",), cpus=1, ends_in_s=100).running(("n1",), cpus=1, ends_in_s=200)

        holders = ask(cluster, cluster.pending(exclusive="node")).outlooks[0].holders

        assert [each.job_id for each in holders] == [1, 2]

    def test_a_job_that_has_ended_and_is_not_clean_yet_is_named(self):
        cluster = Cluster(nodes=2).completing(nodes=("n2",), cpus=3).running(("n1",), ends_in_s=None)
        job = cluster.pending(required_nodes=("n2",), ntasks=2)

        (holder,) = ask(cluster, job).outlooks[0].holders

        assert (holder.job_id, holder.nodes, holder.holds, holder.is_completing) == (1, "n2", "3 CPUs", True)

    def test_a_job_that_holds_nothing_that_is_missing_is_left_out(self):
        cluster = Cluster(nodes=1, gres=GPU).running(("n1",), cpus=1, ends_in_s=100)
        cluster.running(("n1",), cpus=1, gres=(("gpu", 4),), ends_in_s=None)

        holders = ask(cluster, cluster.pending(gres_per_node=(GresRequest(name="gpu"),))).outlooks[0].holders

        assert [(each.job_id, each.end_at, each.holds) for each in holders] == [(2, None, "1 CPU, 4 gpu:a100")]

    def test_many_holders_are_counted(self):
        cluster = Cluster(nodes=15)
        for number in range(1, 16):
            cluster.running((f"n{number}",), ends_in_s=number * 60)

        outlook = ask(cluster, cluster.pending(nodes=12)).outlooks[0]

        assert (len(outlook.holders), outlook.holders_left_off) == (10, 2)
        assert outlook.blockers[0].text.endswith("job 5 on n5, ends by 13:51; 7 more")


class TestAllCauses:
    """Several causes at once."""

    def test_a_held_job_shows_what_would_still_stand_after_the_hold(self):
        cluster = Cluster(nodes=2).partition("batch", state="DOWN", max_limit_s=60).running(ends_in_s=600)
        waits = Dependency(terms=(DependencyTerm(type="afterok", job_id=7),))
        job = replace(cluster.pending(nodes=2, ntasks=8), hold=Hold.USER, dependency=waits)
        cluster.pending_jobs.clear()
        awaited = replace(job, id=7, state=JobState.RUNNING, started_at=cluster.now_at, limit_s=3600)

        found = ask(cluster, job, others={7: awaited})

        assert reasons(found) == [
            Reason.JOB_HELD_USER,
            Reason.DEPENDENCY,
            Reason.PARTITION_DOWN,
            Reason.PARTITION_TIME_LIMIT,
            Reason.RESOURCES,
        ]
        assert found.blockers[1].text == "waits for afterok:7 (job 7 runs, ends by 14:46)"
        assert found.planned_start_at is None

    def test_each_partition_is_judged_on_its_own(self):
        cluster = (
            Cluster(nodes=2).partition("batch", ("n1",)).partition("spare", ("n2",), state="DOWN").running(("n1",))
        )
        job = cluster.pending(partitions=("spare", "batch"))

        found = ask(cluster, job)

        assert [(each.reason, each.partition) for each in found.blockers] == [
            (Reason.RESOURCES, "batch"),
            (Reason.PARTITION_DOWN, "spare"),
        ]

    def test_a_license_names_who_has_it(self):
        cluster = Cluster(nodes=2).licenses(matlab=0)
        job = cluster.running(cpus=1, ends_in_s=600).pending(licenses="matlab:2")
        (holder,) = cluster.running_jobs
        allocation = replace(holder.allocation, licenses=(("matlab", 2),))
        cluster.running_jobs = [replace(holder, allocation=allocation)]

        assert ask(cluster, job).blockers[0].text == ("needs 2 of license matlab, 0 free (job 1 has 2, ends by 13:56)")

    def test_a_planned_start_is_told_of_who_waits_for_a_license(self):
        cluster = Cluster(nodes=2).licenses(matlab=2).running(cpus=1, ends_in_s=600, licenses=(("matlab", 2),))
        job = cluster.pending(licenses="matlab:2")

        found = ask(cluster, job)

        assert found.blockers[0].text == "needs 2 of license matlab, 0 free (job 1 has 2, ends by 13:56)"
        assert found.planned_start_at == cluster.now_at + 600
        assert found.planned_nodes

    def test_a_license_that_is_free_but_kept_names_for_whom(self):
        cluster = Cluster(nodes=2).licenses(matlab=2).running(cpus=1, ends_in_s=600, licenses=(("matlab", 1),))
        cluster.pending(licenses="matlab:2", limit_s=600)
        job = cluster.pending(licenses="matlab", limit_s=1200)

        found = ask(cluster, job, is_searching=True)

        assert found.blockers[0].text == "needs 1 of license matlab, 1 free; kept for job 2 at 13:56"
        assert found.planned_start_at == cluster.now_at + 1200
        assert ("-t 00:10:00 instead of 00:20:00",) in [each.words for each in found.suggestions]

    def test_a_throttled_array_names_the_tasks_that_run(self):
        cluster = Cluster(nodes=4)
        job = cluster.pending(tasks=((3, 9, 1),), throttle=1)
        cluster.running_tasks[job.id] = 1
        task = replace(job, id=9, array_task_id=2, state=JobState.RUNNING, started_at=cluster.now_at, limit_s=600)

        assert ask(cluster, job, others={9: task}).blockers[0].text == "1 of at most 1 tasks run (1_2, ends by 13:56)"

    def test_demands_that_no_node_meets_are_told_as_such(self):
        cluster = Cluster(nodes=2).node("n1", features=("a",)).node("n2", memory_mib=10)
        found = ask(cluster, cluster.pending(features="a", memory_per_node_mib=5000))

        assert reasons(found) == [Reason.BAD_CONSTRAINTS]
        assert funnel_of(found)[-2:] == [(0, "with 5000 MiB"), (0, "with 1 CPU free")]

    def test_nodes_that_are_down_are_the_cause_where_they_would_do(self):
        cluster = Cluster(nodes=2).node("n2", is_drained=True, reason="disk")

        found = ask(cluster, cluster.pending(nodes=2))

        assert [(each.reason, each.text) for each in found.blockers] == [
            (Reason.REQ_NODE_NOT_AVAIL, "UnavailableNodes:n2")
        ]

    def test_a_job_without_a_partition_says_so(self):
        cluster = Cluster()
        job = cluster.pending(partitions=("gone",))

        assert ask(cluster, job).blockers[0].text == "partition gone does not exist"

    def test_room_that_came_after_the_last_pass_is_told(self):
        cluster = Cluster().running(ends_in_s=60)
        job = cluster.pending()
        plan = decide(cluster.snapshot())
        idle = Cluster()
        idle.pending_jobs.append(job)

        found = answer(Question(idle.snapshot(), Policy(), plan, job))

        assert [(each.reason, each.text) for each in found.blockers] == [
            (Reason.NONE, "nothing stands against it any more: the next pass looks at it")
        ]

    def test_the_place_in_the_queue_is_counted(self):
        cluster = Cluster().running()
        cluster.pending()
        job = cluster.pending()
        cluster.pending()

        found = ask(cluster, job)

        assert (found.place, found.queue_length) == (2, 3)
        assert found.blockers[0].text == "behind job 2 in partition batch"


def test_a_running_job_waits_for_nothing():
    job = replace(Cluster().pending(), state=JobState.RUNNING)

    found = ask(Cluster(), job, name="5_1")

    assert (found.name, found.blockers, found.outlooks) == ("5_1", (), ())


def test_a_job_that_no_pass_has_planned_gets_a_pass_of_its_own():
    cluster = Cluster().running(ends_in_s=600)
    job = cluster.pending(ntasks=4)
    snapshot = cluster.snapshot()

    found = answer(Question(snapshot, Policy(), decide(replace(snapshot, pending=())), job))

    assert found.planned_start_at == cluster.now_at + 600


def test_a_planned_start_comes_with_what_such_plans_have_been_worth():
    cluster = Cluster().running(ends_in_s=600)
    job = cluster.pending(ntasks=4)

    found = ask(cluster, job, score=Score(100, 0.5, 0.9, 0.02))

    assert (found.planned_start_at, found.likely_start_at, found.safe_start_at) == tuple(
        cluster.now_at + wait_s for wait_s in (600, 300, 540)
    )


@pytest.mark.parametrize("hold", list(Hold))
@settings(max_examples=25)
@given(clusters(), st.data())
def test_a_pending_job_always_has_a_reason(hold, drawn, data):
    snapshot, policy = drawn.snapshot, drawn.policy
    job = replace(data.draw(st.sampled_from(snapshot.pending)), hold=hold)
    if hold is not Hold.NONE:
        snapshot = replace(snapshot, pending=tuple([each for each in snapshot.pending if each.id != job.id]))

    found = answer(Question(snapshot, policy, decide(snapshot, policy), job))

    assert found.blockers
    assert all(blocker.text for blocker in found.blockers)
    for outlook in found.outlooks:
        counts = [step.nodes for step in outlook.steps]
        assert counts == sorted(counts, reverse=True)


class TestComponents:
    """A component of a heterogeneous job."""

    def test_one_that_fits_alone_waits_for_the_others(self):
        cluster = Cluster(nodes=2).running(nodes=("n2",), ends_in_s=600)
        first, _ = cluster.gang(cluster.pending(nodes=1), cluster.pending(nodes=2))

        found = ask(cluster, first)

        assert reasons(found) == [Reason.RESOURCES]
        assert f"component {first.id}+1 of its heterogeneous job" in found.blockers[0].text

    def test_no_changes_are_looked_for(self):
        cluster = Cluster(nodes=2).running(nodes=("n2",), ends_in_s=600)
        _, second = cluster.gang(cluster.pending(nodes=1), cluster.pending(nodes=2))

        found = ask(cluster, second, is_searching=True)

        assert found.suggestions == ()
        assert not found.is_searched


def test_a_plan_that_comes_after_the_last_start_for_the_deadline_is_told_as_too_late():
    cluster = Cluster(nodes=1, cpus=4)
    cluster.running(("n1",), cpus=4, limit_s=7200)
    late = cluster.pending(ntasks=4, limit_s=3600, deadline_at=cluster.now_at + 5400)
    in_time = cluster.pending(ntasks=4, limit_s=600, deadline_at=cluster.now_at + 86400 * 2)

    assert ask(cluster, late).note.endswith("; its planned start is too late")
    assert "it has to start by" in ask(cluster, in_time).note
    assert "too late" not in ask(cluster, in_time).note


def test_a_job_that_is_not_submitted_yet_is_told_whom_it_would_preempt():
    rivals = Rivals(nodes=1)
    victim = rivals.runs(cpus=4)
    plan = decide(rivals.snapshot(), rivals.policy)
    urgent = rivals.urgent()

    told = answer(Question(rivals.snapshot(), rivals.policy, plan, urgent))

    assert told.note == f"it preempts others: requeues job {victim}"


def test_a_job_and_its_victim_are_told_of_each_other_to_the_second():
    rivals = Rivals(nodes=1)
    victim = rivals.runs(cpus=4)
    urgent = rivals.urgent()
    rivals.warn(victim, urgent.id, "n1")
    running = rivals.running_jobs[0].job
    assert running is not None

    waits, goes = (ask(rivals, job, rivals.policy) for job in (urgent, running))

    assert waits.note == f"it preempts job {victim}, which makes room, by 13:47:40 (GraceTime)"
    (holder,) = waits.outlooks[0].holders
    assert (holder.job_id, holder.end_at, holder.is_preempted) == (victim, rivals.now_at + 60, True)
    assert goes.note.startswith(f"job {victim} is to be preempted by job {urgent.id}: ends by 13:47:40 (GraceTime)")


def test_who_is_protected_for_a_while_is_told_on_both_sides():
    rivals = Rivals(nodes=1, exempt_s=2 * 3600.0)
    victim = rivals.runs(cpus=4, ends_in_s=None)
    urgent, equal = rivals.urgent(), rivals.urgent()
    running = rivals.running_jobs[0].job
    assert running is not None

    waits, waits_too, runs = (ask(rivals, job, rivals.policy) for job in (urgent, equal, running))

    assert waits.note == waits_too.note == f"may preempt job {victim} from 14:46:40 on (PreemptExemptTime)"
    assert runs.note == f"job {victim} may be preempted by job {urgent.id} from 14:46:40 on (PreemptExemptTime)"
