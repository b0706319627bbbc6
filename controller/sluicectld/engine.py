"""The engine: a synchronous state machine, handle(command, caller, now) -> Outcome.

Events are applied as they are made; the cluster's batch has what they change, to be committed before the reply and
the effects leave.  A command that is refused changes nothing.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from sluice.config.settings import Settings
from sluice.model.base import OWN_STEPS
from sluice.model.states import StepState
from sluice.wire import messages
from sluicectld.handlers import (
    abandoned,
    change,
    configure,
    endings,
    het_steps,
    kill,
    mail,
    managed_steps,
    nodes,
    notify,
    partitions,
    plan,
    prepare,
    reboot,
    reports,
    reservation_times,
    reservations,
    steps,
    submit,
    timers,
    update_job,
)
from sluicectld.handlers.turn import Turn
from sluicectld.permissions import Caller
from sluicectld.scheduler.snapshot import Policy, Snapshot
from sluicectld.state import commands, events
from sluicectld.state.cluster import Cluster
from sluicectld.state.effects import Effect
from sluicectld.state.timers import Due, Timers


class Outcome(msgspec.Struct):
    """What a command led to.  reply: the handler's answer."""

    reply: Any
    events: list[events.AnyEvent]
    effects: list[Effect]


class Engine:
    """The cluster with its configuration, and the rules that change it."""

    def __init__(self, cluster: Cluster, settings: Settings, policy: Policy) -> None:
        self.cluster = cluster
        self.settings = settings
        self.policy = policy
        self.timers = Timers()
        #: A pass should look at the queue.
        self.is_pass_due = False
        for job in cluster.jobs.values():
            self._restore_timers(job.id)
        for reservation in cluster.reservations.values():
            self.timers.add(0.0, Due.RESERVATION, reservation.id)

    def handle(self, command: object, caller: Caller, now_at: float) -> Outcome:
        """Return what the command led to.  Raises RequestError when it is refused; nothing has changed then."""
        turn = Turn(self.cluster, self.settings, self.policy, self.timers, caller, now_at)
        reply = _HANDLERS[type(command)](turn, command)
        reservation_times.keep_up(turn)
        reboot.go_on(turn)
        mail.send_mails(turn)
        timers.keep_numbering(turn)
        self.is_pass_due = self.is_pass_due or turn.is_pass_due
        return Outcome(reply, turn.events, turn.effects)

    def snapshot(self, now_at: float) -> Snapshot:
        """Return what a pass sees; the next change makes another one due."""
        self.is_pass_due = False
        self.timers.numbered_at = now_at
        return self.view(now_at)

    def view(self, now_at: float) -> Snapshot:
        """Return the same for a question beside the passes."""
        snapshot = self.cluster.snapshot(now_at, self._licenses_free())
        if self.policy.is_predicting:
            snapshot = replace(snapshot, predicted_s=dict(self.cluster.run_book.predicted_s))
        if "CALCULATE_RUNNING" not in self.policy.priority.flags:
            return snapshot
        jobs = self.cluster.jobs
        return replace(snapshot, renumbered=tuple(jobs[job_id] for job_id in self.cluster.running))

    def _licenses_free(self) -> dict[str, int]:
        """Return what no running job has of the cluster's licenses."""
        free = dict(self.settings.licenses)
        if free:
            for job_id in self.cluster.running:
                allocation = self.cluster.jobs[job_id].allocation
                for name, count in allocation.licenses if allocation else ():
                    free[name] = free.get(name, 0) - count
        return free

    def next_wakeup_at(self) -> float | None:
        return self.timers.next_at()

    def _restore_timers(self, job_id: int) -> None:
        job = self.cluster.jobs[job_id]
        if job.is_over:
            self.timers.add((job.ended_at or 0.0) + self.settings.min_job_age_s, Due.FORGET, job_id)
            return
        self.timers.add_job_limit(job)
        self.timers.add_preemption(job)
        if job.begin_at is not None:
            self.timers.add(job.begin_at, Due.PASS)
        if job.started_at is None:
            self.timers.add_deadline(job)
            self.timers.add_immediate(job)
        if job.dependency.terms and not job.is_ended:
            self.timers.add(0.0, Due.DEPENDENCY, job_id)
        for step in self.cluster.steps.get(job_id, {}).values():
            if step.step_id not in OWN_STEPS and step.state is StepState.RUNNING:
                self.timers.add(step.started_at + steps.LAUNCH_WAIT_S, Due.STEP_LAUNCH, job_id)


_HANDLERS: dict[type, Callable[[Turn, Any], Any]] = {
    commands.AcceptHetJob: submit.handle_submit_het,
    commands.AcceptJob: submit.handle_submit,
    commands.AgentLost: nodes.handle_agent_lost,
    commands.EndAbandoned: abandoned.handle_abandoned,
    commands.ExpectCommands: abandoned.handle_expect,
    commands.ApplyConfiguration: configure.handle_configuration,
    commands.ApplyPlan: plan.handle_plan,
    commands.TellJobs: notify.handle_tell,
    commands.ReviseJobs: update_job.handle_revise_jobs,
    commands.ReviseReservation: reservations.handle_revise_reservation,
    commands.EpilogEnded: endings.handle_epilog_ended,
    commands.PrologEnded: prepare.handle_prolog_ended,
    commands.BeginEpoch: configure.handle_begin_epoch,
    commands.Tick: timers.handle_tick,
    messages.ChangeJobs: change.handle_change,
    messages.CreateHetStep: het_steps.handle_create_het_step,
    messages.CreateStep: steps.handle_create_step,
    messages.FinishAllocation: kill.handle_finish_allocation,
    messages.FinishStep: steps.handle_finish_step,
    messages.LeasePorts: managed_steps.handle_lease_ports,
    messages.ManageSteps: managed_steps.handle_manage_steps,
    messages.KillJobs: kill.handle_kill,
    messages.Register: nodes.handle_register,
    messages.Report: reports.handle_report,
    messages.UpdateNodes: nodes.handle_update_nodes,
    messages.UpdatePartition: partitions.handle_update_partition,
}
