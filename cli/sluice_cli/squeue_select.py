"""Which jobs squeue asks the controller for, and which of them it shows.

What the controller's filter has goes there; arrays' tasks, partitions that are hidden and running times are looked at
here.  A single unknown job id is the controller's refusal; an unknown task of a known array is an empty listing.
"""

from __future__ import annotations

import os

from sluice import array_spec, duration, hostlist, jobid_spec
from sluice.errors import InvalidRequest
from sluice_cli import job_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from sluice_cli.job_row import JobRow
    from sluice_cli.talk import Voice

    Map = dict[str, Any]
    Values = dict[str, str]

#: What is listed when no states are asked: everything that has not finished.
DEFAULT_STATES = ("PENDING", "RUNNING", "SUSPENDED", "COMPLETING")
_FILTERS = {"account": "accounts", "qos": "qos", "name": "names", "licenses": "licenses", "partition": "partitions"}


class Refusal(Exception):
    """A selection that is refused, or (is_empty) one that nothing can match."""

    def __init__(self, *lines: str, is_empty: bool = False) -> None:
        super().__init__(*lines)
        self.lines = lines
        self.is_empty = is_empty


class Selection:
    """The request's filter and the test of what comes back."""

    def __init__(self) -> None:
        self.filter: dict[str, list[str]] = {}
        self.ids: list[jobid_spec.JobIdSpec] = []
        #: States to show, None for all.
        self.states: frozenset[str] | None = None
        self.tests: list[Callable[[JobRow], bool]] = []

    def rows(self, rows: Iterable[JobRow]) -> Iterator[JobRow]:
        """Give the rows to show, of arrays only the tasks that were asked for."""
        ranges_by_job = _ranges_by_job(self.ids)
        states, tests = self.states, self.tests
        for row in rows:
            if states is not None and row.state not in states and job_row.shown_state(row) not in states:
                continue
            if tests and not all(test(row) for test in tests):
                continue
            if not ranges_by_job:
                yield row
                continue
            yield from _asked(row, ranges_by_job)


def read_selection(values: Values, voice: Voice) -> Selection:
    """Return what the options select.  Raises Refusal with what is to be said."""
    selection = Selection()
    selection.states = read_states(values)
    ids = values.get("jobs")
    if ids:
        selection.ids = read_ids(ids)
        # The whole job is asked for, whether a task exists is seen in what comes; and a list stays a list: the
        # controller refuses an unknown job that is the only one.
        selection.filter["ids"] = [str(spec.job_id) for spec in selection.ids]
    elif selection.states is not None:
        selection.filter["states"] = sorted(selection.states)
    for option, name in _FILTERS.items():
        if values.get(option):
            selection.filter[name] = _words(values[option])
    if values.get("reservation"):
        selection.filter["reservations"] = _words(values["reservation"])
    if "user" in values:
        selection.filter["users"] = read_users(values["user"], voice)
    if "notme" in values:
        own = os.getuid()
        selection.tests.append(lambda row: row.spec["uid"] != own)
    _add_running_tests(values, selection)
    return selection


def read_states(values: Values) -> frozenset[str] | None:
    """Return the states asked for, None for all.  Raises Refusal."""
    if "start" in values and "states" not in values:
        return frozenset(("PENDING",))
    if "states" not in values:
        return frozenset(DEFAULT_STATES)
    states = []
    for word in _words(values["states"]):
        if word.lower() == "all":
            return None
        state = word.upper()
        state = job_row.LONG_STATES.get(state, state)
        if state not in job_row.SHORT_STATES:
            raise Refusal(
                f"Invalid job state specified: {word}",
                f"Valid job states include: {','.join(job_row.SHORT_STATES)}\n",
            )
        states.append(state)
    if not states:
        raise Refusal(is_empty=True)
    return frozenset(states)


def read_ids(text: str) -> list[jobid_spec.JobIdSpec]:
    """Return the job ids of -j; a step's stands for its job.  Raises Refusal."""
    specs = []
    for word in _id_words(text):
        try:
            specs.append(jobid_spec.parse(word.partition(".")[0]))
        except InvalidRequest:
            raise Refusal(f"Invalid job id: {word}") from None
    return specs


