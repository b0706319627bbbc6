"""Which jobs sacct asks for, and which of what comes it shows.

What the controller's filter has goes there; groups, keys, limits and counts are looked at here.
"""

from __future__ import annotations

import os

from sluice import duration, hostlist, jobid_spec
from sluice.errors import InvalidRequest
from sluice_cli import fields_step, job_size
from sluice_cli.job_row import LONG_STATES, SHORT_STATES, JobRow
from sluice_cli.sacct_options import Refusal, read_ids, read_window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Map = dict[str, Any]
    Test = Callable[[JobRow], bool]

_FILTERS = {"accounts": "accounts", "name": "names", "partition": "partitions", "qos": "qos"}


class Question:
    """The request, the ids that it names, and the tests of what comes back."""

    def __init__(self, body: Map, ids: list[jobid_spec.JobIdSpec], tests: list[Test]) -> None:
        self.body = body
        self.ids = ids
        self.tests = tests


def read_question(values: dict[str, str], now_at: float, needs_steps: bool) -> Question:
    """Return what the options ask.  Raises Refusal."""
    ids = read_ids(values["jobs"]) if values.get("jobs") else []
    window = read_window(values, now_at)
    wanted: dict[str, list[str]] = {"ids": [jobid_spec.format_spec(spec) for spec in ids]} if ids else {}
    for option, name in _FILTERS.items():
        if values.get(option):
            wanted[name] = _words(values[option])
    if values.get("state"):
        wanted["states"] = read_states(values["state"])
    if values.get("nodelist"):
        wanted["nodes"] = _node_names(values["nodelist"])
    body: Map = {"filter": wanted, "with_steps": needs_steps, "with_duplicates": "duplicates" in values}
    if "whole-hetjob" in values:
        body["whole_het"] = values["whole-hetjob"] != "no"
    if window.start_at is not None:
        body["start_at"] = window.start_at
    if window.end_at is not None:
        body["end_at"] = window.end_at
    uids = _uids(values, bool(ids))
    if uids is None:
        body["all_users"] = True
    else:
        body["uids"] = uids
    return Question(body, ids, _tests(values))


def read_states(text: str) -> list[str]:
    """Return the long words of states.  Raises Refusal."""
    states = []
    for word in _words(text):
        state = LONG_STATES.get(word.upper(), word.upper())
        if state not in SHORT_STATES:
            raise Refusal(f"sacct: fatal: unrecognized job state value '{word}'")
        states.append(state)
    return states


def _uids(values: dict[str, str], has_ids: bool) -> list[int] | None:
    """Return the users whose jobs are meant, None for all.  Raises Refusal."""
    if values.get("user"):
        return [_uid(word) for word in _words(values["user"])]
    if "allusers" in values or has_ids or os.getuid() == 0:
        return None
    return [os.getuid()]


def _uid(word: str) -> int:
    import pwd

    if word.isdecimal():
        return int(word[:10])
    try:
        return pwd.getpwnam(word).pw_uid
    except KeyError:
        raise Refusal(f"sacct: error: Invalid user id: {word}") from None


def _gid(word: str) -> int:
    import grp

    if word.isdecimal():
        return int(word[:10])
    try:
        return grp.getgrnam(word).gr_gid
    except KeyError:
        raise Refusal(f"sacct: error: Invalid group id: {word}") from None


def _node_names(text: str) -> list[str]:
    try:
        return hostlist.expand(text)
    except InvalidRequest as error:
        raise Refusal(f"sacct: error: {error.message}") from None


def _tests(values: dict[str, str]) -> list[Test]:
    tests: list[Test] = []
    if values.get("group"):
        gids = {_gid(word) for word in _words(values["group"])}
        tests.append(lambda row: row.spec["gid"] in gids)
    if values.get("wckeys"):
        keys = set(_words(values["wckeys"]))
        tests.append(lambda row: row.spec.get("wckey", "") in keys)
    if values.get("constraints"):
        features = set(_words(values["constraints"]))
        tests.append(lambda row: row.spec.get("features", "") in features)
    if values.get("reason"):
        reasons = {word.lower() for word in _words(values["reason"])}
        tests.append(lambda row: (row.view.get("reason") or row.job.get("reason", "None")).lower() in reasons)
    if values.get("flags") or values.get("associations"):
        # Neither is kept: no job has one.
        tests.append(lambda row: False)
    tests += _range_tests(values)
    return tests


def _range_tests(values: dict[str, str]) -> list[Test]:
    tests: list[Test] = []
    if values.get("nnodes"):
        tests.append(_range_test(values["nnodes"], lambda row: len(row.grants)))
    if values.get("ncpus"):
        tests.append(_range_test(values["ncpus"], lambda row: job_size.cpu_count(row) if row.grants else 0))
    if values.get("timelimit-min"):
        least_s = _limit(values["timelimit-min"])
        most_s = _limit(values.get("timelimit-max", "")) or least_s
        tests.append(lambda row: least_s <= (row.job.get("limit_s") or most_s + 1) <= most_s)
    return tests


def _range_test(text: str, count: Callable[[JobRow], int]) -> Test:
    low, dash, high = text.partition("-")
    if not (low.isdecimal() and (high.isdecimal() or not dash)):
        raise Refusal(f"sacct: error: Invalid range: {text}")
    least, most = int(low[:9]), int(high[:9] if dash else low[:9])
    return lambda row: least <= count(row) <= most


def _limit(text: str) -> int:
    try:
        return (duration.parse(text) or 0) if text else 0
    except InvalidRequest:
        raise Refusal(f"sacct: error: Invalid time limit: {text}") from None


def is_job_named(ids: list[jobid_spec.JobIdSpec], row: JobRow) -> bool:
    """Is the job itself asked for, or only steps of it?"""
    return not ids or any(spec.step is None and _is_of(spec, row) for spec in ids)


def is_step_named(ids: list[jobid_spec.JobIdSpec], row: JobRow, step_id: int) -> bool:
    word = fields_step.step_word(step_id)
    return not ids or any(spec.step in (None, word) and _is_of(spec, row) for spec in ids)


def _is_of(spec: jobid_spec.JobIdSpec, row: JobRow) -> bool:
    leader = row.job.get("het_job_id")
    if leader:
        # Which components are meant with one is the controller's to say.
        return bool(leader <= spec.job_id + (spec.component or 0) < leader + row.job["het_size"])
    if spec.tasks is None:
        return spec.job_id in (row.job["id"], row.job.get("array_job_id"))
    if spec.job_id != row.job.get("array_job_id"):
        return False
    return row.index is None or any(first <= row.index <= last for first, last, _ in spec.tasks)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
