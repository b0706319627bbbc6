"""What is said of one job's wait when somebody asks: all blockers with numbers and holders, and what would help.

The scheduler fills these records (scheduler/inquiry.py, whatif.py); commands print them, as lines or as JSON.
"""

from .base import Record
from .job import Job
from .reason import Blocker


class FunnelStep(Record, frozen=True, kw_only=True):
    """One demand and how many nodes are left after it.

    demand: follows the number, "with 2 gpu free".  lost: which nodes went here and why, "" where that is no news.
    """

    nodes: int
    demand: str
    lost: str = ""


class Holder(Record, frozen=True, kw_only=True):
    """A job that has what is missing: it runs, or has ended and is not clean yet.

    end_at: by when its time limit ends it at the latest, or its grace where it is being preempted; None: never.
    """

    job_id: int
    name: str = ""
    nodes: str = ""
    end_at: float | None = None
    #: What of it is waited for: "4 CPUs, 2 gpu", or "1 of license matlab".
    holds: str = ""
    is_preempted: bool = False
    #: It has ended; its nodes have still to report that nothing of it is left.
    is_completing: bool = False


class Outlook(Record, frozen=True, kw_only=True):
    """One of the job's partitions, judged on its own.

    steps: the funnel; empty where resources are no question.  needs: what has to be left of it.
    holders: by their end, until enough would be free; holders_left_off: how many more there are.
    kept_for: planned starts of other jobs that keep free nodes from this one.
    """

    partition: str
    blockers: tuple[Blocker, ...] = ()
    steps: tuple[FunnelStep, ...] = ()
    needs: str = ""
    holders: tuple[Holder, ...] = ()
    holders_left_off: int = 0
    kept_for: tuple[int, ...] = ()
    #: The reservation that it is to run in; "": none.
    reservation: str = ""


class Suggestion(Record, frozen=True, kw_only=True):
    """A change of the request with which the job would start now; found by running a pass on it.

    words: what to change, one entry a change.  command: does it, "" where only a new submission can.
    cost: how much is given up; the decision page tells how it is counted.
    """

    words: tuple[str, ...]
    command: str = ""
    cost: float = 0.0


class Explanation(Record, frozen=True, kw_only=True):
    """Everything about one job.

    name: as the user calls it ("12_3").  blockers: all of them, ranked; never empty for a pending job.
    place, queue_length: among the jobs that could start now; 0: it is not among them.
    is_searched: suggestions were looked for, so that an empty tuple means that there are none.
    likely_start_at, safe_start_at: by when half, and nine in ten, of plans like this one have come true, by the last
    forecasts_scored starts; None while these are too few.  late_share: of them that came later than planned.
    note: what is to become of a running or suspended job that makes room for another; of a pending one, whom it would
    preempt, and until when it has to start for its deadline.
    """

    job: Job
    name: str
    nodes: str = ""
    blockers: tuple[Blocker, ...] = ()
    outlooks: tuple[Outlook, ...] = ()
    planned_start_at: float | None = None
    planned_nodes: str = ""
    planned_partition: str = ""
    place: int = 0
    queue_length: int = 0
    suggestions: tuple[Suggestion, ...] = ()
    is_searched: bool = False
    likely_start_at: float | None = None
    safe_start_at: float | None = None
    forecasts_scored: int = 0
    late_share: float = 0.0
    note: str = ""
