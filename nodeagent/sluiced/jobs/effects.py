"""What the engine wants done: the shell performs these in order."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from sluice.model.job import Job
from sluice.wire.messages import LaunchJob, NodeClean, NodePrepared, StepResult, TaskLaunch
from sluiced.spool import JobKey, StepKey
from sluiced.steps.launch import ControlOrder


class Hook(StrEnum):
    """The site's programs around a job on a node."""

    PROLOG = "prolog"
    EPILOG = "epilog"


class StartBatch(NamedTuple):
    """Persist the launch, then have the step daemon forked."""

    key: StepKey
    order: LaunchJob


class StartTasks(NamedTuple):
    """The same for a step that an srun launched; ticket: its connection."""

    key: StepKey
    request: TaskLaunch
    ticket: int


class StartExtern(NamedTuple):
    """The same for the step that holds what comes to the job by other ways (PrologFlags=Contain)."""

    key: StepKey
    job: Job


class RefuseTasks(NamedTuple):
    ticket: int
    code: str
    message: str


class SendOrder(NamedTuple):
    """Tell a running step's daemon."""

    key: StepKey
    order: ControlOrder


class RunHook(NamedTuple):
    """variables: what is known of the job; result: of its batch step, if that ran here.

    job: whose extern step's group it runs in (PrologFlags=RunInJob); None: in none.
    """

    hook: Hook
    key: JobKey
    variables: dict[str, str]
    result: StepResult | None = None
    job: Job | None = None


class MarkPrepared(NamedTuple):
    """Remember across a restart that the job's prolog was run here."""

    key: JobKey
    variables: dict[str, str]


class KillStrays(NamedTuple):
    """Kill what a dead step daemon left behind."""

    key: StepKey


class MarkEnded(NamedTuple):
    """Remember across a restart that the job starts nothing more here."""

    key: JobKey


class ForgetStep(NamedTuple):
    key: StepKey


class ForgetJob(NamedTuple):
    key: JobKey


class TellResult(NamedTuple):
    """Report until it is acknowledged."""

    result: StepResult


class TellClean(NamedTuple):
    clean: NodeClean


class TellPrepared(NamedTuple):
    prepared: NodePrepared


class TellDrain(NamedTuple):
    node: str
    reason: str


class WaitForSrun(NamedTuple):
    """Ask again after wait_s what becomes of a step whose srun went before it launched the step."""

    key: StepKey
    wait_s: float


Effect = (
    StartBatch
    | StartTasks
    | StartExtern
    | RefuseTasks
    | SendOrder
    | RunHook
    | MarkPrepared
    | KillStrays
    | MarkEnded
    | ForgetStep
    | ForgetJob
    | TellResult
    | TellClean
    | TellPrepared
    | TellDrain
    | WaitForSrun
)
