"""Preemption: how it is configured, what happens to a preempted job, and one that is under way."""

from enum import StrEnum

from .base import Record


class PreemptMode(StrEnum):
    """What happens to the victim."""

    CANCEL = "CANCEL"
    REQUEUE = "REQUEUE"
    SUSPEND = "SUSPEND"


class Room(Record, frozen=True, kw_only=True):
    """Where a job, or a component of one, is to start when its victims are gone."""

    job_id: int
    partition: str
    nodes: tuple[str, ...]


class Preemption(Record, frozen=True, kw_only=True):
    """What a victim's record says: for which job, how, since when, and where that job is to start.

    for_job_id 0 with SUSPEND: nobody's victim, but to be resumed as soon as its CPUs are free.
    ends_at: when its processes are killed.  gives_signal: the signal that the job asked for before its end is given.
    rooms: of a heterogeneous job one for each component; for_job_id is then its leader.
    """

    for_job_id: int
    mode: PreemptMode
    at: float
    ends_at: float
    rooms: tuple[Room, ...] = ()
    gives_signal: bool = False


class PreemptSetup(Record, frozen=True, kw_only=True):
    """The configuration: PreemptType, the words of PreemptMode, PreemptExemptTime, PreemptParameters, JobRequeue.

    modes: of the cluster, such as {"SUSPEND", "GANG"}.  min_exempt_priority: jobs with at least this are no victims.
    reorder_count: how many orders are tried in which victims are spared, to find the fewest.
    """

    type: str = "none"
    modes: frozenset[str] = frozenset({"OFF"})
    exempt_s: float = 0.0
    min_exempt_priority: int | None = None
    reclaims_licenses: bool = False
    reorder_count: int = 1
    sends_user_signal: bool = False
    is_strict_order: bool = False
    is_youngest_first: bool = False
    #: Batch jobs that say nothing themselves may be requeued.
    requeues: bool = True
