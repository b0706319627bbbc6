"""Who may use a reservation.

A job must be of one of its users (or of a user in one of its groups), and of its accounts, and of its QOS: each list
that there is must let it in.  A denied list lets everybody in but those named.  Source: scontrol's manual, Users,
Groups and Accounts; CONTRACT section 8.1.
"""

from collections.abc import Sequence

from sluice.model.request import JobSpec
from sluice.model.reservation import Reservation


def may_use(reservation: Reservation, spec: JobSpec, groups: Sequence[str] = ()) -> bool:
    """May a job of this request run in the reservation?  groups: its user's, beyond the members that are known."""
    return find_denial(reservation, spec, groups) is None


def find_denial(reservation: Reservation, spec: JobSpec, groups: Sequence[str] = ()) -> str | None:
    """Return what keeps the job out: "it is for the users alice,bob, not 'carl'"; None when it may come in."""
    if not _is_user_let_in(reservation, spec, groups):
        if reservation.groups:
            return f"it is for the groups {','.join(reservation.groups)}, user {spec.user!r} is in none of them"
        return _refusal("users", reservation.users, reservation.is_users_denied, f"{spec.user!r}")
    if not _is_let_in(spec.account, reservation.accounts, reservation.is_accounts_denied):
        return _refusal("accounts", reservation.accounts, reservation.is_accounts_denied, f"{spec.account!r}")
    if not _is_let_in(spec.qos, reservation.qos, reservation.is_qos_denied):
        return _refusal("QOS", reservation.qos, reservation.is_qos_denied, f"{spec.qos!r}")
    allowed = reservation.allowed_partitions
    if allowed and not set(allowed).intersection(spec.partitions):
        return _refusal("partitions", allowed, False, f"{','.join(spec.partitions)!r}")
    return None


def _is_user_let_in(reservation: Reservation, spec: JobSpec, groups: Sequence[str]) -> bool:
    if reservation.groups:
        return spec.user in reservation.members or not {*groups, spec.group}.isdisjoint(reservation.groups)
    return _is_let_in(spec.user, reservation.users, reservation.is_users_denied)


def _is_let_in(name: str, names: Sequence[str], is_denied: bool) -> bool:
    return not names or (name in names) != is_denied


def _refusal(noun: str, names: Sequence[str], is_denied: bool, name: str) -> str:
    relation = "closed to" if is_denied else "for"
    return f"it is {relation} the {noun} {','.join(names)}{'' if is_denied else f', not {name}'}"


def gives_way(reservation: Reservation, spec: JobSpec) -> bool:
    """Does a job that borrows the reservation's nodes go with a warning short enough (--signal=R:)?"""
    warn = spec.warn_signal
    return warn is not None and warn.at_reservation and warn.before_s <= (reservation.max_start_delay_s or 0)
