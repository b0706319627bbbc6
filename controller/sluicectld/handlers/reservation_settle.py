"""From a draft to a reservation: its times, its nodes and cores, its licenses, and whether it makes sense as a whole.

Every refusal says what stands against it, the numbers, and what would work.
"""

from datetime import UTC, datetime

from sluice import duration, feature_expr, hostlist
from sluice.errors import InvalidRequest, NotFound, RequestError
from sluice.model.node import Node
from sluice.model.reservation import Reservation
from sluice.reservation_flags import REPEATING, in_order
from sluicectld.scheduler.constraints import parse_constraint
from sluicectld.scheduler.recurrence import find_next_start, find_period, is_valid_anchor
from sluicectld.scheduler.reservation_nodes import Choice, Surroundings, Wish, choose, count_cores, find_shared_time

from .numbers import TIME_MAX_AT
from .reservation_keys import Draft
from .turn import Turn

_PERIODS_S = {"HOURLY": 3600, "DAILY": 86400, "WEEKDAY": 86400, "WEEKEND": 86400, "WEEKLY": 7 * 86400}


def settle(turn: Turn, draft: Draft, old: Reservation | None) -> Reservation:
    """Return the reservation that the draft comes to.  Raises RequestError."""
    _check_flags(draft.reservation)
    _settle_times(turn, draft, old)
    _check_users(draft.reservation)
    _settle_partition(turn, draft)
    _check_features(turn, draft.reservation)
    _settle_nodes(turn, draft, old)
    _check_licenses(turn, draft.reservation)
    return draft.reservation


def _check_flags(reservation: Reservation) -> None:
    periods = [flag for flag in REPEATING if flag in reservation.flags]
    if len(periods) > 1:
        raise InvalidRequest(f"Flags={','.join(periods)}: it can repeat in one way only", "reservation")
    if periods and reservation.has("TIME_FLOAT"):
        raise InvalidRequest(f"Flags=TIME_FLOAT,{periods[0]}: what moves with the time does not repeat", "reservation")


def _settle_times(turn: Turn, draft: Draft, old: Reservation | None) -> None:
    reservation = draft.reservation
    if draft.is_skipped:
        _skip(draft)
        return
    start_at = reservation.start_at if draft.start_at is None else draft.start_at
    if old is not None and draft.start_at is not None and old.start_at <= turn.now_at and old.float_s is None:
        raise RequestError(f"reservation {old.name!r} has begun; its start cannot be moved", "reservation_begun")
    length_s = reservation.duration_s if draft.duration_s is None else draft.duration_s
    end_at = start_at + length_s if draft.end_at is None else draft.end_at
    # One that is in force may be ended at once.
    is_over = end_at <= turn.now_at and old is None
    if end_at <= start_at or is_over or end_at > TIME_MAX_AT:
        raise RequestError(
            f"from {_clock(start_at)} to {_clock(end_at)}: it would end before it begins or is over", "reservation_time"
        )
    period = find_period(reservation)
    if period and end_at - start_at > _PERIODS_S[period]:
        raise RequestError(
            f"a duration of {duration.format_long(end_at - start_at)} is longer than "
            f"{duration.format_long(_PERIODS_S[period])}: with {period} it would overlap itself",
            "reservation_time",
        )
    has_moved = old is None or start_at != old.start_at
    draft.change(
        start_at=start_at,
        end_at=end_at,
        anchor_at=start_at if has_moved else reservation.anchor_at,
        has_begun=not has_moved and reservation.has_begun,
        float_s=max(start_at - turn.now_at, 0.0)
        if reservation.has("TIME_FLOAT") and has_moved
        else reservation.float_s,
    )
    if period and not is_valid_anchor(period, start_at, reservation.zone):
        next_at = find_next_start(draft.reservation, start_at)
        draft.change(start_at=next_at, end_at=next_at + end_at - start_at, anchor_at=next_at)


