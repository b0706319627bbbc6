"""Who would have waited more or less, told: by user, and the jobs that it matters most to."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from .past import Wait

#: Jobs told in the text; JSON has all.
JOBS_TOLD = 20


class Sums(msgspec.Struct):
    """Of some jobs.  Seconds in all, of those that start in both replays.

    more, less: jobs that wait longer or shorter.  lost: jobs that do not start any more.
    """

    jobs: int = 0
    recorded_s: int = 0
    before_s: int = 0
    after_s: int = 0
    more: int = 0
    less: int = 0
    lost: int = 0

    def add(self, wait: Wait) -> None:
        self.jobs += 1
        self.more += wait.change_s > 0
        self.less += wait.change_s < 0
        self.lost += wait.after_s is None
        if wait.before_s is not None and wait.after_s is not None:
            self.recorded_s += wait.recorded_s
            self.before_s += wait.before_s
            self.after_s += wait.after_s


def sum_by_user(waits: Iterable[Wait]) -> dict[str, Sums]:
    """Return sums by user, those who gain the least first."""
    sums: dict[str, Sums] = {}
    for wait in waits:
        sums.setdefault(wait.user, Sums()).add(wait)
    return dict(sorted(sums.items(), key=lambda item: (item[1].before_s - item[1].after_s, item[0])))


def render_waits(waits: Sequence[Wait]) -> list[str]:
    """Return the lines of the report."""
    total = Sums()
    for wait in waits:
        total.add(wait)
    users = sum_by_user(waits)
    rows = [_sums_row(user, sums) for user, sums in users.items()]
    lines = ["waiting, seconds in all", *_table([_SUMS_TITLES, *rows, _sums_row("all", total)])]
    changed = sorted((wait for wait in waits if wait.change_s), key=lambda wait: (-abs(wait.change_s), wait.job))
    if changed:
        more = f" (the {JOBS_TOLD} largest of {len(changed):,})" if len(changed) > JOBS_TOLD else ""
        lines += ["", f"jobs that wait otherwise{more}", *_table([_JOB_TITLES, *map(_job_row, changed[:JOBS_TOLD])])]
    lost = [wait for wait in waits if wait.after_s is None]
    if lost:
        lines += ["", f"jobs that do not start any more: {len(lost):,}"]
        lines += [f"  {wait.job} of {wait.user}: {wait.why or 'no reason is known'}" for wait in lost[:JOBS_TOLD]]
    return lines


_SUMS_TITLES = ("user", "jobs", "recorded", "replayed", "then", "change", "longer", "shorter", "never")
_JOB_TITLES = ("job", "user", "recorded", "replayed", "then", "change")


def _sums_row(user: str, sums: Sums) -> tuple[str, ...]:
    numbers = (sums.jobs, sums.recorded_s, sums.before_s, sums.after_s)
    change = f"{sums.after_s - sums.before_s:+,}"
    return (user, *(f"{number:,}" for number in numbers), change, str(sums.more), str(sums.less), str(sums.lost))


def _job_row(wait: Wait) -> tuple[str, ...]:
    numbers = (wait.recorded_s, wait.before_s or 0, wait.after_s or 0)
    return (wait.job, wait.user, *(f"{number:,}" for number in numbers), f"{wait.change_s:+,}")


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def waits_as_json(waits: Sequence[Wait]) -> dict[str, Any]:
    users: dict[str, Any] = msgspec.to_builtins(sum_by_user(waits))
    return {"users": users, "jobs": [msgspec.to_builtins(wait) | {"change_s": wait.change_s} for wait in waits]}
