"""--mail-type: what happened to a job, as the subject of a mail to its user.

Read from the events of each command, so that no rule has to think of it.  Of an array the beginning of the first task
and the end of the last are told, unless ARRAY_TASKS asks for each.
Subjects: as Slurm's users filter their mail by them.
"""

from collections.abc import Iterator

from sluice import duration
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import JobState
from sluicectld.state.effects import SendMail
from sluicectld.state.events import JobEnded, JobRequeued, JobRevised, JobStarted
from sluicectld.state.timers import MAIL_PARTS

from .turn import Turn

_ALL = frozenset(("BEGIN", "END", "FAIL", "REQUEUE", "INVALID_DEPEND", "STAGE_OUT"))
#: How late a mail about a part of the limit may still be sent: a controller may have been away.
_LATE_S = 60.0


def send_mails(turn: Turn) -> None:
    """Leave the mails that the events of this command are about."""
    for event in turn.events:
        match event:
            case JobStarted(new_id=job_id) | JobEnded(job_id=job_id) | JobRequeued(job_id=job_id):
                job = turn.cluster.jobs.get(job_id)
                if job is not None and job.spec.mail_types:
                    _tell(turn, job, event)
            case JobRevised(job=job, what="dependency") if job.reason is Reason.DEPENDENCY_NEVER_SATISFIED:
                if "INVALID_DEPEND" in _wanted(job):
                    _send(turn, job, "INVALID_DEPEND", "Invalid dependency")
            case _:
                pass


def _tell(turn: Turn, job: Job, event: JobStarted | JobEnded | JobRequeued) -> None:
    match event:
        case JobStarted():
            _began(turn, job)
        case JobEnded():
            _ended(turn, job, event)
        case JobRequeued():
            if "REQUEUE" in _wanted(job):
                _send(turn, job, "REQUEUE", "Requeued")


def tell_time(turn: Turn, job_id: int) -> None:
    """A part of the limit is over that the user wants to know of."""
    job = turn.cluster.jobs.get(job_id)
    if job is None or job.state is not JobState.RUNNING or job.limit_s is None or job.started_at is None:
        return
    ran_s = turn.now_at - job.started_at - job.suspended_s
    for word, part in MAIL_PARTS.items():
        due_s = job.limit_s * part
        if word in job.spec.mail_types and due_s <= ran_s < due_s + _LATE_S:
            _send(turn, job, word, f"Reached {part:.0%} of time limit, Run time {duration.format_long(ran_s)}")


def _began(turn: Turn, job: Job) -> None:
    if "BEGIN" not in _wanted(job):
        return
    if _is_one_of_many(job) and not _is_first_of_array(turn, job):
        return
    queued_s = (job.started_at or 0.0) - (job.eligible_at or job.submitted_at)
    _send(turn, job, "BEGIN", f"Began, Queued time {duration.format_long(max(0.0, queued_s))}")


def _is_first_of_array(turn: Turn, job: Job) -> bool:
    """Had no task of the array begun before this command, and is this the first that does?"""
    starts = [event.new_id for event in turn.events if isinstance(event, JobStarted)]
    siblings = [other for other in starts if turn.job(other).array_job_id == job.array_job_id]
    return siblings[0] == job.id and turn.cluster.tallies[job.array_job_id].begun == len(siblings)


def _ended(turn: Turn, job: Job, event: JobEnded) -> None:
    wanted = _wanted(job)
    if event.state is JobState.TIMEOUT and "TIME_LIMIT" in wanted:
        _send(turn, job, "TIME_LIMIT", f"Reached time limit, Run time {_run_time(job)}")
    if event.is_requeued:
        return
    if _is_one_of_many(job):
        tally = turn.cluster.tallies[job.array_job_id]
        if tally.ended < tally.records:
            return
    for word in _end_words(event.state):
        if word in wanted:
            verb = "Failed" if word == "FAIL" else "Ended"
            code = event.exit_code if not event.exit_signal else f"{event.exit_code}:{event.exit_signal}"
            _send(turn, job, word, f"{verb}, Run time {_run_time(job)}, {event.state.value}, ExitCode {code}")
            return


def _end_words(state: JobState) -> Iterator[str]:
    """Give the types that the end is told as: the first that is wanted."""
    if state is not JobState.COMPLETED and state is not JobState.CANCELLED:
        yield "FAIL"
    yield "END"


def _wanted(job: Job) -> frozenset[str]:
    types = frozenset(job.spec.mail_types)
    return types | _ALL if "ALL" in types else types


def _is_one_of_many(job: Job) -> bool:
    return bool(job.array_job_id) and "ARRAY_TASKS" not in job.spec.mail_types


def _run_time(job: Job) -> str:
    if job.started_at is None or job.ended_at is None:
        return duration.format_long(0.0)
    return duration.format_long(job.ended_at - job.started_at - job.suspended_s)


def _send(turn: Turn, job: Job, word: str, text: str) -> None:
    name = f"Array Summary Job_id={job.array_job_id}_*" if _is_one_of_many(job) else f"Job_id={job.id}"
    if job.array_job_id and not _is_one_of_many(job):
        name = f"Array Task Job_id={job.array_job_id}_{job.array_task_id} ({job.id})"
    address = job.spec.mail_user or job.spec.user
    if not job.spec.mail_user and turn.settings.mail_domain:
        address = f"{address}@{turn.settings.mail_domain}"
    turn.effects.append(SendMail(job, address, word, f"Slurm {name} Name={job.spec.name} {text}"))
