"""scontrol create, update and delete reservation; nothing changes when one of the keys is refused.

Operators make and change them.  Whoever may use one may delete it where the site says so (USER_DELETE,
SlurmctldParameters=user_resv_delete).
"""

from collections.abc import Iterable

from msgspec.structs import replace

from sluice.errors import InvalidRequest, NotFound, NotPermitted, RequestError
from sluice.model.request import JobSpec
from sluice.model.reservation import Reservation
from sluice.wire.messages import Done
from sluicectld.permissions import Verb
from sluicectld.scheduler.reservation_access import find_denial
from sluicectld.state.commands import ReviseReservation
from sluicectld.state.events import ReservationChanged, ReservationDeleted
from sluicectld.state.timers import Due

from .reservation_jobs import find_running, release_waiting
from .reservation_keys import Draft, apply_keys
from .reservation_settle import settle
from .turn import Turn

_NAME_LENGTH_MAX = 255
_SHOWN_MAX = 8


def handle_revise_reservation(turn: Turn, command: ReviseReservation) -> Done:
    """Make, change or delete one reservation; a new one's name is told."""
    request = command.request
    if request.action == "delete":
        _delete(turn, command)
        return Done()
    turn.caller.require(Verb.UPDATE_RESERVATION)
    old = turn.cluster.reservations.get(request.name) if request.name else None
    if request.action == "create":
        if old is not None:
            raise InvalidRequest(f"reservation {request.name!r} exists already", "reservation_name")
        reservation = _with_members(_create(turn, command), command)
        _put(turn, reservation, "create")
        return Done(lines=(f"Reservation created: {reservation.name}",))
    if old is None:
        raise NotFound(f"no reservation is called {request.name!r}{_known(turn)}", "reservation")
    draft = Draft(old, False, turn.now_at)
    apply_keys(draft, request.changes)
    reservation = _with_members(settle(turn, draft, old), command)
    if reservation != old:
        _put(turn, reservation, "update")
    return Done()


def _create(turn: Turn, command: ReviseReservation) -> Reservation:
    request = command.request
    new_id = turn.cluster.next_reservation_id
    blank = Reservation(
        id=new_id,
        name=request.name,
        start_at=turn.now_at,
        end_at=turn.now_at,
        zone=turn.policy.time_zone,
        created_at=turn.now_at,
        created_by=turn.caller.uid,
    )
    draft = Draft(blank, True, turn.now_at)
    apply_keys(draft, request.changes)
    if draft.start_at is None:
        raise InvalidRequest("a start time must be given", "reservation_time")
    if draft.end_at is None and draft.duration_s is None:
        raise InvalidRequest("an end time or duration must be given", "reservation_time")
    if not request.name:
        draft.change(name=_make_name(draft.reservation, turn.cluster.reservations))
    _check_name(draft.reservation.name)
    return settle(turn, draft, None)


def _make_name(reservation: Reservation, known: Iterable[str]) -> str:
    """Return ann_3: after the first whom it is for, with its number."""
    names = (*reservation.users, *reservation.groups, *reservation.accounts, *reservation.qos, "resv")
    name = f"{names[0]}_{reservation.id}"
    while name in known:
        name += "_"
    return name


def _check_name(name: str) -> None:
    if not (0 < len(name) <= _NAME_LENGTH_MAX and name.isprintable() and not set(name) & set(" ,=")):
        raise InvalidRequest(
            f"{name[:40]!r} is no name for a reservation: 1 to {_NAME_LENGTH_MAX} printable characters without blank, "
            "comma and equals sign",
            "reservation",
        )


def _with_members(reservation: Reservation, command: ReviseReservation) -> Reservation:
    """Return it with the users of its groups, as far as the shell has found them."""
    if not reservation.groups:
        return replace(reservation, members=())
    asked = {user for group in reservation.groups for user in command.members.get(group, ())}
    return replace(reservation, members=tuple(sorted(asked | set(reservation.members))))


def _put(turn: Turn, reservation: Reservation, what: str) -> None:
    turn.emit(ReservationChanged(at=turn.now_at, reservation=reservation, what=what))
    turn.timers.add(turn.now_at, Due.RESERVATION, reservation.id)
    turn.is_pass_due = True


def _delete(turn: Turn, command: ReviseReservation) -> None:
    name = command.request.name
    reservation = turn.cluster.reservations.get(name)
    if reservation is None:
        turn.caller.require(Verb.QUERY)
        raise NotFound(f"no reservation is called {name!r}{_known(turn)}", "reservation")
    _require_delete(turn, reservation, command)
    running = [job.id for job in find_running(turn, reservation)]
    if running:
        shown = ",".join(map(str, running[:_SHOWN_MAX]))
        raise RequestError(
            f"{len(running)} jobs run in reservation {name!r} ({shown}); end them first, or set its EndTime",
            "reservation_in_use",
        )
    drop(turn, reservation, "delete")


def _require_delete(turn: Turn, reservation: Reservation, command: ReviseReservation) -> None:
    if turn.caller.may(Verb.UPDATE_RESERVATION):
        return
    is_shared = reservation.has("USER_DELETE") or "user_resv_delete" in turn.settings.slurmctld_parameters
    caller = turn.caller
    user = JobSpec(name="", uid=caller.uid, gid=caller.gid, user=caller.user)
    # Which account or QOS a job would have is not known here: being one of its users is what counts.
    for_user = replace(reservation, accounts=(), qos=(), allowed_partitions=())
    if not is_shared or find_denial(for_user, user, command.groups) is not None:
        raise NotPermitted(f"user {caller.user!r} may not delete reservation {reservation.name!r}: operators may")


def drop(turn: Turn, reservation: Reservation, what: str) -> None:
    """Remove a reservation; the jobs that wait for it are let go first."""
    release_waiting(turn, reservation)
    turn.emit(ReservationDeleted(at=turn.now_at, reservation_id=reservation.id, name=reservation.name, what=what))
    turn.is_pass_due = True


def _known(turn: Turn) -> str:
    names = list(turn.cluster.reservations)
    return f"; known are {', '.join(names[:_SHOWN_MAX])}" if names else "; there are none"
