"""What a pass wants.  Valid against the snapshot's version; every decision is checked again when it is applied."""

from typing import Any

import msgspec

from sluice.model.allocation import Allocation
from sluice.model.preemption import PreemptMode, Room
from sluice.model.reason import Blocker


class StartJob(msgspec.Struct, frozen=True):
    """Start a job, or one task of an array, on exactly these resources."""

    job_id: int
    allocation: Allocation
    partition: str
    limit_s: int | None
    task_id: int | None = None
    #: Takes every CPU of its nodes.
    is_exclusive: bool = False
    #: The reservation that it starts in.
    reservation: str = ""


class PlannedStart(msgspec.Struct, frozen=True):
    """When and where a waiting job is expected to start."""

    at: float
    nodes: tuple[str, ...] = ()
    partition: str = ""
    cpu_count: int = 0
    #: On each of the nodes.
    tasks: tuple[int, ...] = ()
    licenses: tuple[tuple[str, int], ...] = ()
    #: What is taken from each, and the request that it is planned for: by these a promise is known again (promises.py).
    takes: tuple[Any, ...] = ()
    request: Any = None


class PreemptJob(msgspec.Struct, frozen=True):
    """End or suspend a running job for a pending one.  rooms: where that one is to start.

    A heterogeneous job is named by its leader, on both sides: all of its components go, or start.
    """

    job_id: int
    mode: PreemptMode
    for_job_id: int
    grace_s: float = 0.0
    rooms: tuple[Room, ...] = ()


class Exempt(msgspec.Struct, frozen=True):
    """Jobs that one may preempt from a time on, all of them for its start: PreemptExemptTime protects them as yet."""

    at: float
    job_ids: tuple[int, ...]


class Plan(msgspec.Struct, frozen=True):
    """starts in order; for every other eligible job its blockers, most telling first (never empty)."""

    version: int
    starts: tuple[StartJob, ...] = ()
    planned: dict[int, PlannedStart] = {}
    blockers: dict[int, tuple[Blocker, ...]] = {}
    #: The pass reached a bound or freed a planned start: another one may start more.
    has_more: bool = False
    #: Jobs looked at, shapes tried, for statistics.
    tested_jobs: int = 0
    tested_shapes: int = 0
    #: Of the pending jobs, by job id; empty where jobs keep the priority of their submission.
    priorities: dict[int, int] = {}
    #: A pass is due then even if nothing happens; None: at no known time.
    look_again_at: float | None = None
    #: All that are for one job are needed, and none is without the others.
    preemptions: tuple[PreemptJob, ...] = ()
    #: Suspended jobs that go on; a heterogeneous one is named by its leader.
    resumes: tuple[int, ...] = ()
    #: By the pending job; a heterogeneous one is named by its leader.
    exempt: dict[int, Exempt] = {}
