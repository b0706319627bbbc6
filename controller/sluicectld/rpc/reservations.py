"""Requests about reservations: whom their users and groups name, and what there is."""

import grp
import pwd

from msgspec.structs import replace

from sluice.errors import InvalidRequest, NotFound
from sluice.model.reservation import Reservation
from sluice.wire.messages import QueryReservations, ReservationViews, UpdateReservation
from sluicectld.permissions import Verb
from sluicectld.scheduler.recurrence import compute_windows
from sluicectld.state.commands import ReviseReservation

from . import callers
from .call import Call

_USER_KEYS = ("users", "user")
_GROUP_KEYS = ("groups", "group")


def answer_update(call: Call, request: UpdateReservation) -> None:
    """Make, change or delete one, after a look at the system's users and groups."""
    if request.action != "delete":
        call.caller.require(Verb.UPDATE_RESERVATION)
    members: dict[str, tuple[str, ...]] = {}
    for key, value in request.changes:
        name = key.rstrip("+-").lower()
        words = [word.strip().removeprefix("-") for word in value.split(",") if word.strip()]
        if name in _USER_KEYS and key[-1:] != "-":
            unknown = [word for word in words if callers.uid_of(word) is None]
            if unknown:
                raise InvalidRequest(f"user {unknown[0]!r} is not known here", "invalid_user")
        elif name in _GROUP_KEYS and key[-1:] != "-":
            members |= {word: find_members(word) for word in words}
    groups = call.callers.groups(call.caller.user, call.caller.gid)
    call.core.run(ReviseReservation(request, members, groups), call.caller, call.responder)


def find_members(group: str) -> tuple[str, ...]:
    """Return the users of a group, those whose first group it is too.  Raises InvalidRequest for no group."""
    try:
        entry = grp.getgrnam(group)
    except KeyError:
        raise InvalidRequest(f"group {group!r} is not known here", "invalid_group") from None
    first = [user.pw_name for user in pwd.getpwall() if user.pw_gid == entry.gr_gid]
    return tuple(sorted({*entry.gr_mem, *first}))


def answer_query(call: Call, request: QueryReservations) -> None:
    """Answer with all reservations, or the named one."""
    core = call.core

    def answer() -> ReservationViews:
        known = core.engine.cluster.reservations
        now_at = core.clock.now()
        if request.name and request.name not in known:
            raise NotFound(f"no reservation is called {request.name!r}", "reservation")
        found = (known[request.name],) if request.name else tuple(known.values())
        return ReservationViews(reservations=tuple(_as_now(each, now_at) for each in found), now_at=now_at)

    core.ask(call.responder, answer)


def _as_now(reservation: Reservation, now_at: float) -> Reservation:
    """Return one that moves with the time with the times that it has now."""
    if reservation.float_s is None:
        return reservation
    window = compute_windows(reservation, now_at, now_at)[0]
    return replace(reservation, start_at=window.from_at, end_at=window.until_at)


def by_node(reservations: tuple[Reservation, ...], now_at: float) -> dict[str, Reservation]:
    """Return the reservation that is in force on each node; of several the one for maintenance."""
    found: dict[str, Reservation] = {}
    for reservation in sorted(reservations, key=lambda each: each.has("MAINT")):
        if reservation.float_s is None and reservation.start_at <= now_at < reservation.end_at:
            found |= dict.fromkeys(reservation.nodes, reservation)
    return found
