"""The driver: which moments a pass sees, in which order, and what it sees then."""

from pathlib import Path

from sluice.config.load import load
from sluice.model.allocation import Allocation, NodeGrant
from sluicectld.replay.drive import replay
from sluicectld.replay.machine import configured_machine, pool_machine
from sluicectld.replay.policies import policy_named
from sluicectld.replay.schedule import Schedule
from sluicectld.replay.trace import TraceJob
from sluicectld.scheduler.plan import Plan, PlannedStart, StartJob
from sluicectld.scheduler.snapshot import Policy, Snapshot


def job(job_id: int, submitted_s: int, run_s: int, processors: int = 1, estimate_s: int = 0) -> TraceJob:
    return TraceJob(job_id, submitted_s, run_s, processors, estimate_s or run_s, user=1)


class Recorder:
    """Starts the head while it fits, as FCFS, and keeps every snapshot; promises: planned starts to give out, by id."""

    def __init__(self, promises: dict[int, int] | None = None) -> None:
        self.seen: list[Snapshot] = []
        self.promises = promises or {}

    def __call__(self, snapshot: Snapshot, policy: Policy) -> Plan:
        self.seen.append(snapshot)
        free = snapshot.nodes[0].free_cpus
        starts = []
        for pending in snapshot.pending:
            if pending.spec.ntasks > free.bit_count() or self.promises.get(pending.id, 0) > snapshot.now_at:
                break
            cpus = [number for number in range(free.bit_length()) if free >> number & 1][: pending.spec.ntasks]
            free &= ~sum(1 << number for number in cpus)
            grant = NodeGrant(node="pool", cpus=",".join(map(str, cpus)), cpu_count=len(cpus))
            starts.append(StartJob(pending.id, Allocation(grants=(grant,)), "pool", pending.limit_s))
        waiting = {pending.id for pending in snapshot.pending} - {start.job_id for start in starts}
        planned = {each: PlannedStart(float(at)) for each, at in self.promises.items() if each in waiting}
        return Plan(snapshot.version, tuple(starts), planned)

    def moments(self) -> list[tuple[float, int]]:
        """Return (second, free processors) of every pass."""
        return [(each.now_at, each.nodes[0].free_cpus.bit_count()) for each in self.seen]


def driven(recorder: Recorder, *jobs: TraceJob, processors: int = 4, name: str = "fcfs") -> Schedule:
    machine = pool_machine(processors)
    return replay(jobs, machine, policy_named(name, machine.policy, 1), decide=recorder)


def started(schedule: Schedule) -> dict[int, int]:
    return {run.job.id: run.started_s for run in schedule.runs}


def test_two_early_ends_of_one_second_are_two_passes() -> None:
    """The first knows nothing of the second."""
    recorder = Recorder()

    driven(recorder, job(1, 0, 10, 2, 99), job(2, 0, 10, 2, 99), job(3, 1, 5, 4))

    assert recorder.moments()[-2:] == [(10, 2), (10, 4)]


def test_ends_of_one_second_go_in_the_order_of_their_starts() -> None:
    recorder = Recorder()

    driven(recorder, job(1, 0, 10, 1, 99), job(2, 4, 6, 3, 99), job(3, 5, 5, 4))

    assert recorder.moments()[-2:] == [(10, 1), (10, 4)]


def test_a_job_that_ends_at_its_estimate_is_gone_before_a_submission_of_that_second() -> None:
    recorder = Recorder()

    schedule = driven(recorder, job(1, 0, 10, 4), job(2, 10, 5, 4))

    assert recorder.moments() == [(0, 4), (10, 4)]
    assert started(schedule) == {1: 0, 2: 10}


def test_a_job_that_ends_early_is_still_there_at_a_submission_of_that_second() -> None:
    recorder = Recorder()

    driven(recorder, job(1, 0, 10, 4, 99), job(2, 10, 5, 4))

    assert recorder.moments() == [(0, 4), (10, 0), (10, 4)]


def test_planning_knows_the_estimate_and_not_the_run_time() -> None:
    recorder = Recorder()

    driven(recorder, job(1, 3, 10, 4, 99), job(2, 5, 5, 4))

    assert [each.expected_end_at for each in recorder.seen[1].running] == [102]


def test_no_pass_looks_at_an_empty_queue() -> None:
    recorder = Recorder()

    schedule = driven(recorder, job(1, 0, 10), job(2, 20, 10))

    assert recorder.moments() == [(0, 4), (20, 4)]
    assert (schedule.counts.passes, schedule.counts.skipped) == (2, 2)


def test_a_promised_start_is_due_also_when_nothing_else_happens() -> None:
    recorder = Recorder(promises={2: 30})

    schedule = driven(recorder, job(1, 0, 100), job(2, 5, 10), name="conservative")

    assert started(schedule) == {1: 0, 2: 30}


def test_a_pass_is_told_what_was_promised_and_whether_a_job_has_ended_since() -> None:
    recorder = Recorder(promises={2: 30})

    driven(recorder, job(1, 0, 10, 1, 50), job(2, 5, 10), job(3, 12, 10), name="conservative")

    told = [(each.now_at, dict(each.promised), each.is_freed) for each in recorder.seen]
    promise = {2: PlannedStart(30.0)}
    assert told[:4] == [(0, {}, False), (5, {}, False), (10, promise, True), (12, promise, False)]


def test_jobs_that_the_machine_cannot_hold_are_refused_and_hinder_nobody(tmp_path: Path) -> None:
    conf = tmp_path / "sluice.conf"
    conf.write_text(
        "ClusterName=one\nSlurmctldHost=head\nNodeName=n[1-2] CPUs=4\nPartitionName=all Nodes=ALL MaxCPUsPerNode=2\n"
    )
    machine = configured_machine(load(conf), "sluice.conf")

    schedule = replay((job(1, 0, 10, 5), job(2, 0, 10, 3)), machine, machine.policy)

    assert started(schedule) == {2: 0}
    assert "room for 4 tasks; needs 1 node for 5 tasks" in schedule.refused[1]
    assert schedule.runs[0].allocation.nodes == ("n1", "n2")


def test_a_job_that_waits_to_the_end_is_told_with_its_reason(tmp_path: Path) -> None:
    conf = tmp_path / "sluice.conf"
    conf.write_text("ClusterName=one\nSlurmctldHost=head\nNodeName=n1 CPUs=2\nPartitionName=all Nodes=ALL MaxTime=1\n")
    machine = configured_machine(load(conf), "sluice.conf")

    schedule = replay((job(1, 0, 10, 1), job(2, 0, 600, 1)), machine, machine.policy)

    assert started(schedule) == {1: 0}
    assert "PartitionTimeLimit" in schedule.unstarted[2]


def test_progress_is_told_by_jobs_that_have_ended() -> None:
    told: list[tuple[int, int]] = []
    machine = pool_machine(4)

    replay([job(each, each, 5) for each in range(1, 4)], machine, machine.policy, lambda *way: told.append(way))

    assert told == [(1, 3), (2, 3), (3, 3)]
