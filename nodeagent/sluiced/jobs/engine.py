"""The step engine of one node: what the controller wants, what runs, what is reported.

A state machine: every on_* method takes one event and returns the effects, in order.  No I/O.  A job
passes through: prolog, running, ending (nothing new starts), epilog, clean (told, not yet acknowledged).

Invariant: a (job, attempt, step) is started at most once, whatever is repeated; a job is told clean only when
no step of it runs here.
"""

from __future__ import annotations

from msgspec.structs import replace

from sluice import hook_env
from sluice.clock import VirtualClock, WallClock
from sluice.errors import RequestError
from sluice.model.base import BATCH_STEP, EXTERN_STEP
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import Ending, Notice
from sluice.wire.messages import (
    AgentConfig,
    EndJob,
    EndStep,
    LaunchJob,
    NodeClean,
    NodePrepared,
    Orders,
    PrepareJob,
    SignalJob,
    StepResult,
    TaskLaunch,
    TellStep,
)
from sluiced.jobs import step_orders
from sluiced.jobs.admission import Admission
from sluiced.jobs.effects import (
    Effect,
    ForgetJob,
    ForgetStep,
    Hook,
    KillStrays,
    MarkEnded,
    MarkPrepared,
    RefuseTasks,
    RunHook,
    SendOrder,
    StartBatch,
    StartExtern,
    StartTasks,
    TellClean,
    TellDrain,
    TellPrepared,
    TellResult,
    WaitForSrun,
)
from sluiced.jobs.sruns import Sruns
from sluiced.jobs.table import JobHere, JobTable, Phase
from sluiced.spool import JobKey, StepKey
from sluiced.steps.launch import EndOrder


