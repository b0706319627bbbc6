"""The jobs and steps that are on this node, and those that were: what a repeated or late order is measured against."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum, auto

from msgspec import UNSET, UnsetType

from sluice.clock import VirtualClock, WallClock
from sluice.model.base import EXTERN_STEP
from sluice.model.job import Job
from sluice.wire.messages import RunningStep, StepResult
from sluiced.jobs.effects import StartBatch, StartExtern, StartTasks
from sluiced.spool import JobKey, StepKey

#: Attempts whose end is remembered, against orders that come late or twice.
_FINISHED_MAX = 10_000


class Phase(Enum):
    PROLOG = auto()
    RUNNING = auto()
    ENDING = auto()
    EPILOG = auto()
    CLEAN = auto()


class JobHere:
    """One attempt of a job on this node."""

    __slots__ = (
        "batch_result",
        "ended_steps",
        "is_in_prolog",
        "job",
        "key",
        "limit_at",
        "phase",
        "running_steps",
        "told_steps",
        "variables",
        "waiting",
    )

    def __init__(self, key: JobKey, variables: dict[str, str], phase: Phase, job: Job | None = None) -> None:
        self.key = key
        #: What its extern step is made from; None: it has none here.
        self.job = job
        #: What prolog and epilog see of the job.
        self.variables = variables
        self.phase = phase
        #: When its time limit is over, as its programs were told; None: it has none.  UNSET: none of them is here yet.
        self.limit_at: float | UnsetType | None = UNSET
        #: Its prolog runs, also when the job is being ended already.
        self.is_in_prolog = False
        self.running_steps: set[int] = set()
        self.ended_steps: set[int] = set()
        #: Those whose end the controller knows: MaxStepCount bounds them.
        self.told_steps: set[int] = set()
        #: Starts that wait for the prolog.
        self.waiting: list[StartBatch | StartTasks | StartExtern] = []
        #: The batch step's result while it is not told yet.
        self.batch_result: StepResult | None = None

    def knows(self, step_id: int) -> bool:
        """Return whether the step runs here, did, or waits to."""
        waiting = {start.key.step_id for start in self.waiting}
        return step_id in self.running_steps or step_id in waiting or self.has_ended(step_id)

    def note_limit(self, job: Job) -> None:
        """A step starts with the job as it is now; those that run already may know an older limit."""
        if self.limit_at is UNSET:
            self.limit_at = job.limit_at

    def has_ended(self, step_id: int) -> bool:
        return step_id in self.ended_steps or step_id in self.told_steps


class JobTable:
    """Kept by the engine; everybody else only asks."""

    def __init__(self, clock: WallClock | VirtualClock) -> None:
        self.jobs: dict[JobKey, JobHere] = {}
        #: Jobs, and steps that were given up, that are never to start again, and when that was noted; the oldest first.
        self.finished: OrderedDict[tuple[int, ...], float] = OrderedDict()
        self._clock = clock
        #: Since when every end is remembered: an agent that starts anew knows of none before.
        self._remembers_since = clock.now()

    def remember(self, key: JobKey | StepKey) -> None:
        """Note the end of a job, or of a step that was never launched."""
        self.finished.setdefault(key, self._clock.now())
        if len(self.finished) > _FINISHED_MAX:
            _, self._remembers_since = self.finished.popitem(last=False)

    def can_tell(self, key: JobKey, since_at: float) -> bool:
        """Return whether it is known here if the job, which ran at some time after *since_at*, has ended."""
        if key in self.jobs or key in self.finished:
            return True
        return since_at > self._remembers_since

    def is_running(self, key: StepKey) -> bool:
        """Return whether the step has a step daemon here."""
        here = self.jobs.get(key.job)
        return here is not None and key.step_id in here.running_steps

    def has_ended(self, key: StepKey) -> bool:
        """Was the step here, and is it not any more?"""
        here = self.jobs.get(key.job)
        if key in self.finished or key.job in self.finished:
            return True
        return here is not None and (here.has_ended(key.step_id) or here.phase in (Phase.EPILOG, Phase.CLEAN))

    def running_steps(self) -> tuple[RunningStep, ...]:
        """Return what a registration tells: every job that this node knows."""
        steps = []
        for key, here in self.jobs.items():
            waiting = {start.key.step_id for start in here.waiting}
            steps += [RunningStep(**key._asdict(), step_id=number) for number in sorted(here.running_steps | waiting)]
            ended = sorted(here.ended_steps) if here.ended_steps or here.running_steps or waiting else [EXTERN_STEP]
            steps += [RunningStep(**key._asdict(), step_id=number, is_ended=True) for number in ended]
        return tuple(steps)

    def limits(self) -> tuple[tuple[int, int, float | None], ...]:
        """Return what a registration tells of time limits: (job_id, attempt, limit_at)."""
        return tuple(
            (*key, here.limit_at) for key, here in self.jobs.items() if not isinstance(here.limit_at, UnsetType)
        )
