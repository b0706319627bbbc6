"""What a reservation does by itself: it begins, ends, comes again, is purged when idle, and keeps its nodes in order.

judge_reservation() is a timer's rule: entries that a change has overtaken find nothing to do.  keep_up() looks at what
a command has led to.
"""

from msgspec.structs import replace

from sluice.model.node import Node
from sluice.model.reservation import Reservation
from sluice.model.states import NodeState
from sluicectld.scheduler.recurrence import find_next_start, find_period
from sluicectld.scheduler.reservation_nodes import Wish, count_cores, rank_fit
from sluicectld.state import events
from sluicectld.state.effects import RunForReservation
from sluicectld.state.timers import Due

from .reservation_jobs import end_running, find_running, find_waiting
from .reservation_settle import surroundings
from .reservations import drop
from .turn import Turn


def judge_reservation(turn: Turn, reservation_id: int) -> None:
    """Do what is due of one reservation, and look again when the next thing is."""
    reservation = next((each for each in turn.cluster.reservations.values() if each.id == reservation_id), None)
    if reservation is None or reservation.float_s is not None:
        return
    now_at = turn.now_at
    if now_at >= reservation.end_at:
        _end(turn, reservation)
    elif now_at >= reservation.start_at:
        _begin(turn, reservation)
    else:
        turn.timers.add(reservation.start_at, Due.RESERVATION, reservation_id)


def _begin(turn: Turn, reservation: Reservation) -> None:
    if not reservation.has_begun:
        begun = replace(reservation, has_begun=True, idle_since_at=turn.now_at)
        _change(turn, begun, "begin")
        turn.effects.append(RunForReservation(reservation.name, has_begun=True))
        turn.is_pass_due = True
        reservation = begun
    turn.timers.add(reservation.end_at, Due.RESERVATION, reservation.id)
    if reservation.purge_after_s is not None:
        _purge(turn, reservation, reservation.purge_after_s)


def _purge(turn: Turn, reservation: Reservation, after_s: int) -> None:
    if find_running(turn, reservation) or find_waiting(turn, reservation):
        return
    due_at = (reservation.idle_since_at or reservation.start_at) + after_s
    if due_at <= turn.now_at:
        drop(turn, reservation, "purge")
    else:
        turn.timers.add(due_at, Due.RESERVATION, reservation.id)


def _end(turn: Turn, reservation: Reservation) -> None:
    """End it for this time, or for good.  Times that passed while no controller ran are passed over."""
    end_running(turn, reservation)
    if reservation.has_begun:
        turn.effects.append(RunForReservation(reservation.name, has_begun=False))
    if not find_period(reservation):
        drop(turn, reservation, "end")
        return
    duration_s = reservation.duration_s
    next_at = find_next_start(reservation, max(reservation.start_at, turn.now_at - duration_s))
    _change(turn, replace(reservation, start_at=next_at, end_at=next_at + duration_s, has_begun=False), "repeat")
    turn.timers.add(next_at, Due.RESERVATION, reservation.id)
    turn.is_pass_due = True


def _change(turn: Turn, reservation: Reservation, what: str) -> None:
    turn.emit(events.ReservationChanged(at=turn.now_at, reservation=reservation, what=what))


# --- what other events mean to reservations

_OF_NODES = (events.NodeChanged, events.ConfigurationApplied, events.PartitionChanged)


def keep_up(turn: Turn) -> None:
    """Let the reservations follow what the command has changed: nodes that failed, jobs that came or went."""
    if not turn.cluster.reservations:
        return
    happened = tuple(turn.events)
    if any(isinstance(event, _OF_NODES) for event in happened):
        for reservation in list(turn.cluster.reservations.values()):
            _follow_nodes(turn, reservation)
    if any(isinstance(event, events.JobStarted | events.JobEnded) for event in happened):
        for reservation in list(turn.cluster.reservations.values()):
            if reservation.has("REPLACE"):
                _replace_nodes(turn, reservation)
    for event in happened:
        if isinstance(event, events.JobEnded):
            _note_idle(turn, event)


def _note_idle(turn: Turn, event: events.JobEnded) -> None:
    job = turn.cluster.jobs.get(event.job_id)
    if job is None:
        return
    for name in {job.reservation, *job.spec.reservation.split(",")}:
        reservation = turn.cluster.reservations.get(name)
        if reservation is not None and reservation.purge_after_s is not None:
            _change(turn, replace(reservation, idle_since_at=turn.now_at), "idle")
            turn.timers.add(turn.now_at + reservation.purge_after_s, Due.RESERVATION, reservation.id)


def _follow_nodes(turn: Turn, reservation: Reservation) -> None:
    partition = turn.cluster.partitions.get(reservation.partition)
    if reservation.has("PART_NODES") and partition is not None:
        _put_nodes(turn, reservation, partition.nodes)
        return
    known = tuple(name for name in reservation.nodes if name in turn.cluster.nodes)
    if known != reservation.nodes:
        _put_nodes(turn, reservation, known)
    elif not reservation.has("STATIC"):
        _replace_nodes(turn, reservation)


def _replace_nodes(turn: Turn, reservation: Reservation) -> None:
    """Exchange nodes that are down or drained, and with REPLACE those in use, for idle ones as far as there are any."""
    if not reservation.node_count_asked or reservation.core_shares:
        return
    nodes = turn.cluster.nodes
    good = [name for name in reservation.nodes if not _is_to_be_replaced(turn, reservation, nodes[name])]
    missing = reservation.node_count_asked - len(good)
    if missing <= 0:
        return
    partition = turn.cluster.partitions.get(reservation.partition)
    names = partition.nodes if partition is not None else tuple(nodes)
    idle = tuple(
        nodes[name]
        for name in names
        if name in nodes
        and name not in reservation.nodes
        and nodes[name].is_usable
        and not turn.cluster.free[name].job_count
    )
    found = rank_fit(Wish(reservation, node_count=missing), surroundings(turn, reservation, idle))[:missing]
    if not found:
        return
    poor = [name for name in reservation.nodes if name not in good]
    chosen = {*good, *found, *poor[: missing - len(found)]}
    _put_nodes(turn, reservation, tuple(name for name in nodes if name in chosen))


def _is_to_be_replaced(turn: Turn, reservation: Reservation, node: Node) -> bool:
    # An agent that is silent for a moment, as after a restart of the controller, is no reason.
    if node.state is NodeState.DOWN or node.is_drained or node.is_failing:
        return True
    return reservation.has("REPLACE") and turn.cluster.free[node.name].job_count > 0


def _put_nodes(turn: Turn, reservation: Reservation, names: tuple[str, ...]) -> None:
    if names == reservation.nodes:
        return
    nodes = [turn.cluster.nodes[name] for name in names if name in turn.cluster.nodes]
    shares = tuple(share for share in reservation.core_shares if share.node in names)
    changed = replace(
        reservation,
        nodes=tuple(node.name for node in nodes),
        core_shares=shares,
        core_count=sum(share.core_count for share in shares) or sum(map(count_cores, nodes)),
        cpu_count=sum(share.cpu_count for share in shares) or sum(node.cpus for node in nodes),
    )
    _change(turn, changed, "nodes")
    turn.is_pass_due = True
