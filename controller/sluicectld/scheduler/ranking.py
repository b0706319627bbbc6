"""In which order the causes of a wait are told: the first is the one that listings show.

A cause comes before another if it has to be gone before the other one matters: who holds the job, what it waits for,
whether its partitions and its limits let it start, whose turn it is, and what is free at last.  That is the order in
which a pass meets them, too.  Of a job's partitions, the one that is nearest to a start goes first.

Source: CONTRACT section 14 for the words; docs/decisions/order-of-reasons.md for the order.
"""

from collections.abc import Iterable

from sluice.model.reason import Blocker, Reason

#: Groups of reasons, first to be told first.
ORDER: tuple[tuple[Reason, ...], ...] = (
    (Reason.JOB_HELD_ADMIN,),
    (Reason.JOB_HOLD_MAX_REQUEUE,),
    # Causes of an earlier run; a job that was put back with one of them is held.
    (
        Reason.JOB_LAUNCH_FAILURE,
        Reason.NODE_DOWN,
        Reason.SYSTEM_FAILURE,
        Reason.OUTPUT_NOT_WRITABLE,
        Reason.NON_ZERO_EXIT_CODE,
        Reason.RAISED_SIGNAL,
        Reason.OUT_OF_MEMORY,
        Reason.TIME_LIMIT,
        Reason.DEADLINE,
        Reason.INACTIVE_LIMIT,
    ),
    (Reason.JOB_HELD_USER, Reason.RESERVATION_DELETED),
    (Reason.DEPENDENCY_NEVER_SATISFIED,),
    (Reason.DEPENDENCY,),
    (Reason.BEGIN_TIME,),
    (Reason.PARTITION_INACTIVE, Reason.PARTITION_DOWN, Reason.PARTITION_CONFIG),
    (Reason.ACCOUNT_NOT_ALLOWED, Reason.QOS_NOT_ALLOWED, Reason.INVALID_ACCOUNT, Reason.INVALID_QOS),
    (Reason.RESERVATION_INVALID,),
    (Reason.PARTITION_NODE_LIMIT, Reason.PARTITION_TIME_LIMIT, Reason.MAX_MEM_PER_LIMIT),
    # Here stand the limits of accounts and QOS, known by their pattern.
    (),
    (Reason.JOB_ARRAY_TASK_LIMIT,),
    (Reason.LICENSES,),
    (Reason.BAD_CONSTRAINTS, Reason.CONSTRAINTS),
    (Reason.REQ_NODE_NOT_AVAIL,),
    (Reason.RESERVATION,),
    (Reason.PRIORITY,),
    (Reason.RESOURCES,),
    (
        Reason.BURST_BUFFER_RESOURCES,
        Reason.BURST_BUFFER_STAGE_IN,
        Reason.MPI_PORTS_BUSY,
        Reason.MAX_POWERED_UP_NODES,
    ),
    (Reason.CLEANING, Reason.PROLOG),
    (Reason.SCHED_DEFER, Reason.NONE),
)
#: Reasons of limits follow a pattern (CONTRACT section 14); there are some hundred of them.
LIMIT_PREFIXES = ("Assoc", "QOS", "Max", "AccountingPolicy")
_LIMITS_PLACE = ORDER.index(())
_PLACE = {reason: place for place, reasons in enumerate(ORDER) for reason in reasons}
#: A word that is in no table: after all causes that are known, before "none".
_UNKNOWN_PLACE = len(ORDER) - 1


def place_of(reason: Reason) -> int:
    """Return the reason's place in the order, smaller first."""
    known = _PLACE.get(reason)
    if known is not None:
        return known
    return _LIMITS_PLACE if is_limit(reason) else _UNKNOWN_PLACE


def is_limit(reason: Reason) -> bool:
    """Is it a limit of accounts and QOS?"""
    return reason not in _PLACE and reason.value.startswith(LIMIT_PREFIXES)


def waits_for_others(blocker: Blocker) -> bool:
    """Is it about what others have that is on no node: licenses, or what a limit leaves?"""
    return blocker.reason is Reason.LICENSES or is_limit(blocker.reason)


def rank_blockers(blockers: Iterable[Blocker]) -> tuple[Blocker, ...]:
    """Return the blockers, the most telling first, each once.

    Those of the job itself come before those of its partitions; of these, the partition whose first cause is the
    latest in the order is nearest to a start and goes first; equal ones keep their order.
    """
    found = tuple(dict.fromkeys(blockers))
    if len(found) < 2:
        return found
    worst: dict[str, int] = {}
    for blocker in found:
        place = place_of(blocker.reason)
        worst[blocker.partition] = min(worst.get(blocker.partition, place), place)

    def key(blocker: Blocker) -> tuple[bool, int, int]:
        return bool(blocker.partition), -worst[blocker.partition], place_of(blocker.reason)

    return tuple(sorted(found, key=key))