def _skip(draft: Draft) -> None:
    """Go on with the next time of a repeating reservation."""
    reservation = draft.reservation
    if not find_period(reservation):
        raise InvalidRequest(f"reservation {reservation.name!r} does not repeat: there is no next time", "reservation")
    next_at = find_next_start(reservation, reservation.start_at)
    draft.change(start_at=next_at, end_at=next_at + reservation.duration_s, has_begun=False)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(min(at, TIME_MAX_AT), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check_users(reservation: Reservation) -> None:
    if reservation.users and reservation.groups:
        raise InvalidRequest("Users and Groups are mutually exclusive", "reservation")
    if not (reservation.users or reservation.groups or reservation.accounts or reservation.qos):
        raise InvalidRequest(
            "for nobody: at least one of Users, Groups, Accounts or QOS is needed", "reservation_nobody"
        )


def _settle_partition(turn: Turn, draft: Draft) -> None:
    name = draft.reservation.partition
    if name and name not in turn.cluster.partitions:
        known = ", ".join(turn.cluster.partitions)
        raise NotFound(f"partition {name!r} does not exist; known are {known}", "invalid_partition")
    for allowed in draft.reservation.allowed_partitions:
        if allowed not in turn.cluster.partitions:
            raise NotFound(f"partition {allowed!r} does not exist", "invalid_partition")


def _check_features(turn: Turn, reservation: Reservation) -> None:
    if not reservation.features:
        return
    known = {feature for node in turn.cluster.nodes.values() for feature in node.features}
    unknown = [each for each in feature_expr.names(parse_constraint(reservation.features)) if each not in known]
    if unknown:
        raise InvalidRequest(f"no node has the feature {unknown[0]!r}", "invalid_feature")


def _settle_nodes(turn: Turn, draft: Draft, old: Reservation | None) -> None:
    reservation = draft.reservation
    asks = bool(draft.nodes or draft.node_count or draft.core_counts)
    if reservation.has("ANY_NODES"):
        if asks:
            raise InvalidRequest("Flags=ANY_NODES: it keeps licenses or burst buffers, and no nodes", "reservation")
        if not (reservation.licenses or reservation.burst_buffer):
            raise InvalidRequest("Flags=ANY_NODES: Licenses or BurstBuffer is needed", "reservation")
        draft.change(nodes=(), node_count_asked=0, core_shares=(), core_count=0, cpu_count=0)
        return
    is_touched = asks or draft.nodes is not None or draft.node_count is not None or old is None
    if not is_touched and not _needs_other_nodes(reservation, old):
        return
    wish = _wish(turn, draft, old)
    _take(turn, draft, wish, _choose(turn, draft, wish))


def _needs_other_nodes(reservation: Reservation, old: Reservation | None) -> bool:
    """Has something changed by which the present nodes might not be right any more?"""
    if old is None:
        return True
    return (
        reservation.start_at,
        reservation.end_at,
        reservation.features,
        reservation.partition,
        reservation.flags,
    ) != (
        old.start_at,
        old.end_at,
        old.features,
        old.partition,
        old.flags,
    )


def _wish(turn: Turn, draft: Draft, old: Reservation | None) -> Wish:
    """Return what nodes and cores are asked for; what is not told anew stays as it is."""
    reservation = draft.reservation
    present = () if old is None else old.nodes
    core_counts = draft.core_counts
    if core_counts is None and old is not None and old.core_shares and draft.nodes is None and not draft.node_count:
        core_counts = tuple(share.core_count for share in old.core_shares)
    node_count = draft.node_count or 0
    named: tuple[str, ...] = ()
    if draft.nodes:
        named = _read_nodes(turn, draft)
        present, named = (named, ()) if node_count and node_count != len(named) else (present, named)
    elif draft.nodes is not None:
        node_count = node_count or len(present)
    elif not node_count and not draft.core_counts:
        if reservation.has("SPEC_NODES") and old is not None:
            named = present
        elif old is not None:
            node_count = old.node_count_asked or len(present)
        elif reservation.partition:
            named = turn.cluster.partitions[reservation.partition].nodes
    if not (named or node_count or core_counts):
        raise InvalidRequest(
            "of no nodes: Nodes, NodeCnt or CoreCnt is needed (Flags=ANY_NODES for licenses alone)", "invalid_node"
        )
    if not reservation.partition and (core_counts or not named):
        default = next((each.name for each in turn.cluster.partitions.values() if each.is_default), "")
        draft.change(partition=default)
    return Wish(draft.reservation, named, node_count, core_counts or (), present)


def _read_nodes(turn: Turn, draft: Draft) -> tuple[str, ...]:
    """Return the named nodes in the order of the configuration; with += and -= the present ones count."""
    assert draft.nodes, "no nodes are named"
    cluster = turn.cluster
    if draft.nodes.upper() == "ALL":
        partition = draft.reservation.partition
        return cluster.partitions[partition].nodes if partition else tuple(cluster.nodes)
    names = set(hostlist.expand(draft.nodes))
    unknown = [name for name in names if name not in cluster.nodes]
    if unknown:
        raise InvalidRequest(f"node {hostlist.fold(unknown)} is not in the configuration", "invalid_node")
    present = set(draft.reservation.nodes)
    if draft.nodes_sign:
        names = present | names if draft.nodes_sign == "+" else present - names
    if not names:
        raise InvalidRequest(f"Nodes-={draft.nodes}: no node would be left; delete the reservation", "invalid_node")
    return tuple(name for name in cluster.nodes if name in names)


def _choose(turn: Turn, draft: Draft, wish: Wish) -> Choice:
    return choose(wish, surroundings(turn, draft.reservation, _eligible_nodes(turn, wish)))


def _eligible_nodes(turn: Turn, wish: Wish) -> tuple[Node, ...]:
    cluster = turn.cluster
    partition = cluster.partitions.get(wish.reservation.partition)
    if wish.named or partition is None:
        return tuple(cluster.nodes.values())
    names = {*partition.nodes, *wish.present}
    return tuple(node for node in cluster.nodes.values() if node.name in names)


def surroundings(turn: Turn, reservation: Reservation, nodes: tuple[Node, ...]) -> Surroundings:
    """Return what the choice of a reservation's nodes depends on."""
    others = tuple(each for each in turn.cluster.reservations.values() if each.id != reservation.id)
    running = tuple(turn.cluster.running.values())
    return Surroundings(nodes, others, running, turn.now_at, turn.policy.utc_offset_s)


def _take(turn: Turn, draft: Draft, wish: Wish, choice: Choice) -> None:
    nodes = [turn.cluster.nodes[name] for name in choice.nodes]
    flags = set(draft.reservation.flags) - {"SPEC_NODES"}
    if wish.named:
        flags.add("SPEC_NODES")
    draft.change(
        nodes=choice.nodes,
        node_count_asked=0 if wish.named else len(choice.nodes),
        core_shares=choice.shares,
        core_count=sum(share.core_count for share in choice.shares) or sum(map(count_cores, nodes)),
        cpu_count=sum(share.cpu_count for share in choice.shares) or sum(node.cpus for node in nodes),
        flags=in_order(flags),
    )


def _check_licenses(turn: Turn, reservation: Reservation) -> None:
    totals = turn.settings.licenses
    may_share = reservation.has("OVERLAP") or reservation.has("MAINT")
    for name, count in reservation.licenses:
        total = totals.get(name, 0)
        if not total:
            raise InvalidRequest(f"license {name!r} is not configured (Licenses)", "invalid_licenses")
        kept = 0
        for other in turn.cluster.reservations.values():
            if other.id != reservation.id and name in dict(other.licenses) and not may_share:
                shared = find_shared_time(reservation, other, turn.now_at)
                kept += dict(other.licenses)[name] if shared is not None else 0
        if count > total - kept:
            others = f", {kept} of them are in other reservations then" if kept else ""
            raise InvalidRequest(
                f"{count} of license {name!r} asked, {total} exist{others}; {max(total - kept, 0)} would fit",
                "invalid_licenses",
            )
