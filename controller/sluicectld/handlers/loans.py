"""Nodes of a reservation that were lent until somebody wants them (--signal=R:, MaxStartDelay), called back.

A job that may use a reservation without asking for it may have its nodes as long as nobody who asks for it waits for
them, if it can be gone within MaxStartDelay: by its limit, or because it said that so long a warning is enough for it.
When a pass leaves a job waiting for the nodes of its reservation, such a borrower is warned and ends as warned.
Source: sbatch's manual, --signal; scontrol's, MaxStartDelay.
"""

from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.reservation import Reservation
from sluice.model.states import JobState
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.reservation_access import gives_way

from .new_limit import shorten
from .reservation_jobs import find_waiting
from .turn import Turn


def call_back(turn: Turn, plan: Plan) -> None:
    """Shorten the borrowers that stand in the way of a job which the pass could not start."""
    for reservation in list(turn.cluster.reservations.values()):
        if not reservation.max_start_delay_s or not reservation.has_begun:
            continue
        borrowers = [job for job_id in turn.cluster.running if _borrows(reservation, job := turn.job(job_id))]
        # Only then are all waiting jobs looked at.
        for job in find_waiting(turn, reservation) if borrowers else ():
            if job.id in turn.cluster.ready and _waits_for_nodes(job, plan):
                _call_back_for(turn, reservation, job, plan, borrowers)


def _borrows(reservation: Reservation, job: Job) -> bool:
    return (
        job.state is JobState.RUNNING
        and job.reservation != reservation.name
        and gives_way(reservation, job.spec)
        and not set(reservation.nodes).isdisjoint(job.nodes)
    )


def _waits_for_nodes(job: Job, plan: Plan) -> bool:
    blockers = plan.blockers.get(job.id, ())
    return job.id in plan.planned or any(blocker.reason is Reason.RESOURCES for blocker in blockers)


def _call_back_for(turn: Turn, reservation: Reservation, job: Job, plan: Plan, borrowers: list[Job]) -> None:
    planned = plan.planned.get(job.id)
    wanted = set(planned.nodes if planned is not None and planned.nodes else reservation.nodes)
    text = f"job {job.id} wants the nodes of reservation {reservation.name}"
    for borrower in borrowers:
        warn = borrower.spec.warn_signal
        if warn is not None and not wanted.isdisjoint(borrower.nodes):
            shorten(turn, turn.job(borrower.id), turn.now_at + warn.before_s, text)
            turn.is_pass_due = True
