"""The scheduler against the rules: exactly the starts that each policy's definition gives."""

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluicectld.replay.drive import replay
from sluicectld.replay.machine import pool_machine
from sluicectld.replay.policies import policy_named
from sluicectld.replay.report import render_starts
from sluicectld.replay.trace import TraceJob, read_trace
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy, Snapshot
from tests.controller.replay import reference_schedules as reference
from tests.controller.replay.reference_schedules import Work
from tests.traces import make

POLICIES = ["fcfs", "easy", "easy-sjbf", "hybrid", "conservative"]

#: Name in the folder of traces -> its file and the machine's processors.
_ARCHIVED = {
    "KTH": ("KTH-SP2-1996-2.swf.gz", 100),
    "CTC": ("CTC-SP2-1996-filtered.swf.gz", 338),
    "SDSC-SP2": ("SDSC-SP2-1998-filtered.swf.gz", 128),
}
#: Word in a reference's name -> the policy.
_WORDS = {"fcfs": "fcfs", "easy": "easy", "sjbf": "easy-sjbf", "cons": "conservative"}
_REFERENCES = [
    "KTH.fcfs",
    "KTH.easy",
    "KTH.sjbf",
    "KTH.cons",
    "KTH.easy-perfect",
    "KTH.sjbf-perfect",
    "CTC.fcfs",
    "CTC.easy",
    "CTC.sjbf",
    "SDSC-SP2.fcfs",
    "SDSC-SP2.easy",
    "SDSC-SP2.sjbf",
    "SDSC-SP2.cons",
]


def replayed(jobs: tuple[TraceJob, ...], processors: int, name: str, reservations: int = make.RESERVATIONS) -> str:
    """Return the lines of the starts that the scheduler decides."""
    machine = pool_machine(processors)
    return render_starts(replay(jobs, machine, policy_named(name, machine.policy, reservations)))


@pytest.mark.parametrize("runtimes", ["estimate", "perfect"])
@pytest.mark.parametrize("name", POLICIES)
def test_a_small_trace_starts_as_the_rules_say(name: str, runtimes: str) -> None:
    trace = read_trace(make.TRACE, make.PROCESSORS, is_perfect=runtimes == "perfect")

    starts = replayed(trace.jobs, make.PROCESSORS, name)

    assert starts == (make.FOLDER / f"synthetic.{name}.{runtimes}.starts").read_text()


jobs_of_a_pool = st.lists(
    st.builds(
        lambda submit, run, width, estimate: Work(submit, min(run, estimate), width, estimate),
        submit=st.integers(0, 30),
        run=st.integers(1, 12),
        width=st.integers(1, 4),
        estimate=st.integers(1, 12),
    ),
    min_size=1,
    max_size=12,
).map(lambda jobs: sorted(jobs, key=lambda job: job.submit))

#: A head of four processors waits for the first job; its shadow leaves nothing to the third, and lets the fourth by.
_DELAYING = [Work(0, 9, 3, 10), Work(1, 5, 4, 5), Work(2, 20, 1, 20), Work(3, 5, 1, 5), Work(3, 2, 1, 2)]


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=40)
@given(jobs=jobs_of_a_pool)
@example(jobs=_DELAYING)
def test_the_starts_are_those_of_the_definition(name: str, jobs: list[Work]) -> None:
    """On any small workload, hybrid with two planned starts."""
    starts = make.reference_starts(jobs, 4, reservations=2)[name]

    assert replayed(_as_trace(jobs), 4, name, reservations=2) == _lines(starts)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=20)
@given(jobs=jobs_of_a_pool)
@example(jobs=_DELAYING)
def test_neither_memory_nor_explanations_change_a_start(name: str, jobs: list[Work]) -> None:
    """Passes that know nothing of each other, and tell every reason, decide the same."""
    machine = pool_machine(4)
    policy = policy_named(name, machine.policy, 2)

    def forgetful(snapshot: Snapshot, asked: Policy) -> Plan:
        return decide(snapshot, replace(asked, is_explaining=True))

    assert render_starts(replay(_as_trace(jobs), machine, policy, decide=forgetful)) == render_starts(
        replay(_as_trace(jobs), machine, policy)
    )


@settings(max_examples=200)
@given(jobs_of_a_pool)
def test_one_reservation_makes_the_hybrid_easy(jobs: list[Work]) -> None:
    """Two ways to say the same, so that the reference stands on two feet."""
    assert reference.replay(jobs, 4, reference.hybrid(1)) == reference.replay(jobs, 4, reference.easy)


@settings(max_examples=200)
@given(jobs_of_a_pool)
def test_with_known_run_times_the_conservative_never_moves_a_promise(jobs: list[Work]) -> None:
    """Then it is the hybrid that keeps everybody's start."""
    known = [job._replace(estimate=job.run) for job in jobs]

    assert reference.conservative(known, 4) == reference.replay(known, 4, reference.hybrid(len(known)))


def test_the_golden_starts_are_those_of_the_reference() -> None:
    """Whoever changes the trace or a rule records them anew: python -m tests.traces.make."""
    trace = read_trace(make.TRACE, make.PROCESSORS)
    work = [Work(job.submitted_s, job.run_s, job.processors, job.estimate_s) for job in trace.jobs]

    for name, starts in make.reference_starts(work, make.PROCESSORS).items():
        lines = "".join(f"{job.id} {at}\n" for job, at in zip(trace.jobs, starts, strict=True))
        assert (make.FOLDER / f"synthetic.{name}.estimate.starts").read_text() == lines, name


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", _REFERENCES)
def test_an_archived_trace_starts_as_published(name: str) -> None:
    """0 of tens of thousands of jobs start at another second; the traces are not part of this repository."""
    folder = os.environ.get("SLUICE_TRACES")
    if not folder:
        pytest.skip("SLUICE_TRACES names no folder with archived traces")
    archive, words = name.split(".")
    file, processors = _ARCHIVED[archive]
    word, _, perfect = words.partition("-")
    trace = read_trace(Path(folder) / file, processors, is_perfect=bool(perfect))
    published = gzip.decompress((Path(folder) / "ref" / f"{name}.starts.gz").read_bytes()).decode()

    starts = replayed(trace.jobs, processors, _WORDS[word])

    assert len(set(starts.splitlines()) - set(published.splitlines())) == 0


def _as_trace(jobs: list[Work]) -> tuple[TraceJob, ...]:
    return tuple(
        TraceJob(serial, job.submit, job.run, job.width, job.estimate, user=1) for serial, job in enumerate(jobs, 1)
    )


def _lines(starts: list[int]) -> str:
    return "".join(f"{serial} {at}\n" for serial, at in enumerate(starts, 1))
