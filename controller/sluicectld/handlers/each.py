"""One change for every job that a request names: checked, done, and what is said of those that refuse.

A task that has ended is no fault of a request that names its whole array, as long as there is another one to change.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sluice import array_spec
from sluice.error_texts import text_of
from sluice.errors import RequestError
from sluice.model.job import Job
from sluice.wire.messages import Done
from sluicectld.state.arrays import name_of_tasks, ranges_of

from .select import Named, split_off
from .turn import Turn

_OVER = "finished"
#: A code whose message says more than its sentence, and names no job.
_UNSPECIFIC = "invalid_request"


class _Refused(NamedTuple):
    """tasks: the pending ones that were meant of an array, None for all of the record."""

    job: Job
    tasks: array_spec.Ranges | None
    error: RequestError


def for_each(turn: Turn, found: list[Named], check: Callable[[Job], None], act: Callable[[Job], None]) -> Done:
    """Check and act on each; refusals of some are told line by line.  Raises one of them when all are refused."""
    refused: list[_Refused] = []
    for job_id, tasks in found:
        job = turn.job(job_id)
        try:
            check(job)
        except RequestError as error:
            refused.append(_Refused(job, tasks, error))
            continue
        for each in split_off(turn, job, tasks):
            act(each)
    told = [each for each in refused if each.error.code != _OVER]
    if refused and len(refused) == len(found):
        raise (told or refused)[0].error
    return Done(lines=_lines(told))


def _lines(refused: Iterable[_Refused]) -> tuple[str, ...]:
    """Return a line for each job, one for all tasks of an array of which the same is to be said (as 22.05 has it)."""
    tasks_by_line: dict[tuple[int, str], array_spec.Ranges] = {}
    lines: list[str] = []
    for job, tasks, error in refused:
        text = error.message if error.code == _UNSPECIFIC else text_of(error.code, error.message)
        ranges = tasks or ranges_of(job)
        if ranges:
            key = (job.array_job_id, text)
            tasks_by_line[key] = array_spec.union(tasks_by_line.get(key, ()), ranges)
        else:
            lines.append(f"{text} for job {job.id}")
    return (*lines, *(f"{name_of_tasks(array_id, each)}: {text}" for (array_id, text), each in tasks_by_line.items()))