class StepEngine:
    """The jobs and steps of *node*.  own_uid: None when the agent may become any user."""

    def __init__(self, node: str, config: AgentConfig, own_uid: int | None, clock: WallClock | VirtualClock) -> None:
        self.node = node
        self.config = config
        self._epoch = 0
        self.table = JobTable(clock)
        self.admission = Admission(node, own_uid, self.table)
        self._sruns = Sruns()

    # Of the controller.

    def on_registered(self, epoch: int, config: AgentConfig, stale: list[JobKey]) -> list[Effect]:
        self._epoch = max(self._epoch, epoch)
        self.config = config
        effects: list[Effect] = []
        for key in stale:
            effects += self._end_job(key, Ending.NODE_FAILURE, config.kill_wait_s, 0.0)
        return effects

    def on_orders(self, orders: Orders) -> list[Effect]:
        """Follow what is for this node and not of an older controller."""
        if orders.config is not None:
            self.config = orders.config
        effects: list[Effect] = []
        # Before the launches: what a job is prepared for may come along with it.
        for prepare in orders.prepares:
            if self._is_valid(prepare):
                effects += self._on_prepare(prepare)
        for launch in orders.launches:
            if self._is_valid(launch):
                effects += self._on_launch(launch)
        for end in orders.ends:
            if self._is_valid(end):
                key = JobKey(end.job_id, end.attempt)
                self._learn(key, end.variables)
                effects += self._end_job(key, end.ending, end.kill_wait_s, end.ended_at, end.text)
        for signal in orders.signals:
            if self._is_valid(signal):
                effects += self._on_signal(signal)
        for step_end in orders.step_ends:
            if self._is_valid(step_end):
                effects += self._on_end_step(step_end)
        for talk in orders.talks:
            if self._is_valid(talk):
                effects += self._on_talk(talk)
        return effects

    def on_acknowledged(self, item: StepResult | NodeClean) -> list[Effect]:
        """The controller has committed *item*: what it told may be forgotten."""
        key = JobKey(item.job_id, item.attempt)
        here = self.table.jobs.get(key)
        if isinstance(item, NodeClean) or item.is_node_clean:
            self.table.remember(key)
            self.table.jobs.pop(key, None)
            return [ForgetJob(key)]
        if item.step_id == BATCH_STEP or here is None:
            # The batch step's folder stays until the job is clean: it says after a restart what is left to do.
            return []
        here.ended_steps.discard(item.step_id)
        here.told_steps.add(item.step_id)
        return [ForgetStep(StepKey(*key, item.step_id))]

    # Of srun.

    def on_srun_came(self, key: StepKey) -> None:
        """A connection for that step, which may launch it."""
        self._sruns.came(key)

    def on_srun_gone(self, key: StepKey) -> list[Effect]:
        if self._sruns.went(key):
            return self._end_unlaunched(key)
        # It has not launched the step and will not, but another command may be there with the same credential.
        return self._await_srun(key, _SRUN_PAUSE_S)

    def on_srun_lost(self, key: StepKey) -> list[Effect]:
        """The step was granted before this agent began: a connection of its srun ended with the last one."""
        return self._await_srun(key, _SRUN_RETURN_S)

    def _await_srun(self, key: StepKey, wait_s: float) -> list[Effect]:
        return [] if self._sruns.is_here(key) or self._is_known(key) else [WaitForSrun(key, wait_s)]

    def on_srun_missed(self, key: StepKey) -> list[Effect]:
        """A while ago the last srun of the step went."""
        return [] if self._sruns.is_here(key) else self._end_unlaunched(key)

    def on_tasks_wanted(self, request: TaskLaunch, ticket: int) -> list[Effect]:
        """An srun whose credential is good wants its step started."""
        key = StepKey(request.job.id, request.job.attempt, request.step.step_id)
        try:
            self.admission.check_tasks(request, key)
        except RequestError as error:
            return [RefuseTasks(ticket, error.code, str(error))]
        return self._start_or_wait(request.job, StartTasks(key, request, ticket))

    # Of the steps.

    def on_step_ended(self, key: StepKey, result: StepResult) -> list[Effect]:
        here = self.table.jobs.get(key.job)
        if here is None or key.step_id not in here.running_steps:
            return []
        here.running_steps.discard(key.step_id)
        here.ended_steps.add(key.step_id)
        if key.step_id != BATCH_STEP:
            return [TellResult(result), *self._advance(here)]
        here.batch_result = result
        effects: list[Effect] = []
        if here.phase is Phase.RUNNING:
            # Not marked: a restarted agent finds the batch step's result, or that it is lost.
            effects += self._end_steps(here, Ending.FINISHED, self.config.kill_wait_s, 0.0)
        return effects + self._advance(here)

    def on_step_lost(self, key: StepKey, result: StepResult) -> list[Effect]:
        """The step daemon is gone without a result; *result* says so."""
        return [KillStrays(key), *self.on_step_ended(key, result)]

    def on_hook_ended(self, hook: Hook, key: JobKey, problem: str) -> list[Effect]:
        """problem: empty when the hook succeeded, else what it said last."""
        here = self.table.jobs.get(key)
        if here is None:
            return []
        if hook is Hook.EPILOG:
            return self._on_epilog_ended(here, problem)
        return self._on_prolog_ended(here, problem)

    # Recovery, before anything else.

    def on_recovered(self, key: JobKey, variables: dict[str, str], is_ended: bool, job: Job | None = None) -> None:
        """The spool has a folder for this attempt of a job: it was prepared here, at the least.

        job: if it has an extern step here.
        """
        self.table.jobs[key] = JobHere(key, variables, Phase.ENDING if is_ended else Phase.RUNNING, job)

    def on_step_recovered(self, key: StepKey, job: Job | None = None) -> None:
        """The spool has a step whose end will be told by on_step_ended() or on_step_lost().

        job: as the step was started with.
        """
        here = self.table.jobs[key.job]
        here.running_steps.add(key.step_id)
        if job is not None:
            here.note_limit(job)

    def on_recovery_done(self) -> list[Effect]:
        """Every step is known and those that have ended were told: go on where the last agent stopped."""
        return [effect for here in list(self.table.jobs.values()) for effect in self._advance(here)]

    # Starting.

    def _on_launch(self, order: LaunchJob) -> list[Effect]:
        job = order.job
        key = StepKey(job.id, job.attempt, BATCH_STEP)
        here = self.table.jobs.get(key.job)
        if key.job in self.table.finished or (here is not None and here.knows(key.step_id)):
            return []
        if here is not None and here.phase not in (Phase.PROLOG, Phase.RUNNING):
            return []
        if not self.admission.can_become(job.spec.uid):
            result = self._failure(key, Reason.JOB_LAUNCH_FAILURE, self.admission.no_privilege(job.spec.uid))
            return [TellResult(replace(result, is_node_clean=True))]
        return self._start_or_wait(job, StartBatch(key, order))

    def _start_or_wait(self, job: Job, start: StartBatch | StartTasks) -> list[Effect]:
        here = self.table.jobs.get(start.key.job)
        if here is None:
            variables = hook_env.job_variables(job, self.config.cluster, self.node) if self._has_hooks else {}
            here = self.table.jobs[start.key.job] = JobHere(start.key.job, variables, Phase.RUNNING)
            here.note_limit(job)
            if self.config.prolog:
                here.waiting.append(start)
                return self._run_prolog(here)
        here.note_limit(job)
        if here.phase is Phase.PROLOG:
            here.waiting.append(start)
            return []
        here.running_steps.add(start.key.step_id)
        return [start]

    def _on_prepare(self, order: PrepareJob) -> list[Effect]:
        """Run the prolog although nothing starts yet; whoever asks again is told again that it was run."""
        key = JobKey(order.job_id, order.attempt)
        here = self.table.jobs.get(key)
        if key in self.table.finished or (here is not None and here.phase not in (Phase.PROLOG, Phase.RUNNING)):
            return []
        effects: list[Effect] = []
        if here is None:
            here = self.table.jobs[key] = JobHere(key, order.variables, Phase.RUNNING, order.job)
            effects += self._run_prolog(here) if self.config.prolog else []
        effects += self._contain(here, order.job)
        if here.phase is Phase.PROLOG:
            return effects
        return [*effects, TellPrepared(NodePrepared(node=self.node, job_id=key.job_id, attempt=key.attempt))]

    def _contain(self, here: JobHere, job: Job | None) -> list[Effect]:
        """Start the job's extern step, after the prolog."""
        if job is None or here.knows(EXTERN_STEP):
            return []
        here.job = job
        start = StartExtern(StepKey(*here.key, EXTERN_STEP), job)
        if here.phase is Phase.PROLOG:
            here.waiting.append(start)
            return []
        here.running_steps.add(EXTERN_STEP)
        # Marked: what the prolog's variables are cannot be made from the job, whose other nodes are not in it.
        return [MarkPrepared(here.key, here.variables), start]

    def _run_prolog(self, here: JobHere) -> list[Effect]:
        here.phase = Phase.PROLOG
        here.is_in_prolog = True
        return [RunHook(Hook.PROLOG, here.key, here.variables, job=self._job_around(here))]

    def _job_around(self, here: JobHere) -> Job | None:
        """Return the job in whose extern step's group its prolog and epilog run; None: in none."""
        return here.job if "RunInJob" in self.config.prolog_flags else None

    def _on_prolog_ended(self, here: JobHere, problem: str) -> list[Effect]:
        waiting, here.waiting = here.waiting, []
        here.is_in_prolog = False
        if here.phase is not Phase.PROLOG:
            refusals: list[Effect] = [self._refusal(start) for start in waiting if isinstance(start, StartTasks)]
            return refusals + self._advance(here)
        if problem:
            return self._on_prolog_failed(here, waiting, problem)
        here.phase = Phase.RUNNING
        here.running_steps |= {start.key.step_id for start in waiting}
        prepared = NodePrepared(node=self.node, job_id=here.key.job_id, attempt=here.key.attempt)
        return [MarkPrepared(here.key, here.variables), TellPrepared(prepared), *waiting]

    def _on_prolog_failed(
        self, here: JobHere, waiting: list[StartBatch | StartTasks | StartExtern], problem: str
    ) -> list[Effect]:
        prepared = NodePrepared(
            node=self.node, job_id=here.key.job_id, attempt=here.key.attempt, problem=f"prolog failed: {problem}"
        )
        effects: list[Effect] = [TellDrain(self.node, f"Prolog error: {problem}"), TellPrepared(prepared)]
        for start in waiting:
            if isinstance(start, StartBatch):
                here.batch_result = self._failure(start.key, Reason.PROLOG, f"prolog failed: {problem}")
            elif isinstance(start, StartTasks):
                effects.append(RefuseTasks(start.ticket, "prolog", f"prolog failed on node {self.node}: {problem}"))
        here.phase = Phase.ENDING
        return effects + self._advance(here)

    def _refusal(self, start: StartTasks) -> RefuseTasks:
        return RefuseTasks(start.ticket, "ended", f"job {start.key.job_id} is being ended")

    # Ending.

    def _end_job(
        self, key: JobKey, ending: Ending, kill_wait_s: float, ended_at: float, text: str = ""
    ) -> list[Effect]:
        here = self.table.jobs.get(key)
        if here is None:
            self.table.remember(key)
            return [TellClean(NodeClean(node=self.node, job_id=key.job_id, attempt=key.attempt))]
        if here.phase in (Phase.EPILOG, Phase.CLEAN):
            return []
        was_prolog = here.phase is Phase.PROLOG
        effects = [MarkEnded(here.key), *self._end_steps(here, ending, kill_wait_s, ended_at, text)]
        return effects if was_prolog else effects + self._advance(here)

    def _learn(self, key: JobKey, variables: dict[str, str]) -> None:
        """Take what the epilog is to see; where nothing of the job ever ran, the epilog belongs to it all the same."""
        here = self.table.jobs.get(key)
        if here is not None:
            here.variables = here.variables | variables
        elif variables and self.config.epilog and key not in self.table.finished:
            self.table.jobs[key] = JobHere(key, variables, Phase.RUNNING)

    def _end_steps(
        self, here: JobHere, ending: Ending, kill_wait_s: float, ended_at: float, text: str = ""
    ) -> list[Effect]:
        here.phase = Phase.ENDING
        return step_orders.end_orders(here, ending, kill_wait_s, ended_at, text)

    def _advance(self, here: JobHere) -> list[Effect]:
        """Do what is due now that a step, the prolog or the wait for an order has ended."""
        if here.phase is not Phase.ENDING:
            return []
        if here.running_steps or here.waiting or here.is_in_prolog:
            return self._tell_batch_result(here)
        if self.config.epilog:
            here.phase = Phase.EPILOG
            result = here.batch_result
            return [*self._tell_batch_result(here), self._epilog(here, result)]
        return self._tell_clean(here, "")

    def _epilog(self, here: JobHere, result: StepResult | None) -> RunHook:
        return RunHook(Hook.EPILOG, here.key, here.variables, result, self._job_around(here))

    def _on_epilog_ended(self, here: JobHere, problem: str) -> list[Effect]:
        if here.phase is not Phase.EPILOG:
            return []
        effects: list[Effect] = [TellDrain(self.node, f"Epilog error: {problem}")] if problem else []
        return effects + self._tell_clean(here, f"Epilog error: {problem}" if problem else "")

    def _tell_batch_result(self, here: JobHere) -> list[Effect]:
        result, here.batch_result = here.batch_result, None
        return [TellResult(result)] if result is not None else []

    def _tell_clean(self, here: JobHere, problem: str) -> list[Effect]:
        here.phase = Phase.CLEAN
        result, here.batch_result = here.batch_result, None
        if result is not None and not problem:
            return [TellResult(replace(result, is_node_clean=True))]
        told: list[Effect] = [TellResult(result)] if result is not None else []
        clean = NodeClean(node=self.node, job_id=here.key.job_id, attempt=here.key.attempt, problem=problem)
        return [*told, TellClean(clean)]

    def _on_end_step(self, order: EndStep) -> list[Effect]:
        key = StepKey(order.job_id, order.attempt, order.step_id)
        here = self.table.jobs.get(key.job)
        if order.may_come:
            return self.on_srun_lost(key)
        if order.only_unlaunched:
            return self._end_unlaunched(key) if self._sruns.doom(key) else []
        if here is not None and key.step_id in here.running_steps:
            return [SendOrder(key, EndOrder(ending=order.ending, kill_wait_s=order.kill_wait_s, names_step=True))]
        return self._end_unlaunched(key)

    def _end_unlaunched(self, key: StepKey) -> list[Effect]:
        """A step that was never launched here now never will be: the controller need not wait for it."""
        if self._is_known(key):
            return []
        self.table.remember(key)
        return [TellResult(StepResult(node=self.node, **key._asdict(), exit_signal=15))]

    def _is_known(self, key: StepKey) -> bool:
        """Is the step here, was it, or does it wait to be?"""
        here = self.table.jobs.get(key.job)
        return here is not None and here.knows(key.step_id)

    def _on_signal(self, order: SignalJob) -> list[Effect]:
        here = self.table.jobs.get(JobKey(order.job_id, order.attempt))
        if here is None:
            return []
        if order.reason in (Notice.NEW_LIMIT, Notice.RESUME):
            here.limit_at = order.limit_at
        return step_orders.signal_orders(here, order)

    def _on_talk(self, order: TellStep) -> list[Effect]:
        here = self.table.jobs.get(JobKey(order.job_id, order.attempt))
        return step_orders.talk_orders(here, order) if here is not None else []

    # Helpers.

    @property
    def _has_hooks(self) -> bool:
        return bool(self.config.prolog or self.config.epilog)

    def _is_valid(self, order: LaunchJob | PrepareJob | EndJob | SignalJob | EndStep | TellStep) -> bool:
        return order.node == self.node and order.epoch >= self._epoch

    def _failure(self, key: StepKey, reason: Reason, text: str) -> StepResult:
        return StepResult(
            node=self.node,
            **key._asdict(),
            exit_signal=_LAUNCH_FAILURE_SIGNAL,
            reason=reason.value,
            reason_text=text,
        )


#: How long a step is kept whose srun went before it launched the step.
_SRUN_PAUSE_S = 2.0
#: For how long an srun tries to reach an agent that is being restarted, and a little.
_SRUN_RETURN_S = 12.0
#: The signal number that Slurm shows for a job that could not be launched (ExitCode 0:53).
_LAUNCH_FAILURE_SIGNAL = 53
