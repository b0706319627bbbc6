"""Laws of backfill with predictions: promises are kept, everything starts, and decide does what the reference does."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster
from tests.controller.scheduler.reference_prediction import Pool, PoolJob, replay

PROCESSORS = 5
POLICY = Policy(planned_max=1, is_predicting=True)


@st.composite
def traces(draw: st.DrawFn, jobs_max: int = 30) -> list[PoolJob]:
    jobs: list[PoolJob] = []
    now_at = 0
    for job_id in range(1, draw(st.integers(2, jobs_max)) + 1):
        now_at += draw(st.sampled_from([0, 0, 0, 1, 5, 40]))
        limit_s = draw(st.sampled_from([1, 5, 20, 60, 200]))
        run_s = draw(st.integers(1, limit_s))
        jobs.append(PoolJob(job_id, now_at, run_s, draw(st.integers(1, PROCESSORS)), limit_s, draw(st.integers(1, 2))))
    return jobs


class WrongPool(Pool):
    """A pool whose predictions are anything at all."""

    def __init__(self, predictions: list[int], patience_limits: int) -> None:
        super().__init__(PROCESSORS, patience_limits)
        self.predictions = predictions

    def submit(self, job: PoolJob) -> None:
        super().submit(job)
        self.predicted_s[job.id] = self.predictions[job.id % len(self.predictions)]


def assert_promises_kept(pool: Pool) -> None:
    """Each promise is as early as the one before, and the job starts by then."""
    last: dict[int, int] = {}
    for promise in pool.promises:
        assert promise.start_at <= last.get(promise.job_id, promise.start_at)
        last[promise.job_id] = promise.start_at
    for job_id, start_at in last.items():
        assert pool.starts[job_id] <= start_at


@given(traces(), st.lists(st.integers(0, 1000), min_size=1), st.sampled_from([0, 1, 6]))
def test_no_promise_is_broken_whatever_is_predicted(jobs: list[PoolJob], predictions: list[int], limits: int):
    pool = WrongPool(predictions, limits)

    replay(jobs, pool)

    assert_promises_kept(pool)


@given(traces())
def test_every_job_starts_and_none_too_early_or_on_processors_not_there(jobs: list[PoolJob]):
    starts = replay(jobs, Pool(PROCESSORS))

    assert starts.keys() == {job.id for job in jobs}
    assert all(starts[job.id] >= job.submitted_at for job in jobs)
    for job in jobs:
        beside = [each for each in jobs if starts[each.id] <= starts[job.id] < starts[each.id] + each.run_s]
        assert sum(each.processors for each in beside) <= PROCESSORS


@given(traces())
def test_the_same_trace_gives_the_same_starts(jobs: list[PoolJob]):
    assert replay(jobs, Pool(PROCESSORS)) == replay(jobs, Pool(PROCESSORS))


def test_a_job_that_outruns_its_prediction_does_not_delay_the_head_past_its_promise():
    """The user's jobs ran a second so far; the next one runs its whole 50 s beside a head that is due."""
    teacher = PoolJob(1, 0, 1, 1, 50, uid=1)
    holder = PoolJob(2, 1, 60, 3, 60, uid=2)
    head = PoolJob(3, 2, 10, PROCESSORS, 1, uid=2)
    late = PoolJob(4, 5, 50, 1, 50, uid=1)
    pool = Pool(PROCESSORS)

    starts = replay([teacher, holder, head, late], pool)

    assert pool.predicted_s[late.id] == 1
    assert starts[late.id] == 5
    assert starts[head.id] == 61
    assert_promises_kept(pool)


def test_a_prediction_that_has_passed_opens_no_gap():
    """While it outruns its prediction, its processors are not counted as free by anyone."""
    teacher = PoolJob(1, 0, 1, 1, 90, uid=1)
    outrunning = PoolJob(2, 2, 90, 3, 90, uid=1)
    head = PoolJob(3, 3, 10, PROCESSORS, 1, uid=2)
    delaying = PoolJob(4, 20, 80, 2, 80, uid=2)
    pool = Pool(PROCESSORS)

    starts = replay([teacher, outrunning, head, delaying], pool)

    assert pool.predicted_s[outrunning.id] == 1
    assert starts[head.id] == 92
    assert starts[delaying.id] == 102


class ProductionPool(Pool):
    """The same pool, as one node with a CPU for each processor, and decide() in the place of the reference's pass."""

    def decide(self, now_at: int) -> list[PoolJob]:
        cluster = Cluster(cpus=self.processors, now_at=float(now_at))
        for end_at, job in self.running:
            if end_at > now_at:
                cluster.running(cpus=job.processors, ends_in_s=float(end_at - now_at))
        for job in self.queue:
            pending = cluster.pending(ntasks=job.processors, limit_s=job.limit_s, priority=1)
            since_at = float(job.submitted_at)
            cluster.pending_jobs[-1] = replace(pending, id=job.id, submitted_at=since_at, eligible_at=since_at)
        plan = decide(replace(cluster.snapshot(), predicted_s=dict(self.predicted_s)), POLICY)
        waiting = {job.id: job for job in self.queue}
        started = [self._start(waiting.pop(start.job_id), now_at) for start in plan.starts]
        self.queue = list(waiting.values())
        return started


@settings(max_examples=25)
@given(traces(jobs_max=15))
def test_decide_starts_every_job_when_the_reference_does(jobs: list[PoolJob]):
    assert replay(jobs, ProductionPool(PROCESSORS)) == replay(jobs, Pool(PROCESSORS))
