"""The command line of sacct and the window of time that it means.  Source: CONTRACT section 9."""

from __future__ import annotations

import os
import time

from sluice import jobid_spec, timepoint
from sluice.errors import InvalidRequest
from sluice_cli.getopt import OPTIONAL, REQUIRED, Option, OptionTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.getopt import Found

SYNOPSIS = "[OPTIONS]"
TABLE = OptionTable(
    Option("accounts", "A", REQUIRED, "names", "jobs of these accounts"),
    Option("allclusters", "L", help="jobs of all clusters"),
    Option("allocations", "X", help="only the cumulative statistics of each job"),
    Option("allusers", "a", help="jobs of all users"),
    Option("array", help="expand job arrays"),
    Option("associations", "x", REQUIRED, "ids", "jobs of these associations"),
    Option("batch-script", "B", help="print the batch script of the jobs"),
    Option("brief", "b", help="equivalent to --format=jobid,state,exitcode"),
    Option("cluster clusters", "M", REQUIRED, "names", "jobs of these clusters"),
    Option("completion", "c", help="use job completion instead of job accounting"),
    Option("constraints", "C", REQUIRED, "list", "jobs with these constraints"),
    Option("delimiter", argument=REQUIRED, metavar="characters", help="delimiter of parsable output"),
    Option("duplicates", "D", help="every run of requeued jobs"),
    Option("endtime", "E", REQUIRED, "time", "jobs before this time"),
    Option("env-vars", help="print the environment of the jobs"),
    Option("expand-patterns", help="expand patterns in file names (always done)"),
    Option("federation", help="jobs of the federation"),
    Option("file", "f", REQUIRED, "file", "read data from this file"),
    Option("flags", "F", REQUIRED, "flags", "jobs with these flags"),
    Option("format fields", "o", REQUIRED, "fields", "comma separated list of fields, see --helpformat"),
    Option("group gid", "g", REQUIRED, "groups", "jobs of these groups"),
    Option("helpformat", "e", help="list of fields that --format takes"),
    Option("jobs", "j", REQUIRED, "ids", "these jobs or steps"),
    Option("json", argument=OPTIONAL, metavar="version", help="produce JSON output"),
    Option("local", help="jobs of the local cluster"),
    Option("long", "l", help="long list of fields"),
    Option("name", argument=REQUIRED, metavar="names", help="jobs of these names"),
    Option("ncpus", "I", REQUIRED, "min[-max]", "jobs with so many CPUs"),
    Option("nnodes", "i", REQUIRED, "min[-max]", "jobs with so many nodes"),
    Option("noconvert", help="don't convert units"),
    Option("nodelist", "N", REQUIRED, "nodes", "jobs that ran on any of these nodes"),
    Option("noheader", "n", help="no header"),
    Option("parsable", "p", help="output is '|' delimited with a '|' at the end"),
    Option("parsable2", "P", help="output is '|' delimited without a '|' at the end"),
    Option("partition", "r", REQUIRED, "names", "jobs in these partitions"),
    Option("qos", "q", REQUIRED, "names", "jobs with these qos"),
    Option("reason", "R", REQUIRED, "reasons", "jobs with these reasons"),
    Option("starttime", "S", REQUIRED, "time", "jobs after this time"),
    Option("state", "s", REQUIRED, "states", "jobs in these states"),
    Option("timelimit-max", "K", REQUIRED, "time", "jobs with at most this time limit"),
    Option("timelimit-min", "k", REQUIRED, "time", "jobs with at least this time limit"),
    Option("truncate", "T", help="truncate times to the window"),
    Option("units", argument=REQUIRED, metavar="KMGTP", help="unit of sizes"),
    Option("use-local-uid", help="show local user names"),
    Option("user uid", "u", REQUIRED, "users", "jobs of these users"),
    Option("verbose", "v", help="verbosity level"),
    Option("wckeys", "W", REQUIRED, "names", "jobs with these wckeys"),
    Option("whole-hetjob", argument=OPTIONAL, metavar="yes|no", help="all components of heterogeneous jobs"),
    Option("yaml", argument=OPTIONAL, metavar="version", help="produce YAML output"),
    Option("autocomplete", argument=REQUIRED, metavar="prefix"),
    Option("help", "h", help="show this help message"),
    Option("usage", help="display brief usage message"),
    Option("version", "V", help="output version information and exit"),
)
#: Options whose values add up when they are repeated.
_LISTS = frozenset(
    ("jobs", "user", "name", "accounts", "partition", "qos", "state", "nodelist", "group", "wckeys", "reason", "format")
)


class Refusal(Exception):
    """A value that is refused; the text goes to stderr as it is."""


class Window:
    """The time in which a job must have existed; None is open."""

    __slots__ = ("end_at", "start_at")

    def __init__(self, start_at: float | None, end_at: float | None) -> None:
        self.start_at = start_at
        self.end_at = end_at


def settle(found: Found) -> dict[str, str]:
    """Return each option's value ("" without one); lists of repeated options are joined."""
    values: dict[str, str] = {}
    for key, value in found:
        text = value or ""
        values[key] = f"{values[key]},{text}" if key in _LISTS and values.get(key) else text
    if "SACCT_FORMAT" in os.environ and not any(key in values for key in ("format", "brief", "long")):
        values["format"] = os.environ["SACCT_FORMAT"]
    if "cluster" not in values and os.environ.get("SLURM_CLUSTERS"):
        values["cluster"] = os.environ["SLURM_CLUSTERS"]
    return values


def read_window(values: dict[str, str], now_at: float) -> Window:
    """Return the window that is meant.  Raises Refusal.

    Without times it is today, with --jobs all time, with --state now; a state and a start alone mean that moment.
    """
    start_at = _read_time(values.get("starttime"), now_at)
    end_at = _read_time(values.get("endtime"), now_at)
    has_jobs, has_states = bool(values.get("jobs")), bool(values.get("state"))
    if has_jobs:
        window = Window(start_at, end_at)
    elif has_states:
        begin_at = now_at if start_at is None else start_at
        window = Window(begin_at, end_at if end_at is not None else begin_at)
    else:
        window = Window(_midnight(now_at) if start_at is None else start_at, end_at)
    last_at = now_at if window.end_at is None else window.end_at
    if window.start_at is not None and window.start_at > last_at:
        raise Refusal(
            f"sacct: error: Start time ({timepoint.format_local(window.start_at)}) requested is after end time "
            f"({timepoint.format_local(last_at)})."
        )
    return window


def _read_time(text: str | None, now_at: float) -> float | None:
    if not text:
        return None
    try:
        return timepoint.parse(text, now_at, is_past=True)
    except InvalidRequest as error:
        raise Refusal(error.message) from None


def _midnight(now_at: float) -> float:
    return time.mktime((*time.localtime(now_at)[:3], 0, 0, 0, 0, 0, -1))


def read_ids(text: str) -> list[jobid_spec.JobIdSpec]:
    """Return the jobs and steps of --jobs.  Raises Refusal."""
    specs = []
    for word in _id_words(text):
        # What follows a blank was never read.
        first = word.split()[0]
        try:
            specs.append(jobid_spec.parse(first))
        except InvalidRequest:
            raise Refusal(f"sacct: fatal: Bad job/step specified: {first}") from None
    return specs


def _id_words(text: str) -> list[str]:
    words: list[str] = []
    is_inside = False
    for piece in text.split(","):
        if is_inside:
            words[-1] += "," + piece
        else:
            words.append(piece)
        is_inside = words[-1].count("[") > words[-1].count("]")
    return [word for word in words if word.strip()]
