"""The steps of one attempt of a job, as its manager knows them.  No I/O, no clock.

Invariants: a number is given once; a running step is in *running*; what the controller has not acknowledged as it is
now is in *untold*.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from sluice.errors import RequestError
from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.states import JobState
from sluice.model.step import Step
from sluice.steps.grant import StepBounds, StepBusy, grant_step, shape_of
from sluice.steps.results import merge_result, result_of
from sluice.wire.messages import ManagedJob, StepResult

NO_PORTS = (0, 0)


class StepBook:
    """steps: what an earlier agent has noted, each as it was last.  All of it is told again."""

    def __init__(self, managed: ManagedJob, steps: Iterable[Step] = ()) -> None:
        noted = {step.step_id: step for step in steps}
        self.managed = managed
        self.untold: dict[int, Step] = noted
        self.running = {number: step for number, step in noted.items() if step.running_nodes}
        #: The job is being ended: no new steps.
        self.is_closed = False
        self._next_id = max((managed.job.next_step_id, *(number + 1 for number in noted)))
        self._is_suspended = False
        self._bounds = StepBounds(
            tasks_per_node_max=managed.tasks_per_node_max, steps_per_job_max=managed.steps_per_job_max
        )
        self._ids_by_token = {step.token: number for number, step in self.running.items() if step.token}
        #: Shapes of requests that had no room since a step last ended, and why: a thousand are looked at once.
        self._busy: dict[StepSpec, str] = {}

    @property
    def job(self) -> Job:
        """Return the job as its steps may see it now."""
        state = JobState.SUSPENDED if self._is_suspended else JobState.RUNNING
        return replace(self.managed.job, next_step_id=self._next_id, state=state)

    def create(self, spec: StepSpec, token: str, now_at: float) -> Step:
        """Return a new step, or the running one that this request made before.

        Raises StepBusy while it has to wait, RequestError when it can never be.
        """
        known = self._ids_by_token.get(token)
        if known is not None:
            return self.running[known]
        if self.is_closed:
            raise RequestError(f"job {self.managed.job.id} is being ended", "already_done")
        shape = shape_of(spec)
        if shape in self._busy:
            raise StepBusy(self._busy[shape])
        try:
            step = grant_step(self.job, spec, token, self._next_id, self.running.values(), self._bounds, now_at)
        except StepBusy as busy:
            self._busy[shape] = busy.message
            raise
        self._next_id += 1
        if token:
            self._ids_by_token[token] = step.step_id
        return self._put(step)

    def set_ports(self, step_id: int, ports: tuple[int, int]) -> Step | None:
        """Return the step with its ports; None: it has ended."""
        step = self.running.get(step_id)
        return self._put(replace(step, ports=ports)) if step is not None else None

    def take(self, result: StepResult, now_at: float) -> Step | None:
        """Return the step that the result changes; None: it is known already, or of no step here."""
        step = self.running.get(result.step_id)
        if step is None or result.node not in step.running_nodes:
            return None
        return self._put(merge_result(step, result, now_at))

    def finish(self, step_id: int, exit_code: int, now_at: float) -> Step | None:
        """Return the step that its srun gives up; None: it has ended, or never was."""
        step = self.running.get(step_id)
        for node in step.running_nodes if step is not None else ():
            result = replace(result_of(self.running[step_id], node, now_at), exit_code=exit_code)
            step = self.take(result, now_at)
        return step

    def revise(self, job: Job) -> None:
        """The job has another record now; its steps are as they were."""
        self.managed = replace(self.managed, job=replace(job, next_step_id=self._next_id))

    def suspend(self, is_suspended: bool) -> None:
        self._is_suspended = is_suspended

    def retell(self) -> None:
        """What runs is told again: the controller may have learnt more of it than has come here."""
        self.untold = {**self.running, **self.untold}

    def on_told(self, step: Step) -> bool:
        """The controller has committed *step*; return whether nothing waits to be told any more."""
        if self.untold.get(step.step_id) is step:
            del self.untold[step.step_id]
        return not self.untold

    def _put(self, step: Step) -> Step:
        self.untold[step.step_id] = step
        if step.running_nodes:
            self.running[step.step_id] = step
        else:
            self.running.pop(step.step_id, None)
            self._ids_by_token.pop(step.token, None)
        if step.ended_at is not None:
            self._busy.clear()
        return step
