"""--test-only: when and where a job would start."""

import pytest
from msgspec.structs import replace

from sluice.errors import Infeasible
from sluice.model.reason import Reason
from sluice.model.request import Dependency, DependencyTerm
from sluice.model.states import Hold
from sluicectld.scheduler.estimate import estimate, explain_estimate
from sluicectld.scheduler.inquiry import Question
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster
from tests.preempt_builder import Rivals

YEAR_S = 365 * 86400


def ask(cluster: Cluster, policy: Policy | None = None, begin_at: float | None = None, **request):
    job = replace(cluster.pending(**request), begin_at=begin_at)
    cluster.pending_jobs.pop()
    return estimate(cluster.snapshot(), policy or Policy(), job)


def explain(cluster: Cluster, **changes):
    job = replace(cluster.pending(), **changes)
    cluster.pending_jobs.pop()
    return explain_estimate(Question(cluster.snapshot(), Policy(), Plan(version=0), job))


def test_a_job_that_fits_would_start_now():
    cluster = Cluster(nodes=3)

    answer = ask(cluster, nodes=2, ntasks=6)

    assert (answer.start_at, answer.cpu_count, answer.nodes, answer.partition) == (cluster.now_at, 6, "n[1-2]", "batch")


def test_a_job_that_has_to_wait_starts_behind_those_before_it():
    cluster = Cluster(nodes=1).running(ends_in_s=100)
    cluster.pending(ntasks=4, limit_s=50)

    answer = ask(cluster, ntasks=3)

    assert (answer.start_at, answer.cpu_count) == (cluster.now_at + 150, 3)


def test_bounds_and_window_do_not_matter():
    cluster = Cluster(nodes=1).running(ends_in_s=10_000_000)
    for _ in range(5):
        cluster.pending(ntasks=4)

    answer = ask(cluster, Policy(backfill_jobs_max=1, planned_per_shape_max=1), ntasks=4)

    assert answer.start_at >= cluster.now_at + 10_000_000


def test_it_begins_no_earlier_than_asked():
    cluster = Cluster()

    assert ask(cluster, begin_at=cluster.now_at + 60).start_at == cluster.now_at + 60


def test_a_partition_that_is_down_is_taken_as_up():
    cluster = Cluster().partition("batch", state="DOWN")

    assert ask(cluster).start_at == cluster.now_at


class TestNodesThatNothingSaysWillBeFree:
    """Whatever holds them ends some time; what is down may not."""

    def test_a_job_without_a_limit_is_taken_to_run_for_a_year(self):
        cluster = Cluster(nodes=2).running(nodes=2, ends_in_s=None)

        answer = ask(cluster, required_nodes=("n2",))

        assert (answer.start_at, answer.nodes, answer.is_presumed) == (cluster.now_at + YEAR_S, "n2", True)

    def test_the_year_begins_with_the_job(self):
        cluster = Rivals()
        cluster.runs(ends_in_s=None, ran_s=100)

        assert ask(cluster, partitions=("low",)).start_at == cluster.now_at - 100 + YEAR_S

    def test_so_are_those_that_wait_before_it(self):
        cluster = Cluster(nodes=1).running(ends_in_s=100)
        cluster.pending(ntasks=4, limit_s=None)

        assert ask(cluster).start_at == cluster.now_at + 100 + YEAR_S

    def test_an_end_that_is_known_goes_before(self):
        cluster = Cluster(nodes=2).running(ends_in_s=None).running(ends_in_s=2 * YEAR_S)

        answer = ask(cluster)

        assert (answer.start_at, answer.is_presumed) == (cluster.now_at + 2 * YEAR_S, False)

    @pytest.mark.parametrize("request_", [{}, {"exclusive": "node"}, {"nodes": 2}], ids=str)
    def test_nodes_that_are_completing_are_as_good_as_free(self, request_):
        cluster = Cluster(nodes=2).completing(nodes=2)

        answer = ask(cluster, **request_)

        assert (answer.start_at, answer.is_awaited) == (cluster.now_at, True)

    def test_nodes_that_are_drained_may_stay_so(self):
        cluster = Cluster(nodes=2).node("n1", is_drained=True)

        with pytest.raises(Infeasible, match="accepted and wait, no start is in sight: UnavailableNodes:n1"):
            ask(cluster, required_nodes=("n1",))


class TestAnExplainedEstimate:
    @pytest.mark.parametrize(
        ("changes", "gates"),
        [
            ({}, ()),
            ({"hold": Hold.USER}, ("held by its user",)),
            (
                {"dependency": Dependency(terms=(DependencyTerm(type="afterok", job_id=7),))},
                ("waits for afterok:7",),
            ),
            ({"begin_at": 1_000_060.0}, ()),
        ],
        ids=["free", "held", "dependent", "to begin later"],
    )
    def test_tells_what_has_to_be_over_first(self, changes, gates):
        tested = explain(Cluster(), **changes)

        assert tested.gates == gates
        assert tested.start_at == changes.get("begin_at", 1_000_000.0)

    def test_tells_the_partition_that_is_down(self):
        assert explain(Cluster().partition("batch", state="DOWN")).gates == ("partition batch is DOWN",)

    def test_agrees_with_the_plain_one(self):
        cluster = Cluster(nodes=1).running(ends_in_s=None)

        tested = explain(cluster)

        assert tested.start_at == ask(cluster).start_at
        assert tested.explanation is not None
        assert [blocker.reason for blocker in tested.explanation.blockers] == [Reason.RESOURCES]


def test_what_can_not_run_is_refused_with_its_reason():
    with pytest.raises(Infeasible, match="9 nodes, partition batch has 2"):
        ask(Cluster(nodes=2), nodes=9)
