"""What becomes of jobs when their reservation ends or is deleted.

Those that wait for it are held, as their user may not want them elsewhere, unless the reservation says otherwise;
those that run in it end with it (with ResvOverRun later).  Source: scontrol's manual, NO_HOLD_JOBS_AFTER; slurm.conf's,
ResvOverRun.
"""

from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.reservation import Reservation
from sluice.model.states import Hold, JobState
from sluicectld.state.events import JobRevised

from .new_limit import shorten
from .turn import Turn


def names_of(job: Job) -> list[str]:
    """Return the reservations that the job asks for."""
    return [name for name in job.spec.reservation.split(",") if name]


def find_running(turn: Turn, reservation: Reservation) -> list[Job]:
    """Return the jobs that run in the reservation."""
    return [turn.job(job_id) for job_id, view in turn.cluster.running.items() if view.reservation == reservation.name]


def find_waiting(turn: Turn, reservation: Reservation) -> list[Job]:
    """Return the jobs that wait for the reservation."""
    return [
        job
        for job in turn.cluster.jobs.values()
        if job.state is JobState.PENDING and job.spec.reservation and reservation.name in names_of(job)
    ]


def release_waiting(turn: Turn, reservation: Reservation) -> None:
    """Take the reservation out of the requests of waiting jobs; one that asks for no other is held."""
    for job in find_waiting(turn, reservation):
        left = ",".join(name for name in names_of(job) if name != reservation.name)
        spec = replace(job.spec, reservation=left)
        revised = replace(job, spec=spec, spec_id=turn.cluster.next_spec_id)
        if not left and not reservation.has("NO_HOLD_JOBS_AFTER_END"):
            revised = replace(
                revised,
                hold=job.hold or Hold.USER,
                priority=0,
                eligible_at=None,
                reason=Reason.RESERVATION_DELETED,
                reason_text=f"reservation {reservation.name!r} is gone; release it to run elsewhere",
            )
        turn.emit(JobRevised(at=turn.now_at, job=revised, what="reservation"))
        turn.is_pass_due = True


def end_running(turn: Turn, reservation: Reservation) -> None:
    """Shorten the limits of the jobs that run in the reservation so that they end with it."""
    over_s = turn.settings.reservation_overrun_s
    if over_s is None or reservation.has("FLEX"):
        return
    for job in find_running(turn, reservation):
        shorten(turn, job, turn.now_at + over_s, f"reservation {reservation.name} is over")
