"""Reading Standard Workload Format: what is kept, what is left out, what is no trace."""

import gzip
from pathlib import Path

import pytest

from sluice.errors import TraceError
from sluicectld.replay.trace import Trace, TraceJob, parse_trace, read_trace


def line(**fields: object) -> str:
    """Return a line of a trace: a job of two processors that runs 60 s of 600."""
    values: dict[str, object] = {
        "job": 1,
        "submitted": 5,
        "wait": -1,
        "run": 60,
        "given": 2,
        "cpu": -1,
        "memory": -1,
        "asked": 2,
        "estimate": 600,
        "memory_asked": -1,
        "status": 1,
        "user": 7,
    }
    return " ".join(map(str, [*(values | fields).values(), -1, -1, -1, -1, -1, -1]))


def parsed(*lines: str, processors: int | None = 4, is_filled: bool = False, is_perfect: bool = False) -> Trace:
    return parse_trace(lines, "some.swf", "some", processors, is_filled, is_perfect)


def test_a_job_is_what_its_fields_say() -> None:
    assert parsed("; a comment", "", line()).jobs == (TraceJob(1, 5, 60, 2, 600, 7),)


@pytest.mark.parametrize(
    ("fields", "job"),
    [
        pytest.param({"asked": 3}, TraceJob(1, 5, 60, 3, 600, 7), id="asked before given"),
        pytest.param({"asked": -1}, TraceJob(1, 5, 60, 2, 600, 7), id="given where nothing was asked"),
        pytest.param({"run": 700}, TraceJob(1, 5, 600, 2, 600, 7), id="cut to its estimate"),
        pytest.param({"run": "60.9"}, TraceJob(1, 5, 60, 2, 600, 7), id="whole seconds"),
        pytest.param({"user": -1}, TraceJob(1, 5, 60, 2, 600, -1), id="unknown user"),
    ],
)
def test_what_is_kept(fields: dict[str, object], job: TraceJob) -> None:
    assert parsed(line(**fields)).jobs == (job,)


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"asked": 5}, "wider than 4 processors"),
        ({"given": 5}, "wider than 4 processors"),
        ({"asked": 0, "given": -1}, "without processors"),
        ({"run": 0}, "without run time"),
        ({"estimate": -1}, "without estimate"),
        ({"submitted": -1}, "submitted before the trace begins"),
    ],
)
def test_what_is_left_out_and_why(fields: dict[str, object], cause: str) -> None:
    found = parsed(line(job=1), line(job=2, **fields))

    assert [job.id for job in found.jobs] == [1]
    assert found.dropped == {cause: 1}


def test_a_run_time_fills_a_missing_estimate() -> None:
    assert parsed(line(estimate=-1), is_filled=True).jobs[0].estimate_s == 60


def test_a_perfect_estimate_is_the_run_time_cut_to_the_real_one() -> None:
    assert parsed(line(run=900), is_perfect=True).jobs[0].estimate_s == 600


def test_jobs_stand_in_order_of_submission_then_of_the_file() -> None:
    lines = (line(job=9, submitted=5), line(job=3, submitted=5), line(job=4, submitted=1))

    assert [job.id for job in parsed(*lines).jobs] == [4, 9, 3]


def test_the_header_tells_the_processors() -> None:
    found = parsed("; MaxProcs: 100", line(asked=100), line(job=2, asked=101), processors=None)

    assert (found.processors, len(found.jobs)) == (100, 1)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1 2 3"], "some.swf:1: 3 fields, a job has 18"),
        (["; x", line(run="ten")], "some.swf:2: field 4: 'ten' is not a number"),
        ([line(estimate="nan")], "some.swf:1: field 9: 'nan' is not a number"),
        ([line(estimate="inf")], "some.swf:1: field 9: 'inf' is not a number"),
        ([line(), line()], "some.swf:2: job 1 once more, it stands on line 1 already"),
        (["; only talk"], "some.swf: no job to replay (no line with a job)"),
        ([line(run=0)], "some.swf: no job to replay (1 without run time)"),
        (
            [line(estimate=-1)],
            "some.swf: no job to replay (1 without estimate; --fill takes run times as estimates)",
        ),
    ],
)
def test_what_is_no_trace_is_told_with_its_place(lines: list[str], message: str) -> None:
    with pytest.raises(TraceError) as refused:
        parsed(*lines)

    assert str(refused.value) == message


def test_a_machine_beyond_all_bounds_is_refused() -> None:
    with pytest.raises(TraceError, match="at most 1000000 processors"):
        parsed("; MaxProcs: 99999999999999999999", line(), processors=None)


def test_a_trace_that_says_nothing_of_its_machine_needs_to_be_told() -> None:
    with pytest.raises(TraceError, match=r"^some\.swf:1: no '; MaxProcs:' before the first job; give the processors"):
        parsed(line(), processors=None)


def test_a_compressed_trace_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(gzip.compress((line() + "\n").encode()))

    assert len(read_trace(path, 4).jobs) == 1


def test_a_compressed_trace_that_breaks_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "trace.gz"
    text = "".join(line(job=number, run=number % 977 + 1) + "\n" for number in range(1, 3000))
    path.write_bytes(gzip.compress(text.encode())[:-2000])

    with pytest.raises(TraceError, match=r"trace\.gz:\d+: the compressed file breaks off or is damaged"):
        read_trace(path, 4)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file or directory"):
        read_trace(tmp_path / "none.swf", 4)