def read_steps(text: str) -> list[tuple[int, int | None, str]]:
    """Return (job, array index, step's word) of each step of -s.  Raises Refusal."""
    steps = []
    for word in _id_words(text):
        try:
            spec = jobid_spec.parse(word)
        except InvalidRequest:
            spec = jobid_spec.JobIdSpec(0)
        if spec.step is None:
            raise Refusal(f"Invalid job_step id: {word.partition('.')[0]}.??")
        steps.append((spec.job_id, spec.task, spec.step))
    return steps


def read_users(text: str, voice: Voice) -> list[str]:
    """Return the uids of names and numbers; says which are unknown.  Raises Refusal when none is left."""
    import pwd

    uids = []
    for word in _words(text):
        try:
            entry = pwd.getpwuid(int(word)) if word.isdecimal() else pwd.getpwnam(word)
            uids.append(str(entry.pw_uid))
        except (KeyError, OverflowError):
            if word.isdecimal() and int(word) == os.getuid():
                uids.append(word)
                continue
            voice.error(f"Invalid user: {word}\n")
    if not uids:
        raise Refusal(is_empty=True)
    return uids


def read_nodes(text: str, known: list[Map]) -> list[str]:
    """Return the node names of -w; a host's own name means its first node.  Raises Refusal."""
    names = {view["node"]["name"] for view in known}
    found = []
    for name in _expanded(text):
        if name in names:
            found.append(name)
            continue
        host = os.uname().nodename if name == "localhost" else name
        node = next((view["node"]["name"] for view in known if host in _hosts_of(view)), "")
        if not node:
            raise Refusal(f"Invalid node name {name}")
        found.append(node)
    return found


def _hosts_of(view: Map) -> tuple[str, str]:
    inventory = view["node"].get("inventory") or {}
    return view["node"].get("hostname", ""), inventory.get("hostname", "")


def _expanded(text: str) -> list[str]:
    try:
        return hostlist.expand(text)
    except InvalidRequest:
        raise Refusal(f"Invalid node name {text}") from None


def _add_running_tests(values: Values, selection: Selection) -> None:
    for option, sign in (("running-over", 1), ("running-under", -1)):
        if option not in values:
            continue
        try:
            bound_s = duration.parse(values[option]) or 0
        except InvalidRequest:
            raise Refusal(f"Invalid --{option} specification") from None
        selection.tests.append(_running_test(bound_s, sign))


def _running_test(bound_s: int, sign: int) -> Callable[[JobRow], bool]:
    return lambda row: row.state == "RUNNING" and (job_row.elapsed_s(row) - bound_s) * sign > 0


def _ranges_by_job(ids: list[jobid_spec.JobIdSpec]) -> dict[int, array_spec.Ranges | None]:
    """Return the tasks asked of each job; None: all of it; by the negative id a component alone.

    Empty when neither tasks nor components are named.
    """
    if all(spec.tasks is None and spec.component is None for spec in ids):
        return {}
    ranges: dict[int, array_spec.Ranges | None] = {}
    for spec in ids:
        if spec.component is not None:
            # Ids of components follow one another.
            ranges[-spec.job_id - spec.component] = None
            continue
        known = ranges.get(spec.job_id, ())
        ranges[spec.job_id] = None if spec.tasks is None or known is None else array_spec.union(known, spec.tasks)
    return ranges


def _asked(row: JobRow, ranges_by_job: dict[int, array_spec.Ranges | None]) -> Iterator[JobRow]:
    own, array = row.job["id"], row.job.get("array_job_id", 0)
    if any(ranges_by_job.get(each, ()) is None for each in (own, array, row.job.get("het_job_id", 0), -own)):
        yield row
        return
    wanted = ranges_by_job.get(array) or ()
    if row.tasks is None:
        if row.index is not None and array_spec.contains(wanted, row.index):
            yield row
        return
    meant = array_spec.intersect(row.tasks, wanted)
    if meant:
        yield row.with_tasks(meant)


def _id_words(text: str) -> list[str]:
    words: list[str] = []
    is_inside = False
    for piece in text.split(","):
        if is_inside:
            words[-1] += "," + piece
        else:
            words.append(piece)
        is_inside = words[-1].count("[") > words[-1].count("]")
    return [word.strip() for word in words if word.strip()]


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
