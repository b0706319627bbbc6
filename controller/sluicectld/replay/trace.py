"""Jobs from a file in Standard Workload Format: 18 numbers a line, `;` before comments, -1 for what is unknown.

    1 job  2 submission  3 wait  4 run time  5 processors given  6 CPU time  7 memory used  8 processors asked
    9 estimate  10 memory asked  11 status  12 user  13 group  14 program  15 queue  16 partition  17 job before
    18 think time

Jobs that cannot be replayed are dropped and counted by cause; what is no trace is an error with file and line.

Invariant: every job that is kept fits the machine, and runs at least a second and at most its estimate.
Source: Chapin et al. 1999; the Parallel Workloads Archive, "Standard Workload Format" version 2.2.
"""

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from sluice.errors import TraceError
from sluice.model.job import Job

_FIELDS = 18
_NO_ESTIMATE = "without estimate"
#: A pool is one node, whose CPUs are bits of a mask: beyond this a replay takes hours and all memory.
PROCESSORS_MAX = 1_000_000
_GZIP_MAGIC = b"\x1f\x8b"


class TraceJob(msgspec.Struct, frozen=True):
    """One job; seconds of the trace's clock.  user is -1 when unknown.

    record: the job as a cluster knew it, None of a trace from a file, where a job is so many processors and no more.
    """

    id: int
    submitted_s: int
    run_s: int
    processors: int
    estimate_s: int
    user: int
    record: Job | None = None


class Trace(msgspec.Struct, frozen=True):
    """jobs: in order of submission, equal ones in the order of the file.  dropped: counts by cause."""

    name: str
    jobs: tuple[TraceJob, ...]
    dropped: dict[str, int] = {}
    #: What the header says of the machine (MaxProcs), None when it says nothing.
    processors: int | None = None


def read_trace(path: Path, processors: int | None, is_filled: bool = False, is_perfect: bool = False) -> Trace:
    """Return the jobs of a trace that a machine of so many processors could run.

    processors: None for what the header says.  is_filled: a job without an estimate gets its run time as one, else it
    is dropped.  is_perfect: every estimate is replaced by the run time.  Raises TraceError.
    """
    return parse_trace(_lines(path), str(path), path.name, processors, is_filled, is_perfect)


def parse_trace(
    lines: Iterable[str],
    file: str,
    name: str,
    processors: int | None,
    is_filled: bool = False,
    is_perfect: bool = False,
) -> Trace:
    """Return what read_trace() returns; *file* names the source in errors."""
    jobs: list[TraceJob] = []
    line_by_id: dict[int, int] = {}
    dropped: Counter[str] = Counter()
    header: int | None = None
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0].startswith(";"):
            header = _max_processors(line) or header
            continue
        if processors is None and header is None:
            raise TraceError("no '; MaxProcs:' before the first job; give the processors (--processors)", file, number)
        if (processors or header or 0) > PROCESSORS_MAX:
            raise TraceError(f"at most {PROCESSORS_MAX} processors can be replayed on", file, number)
        found = _read_job(fields, processors or header or 0, is_filled, is_perfect, file, number)
        if isinstance(found, str):
            dropped[found] += 1
            continue
        first = line_by_id.setdefault(found.id, number)
        if first != number:
            raise TraceError(f"job {found.id} once more, it stands on line {first} already", file, number)
        jobs.append(found)
    if not jobs:
        told = ", ".join(f"{count} {cause}" for cause, count in sorted(dropped.items()))
        if dropped[_NO_ESTIMATE]:
            told += "; --fill takes run times as estimates"
        raise TraceError(f"no job to replay ({told or 'no line with a job'})", file)
    jobs.sort(key=lambda job: job.submitted_s)
    return Trace(name, tuple(jobs), dict(sorted(dropped.items())), header)


def _read_job(
    fields: list[str], processors: int, is_filled: bool, is_perfect: bool, file: str, number: int
) -> TraceJob | str:
    """Return the job of a line, or why it is dropped."""
    if len(fields) != _FIELDS:
        raise TraceError(f"{len(fields)} fields, a job has {_FIELDS}", file, number)
    job_id, submitted_s, run_s = (_number(fields, place, file, number) for place in (0, 1, 3))
    given, asked, estimate_s, user = (_number(fields, place, file, number) for place in (4, 7, 8, 11))
    width = asked if asked > 0 else given
    if is_filled and estimate_s <= 0:
        estimate_s = run_s
    if max(given, asked) > processors:
        return f"wider than {processors} processors"
    if width <= 0:
        return "without processors"
    if run_s <= 0:
        return "without run time"
    if estimate_s <= 0:
        return _NO_ESTIMATE
    if submitted_s < 0:
        return "submitted before the trace begins"
    run_s = min(run_s, estimate_s)
    return TraceJob(job_id, submitted_s, run_s, width, run_s if is_perfect else estimate_s, user)


def _number(fields: list[str], place: int, file: str, number: int) -> int:
    """Return a field as whole seconds or a count; archives hold fractions too."""
    text = fields[place]
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise TraceError(f"field {place + 1}: {text!r} is not a number", file, number) from None


def _max_processors(line: str) -> int | None:
    name, _, value = line.lstrip("; \t").partition(":")
    words = value.split()
    return int(words[0]) if name.strip() == "MaxProcs" and words and words[0].isdecimal() else None


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a plain or gzipped file; which one it is tell its first bytes, not its name."""
    number = 0
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            binary = gzip.GzipFile(fileobj=raw) if is_gzip else raw
            with io.TextIOWrapper(binary, errors="replace") as text:
                for line in text:
                    number += 1
                    yield line
    except OSError as error:
        raise TraceError(error.strerror or str(error), str(path)) from None
    except (EOFError, zlib.error) as error:
        raise TraceError(f"the compressed file breaks off or is damaged: {error}", str(path), number + 1) from None
