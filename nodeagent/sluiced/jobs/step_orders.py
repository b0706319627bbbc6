"""What the step daemons of a job are told: which of its running steps an end, a signal or a line is for."""

from __future__ import annotations

from sluice.model.base import BATCH_STEP, EXTERN_STEP
from sluice.model.states import Ending
from sluice.wire.messages import SignalJob, TellStep
from sluiced.jobs.effects import Effect, SendOrder
from sluiced.jobs.table import JobHere
from sluiced.spool import StepKey
from sluiced.steps.launch import EndOrder, SignalOrder, TalkOrder


def end_orders(here: JobHere, ending: Ending, kill_wait_s: float, ended_at: float, text: str) -> list[Effect]:
    """Return the end of every step that runs."""
    effects: list[Effect] = []
    for number in sorted(here.running_steps):
        order = EndOrder(
            ending=ending,
            kill_wait_s=kill_wait_s,
            ended_at=ended_at,
            names_step=number != BATCH_STEP,
            text=text,
        )
        effects.append(SendOrder(StepKey(*here.key, number), order))
    return effects


def signal_orders(here: JobHere, order: SignalJob) -> list[Effect]:
    """Return the signal for each step that it is meant for."""
    effects: list[Effect] = []
    for number in sorted(here.running_steps):
        if order.step_id is not None and order.step_id != number:
            continue
        if _is_meant(number, order):
            signal = SignalOrder(
                signal=order.signal,
                full=order.full,
                is_suspension=order.is_suspension,
                reason=order.reason,
                deadline_at=order.deadline_at,
                is_exact=order.is_exact,
                text=order.text,
                limit_at=order.limit_at,
            )
            effects.append(SendOrder(StepKey(*here.key, number), signal))
    return effects


def _is_meant(number: int, order: SignalJob) -> bool:
    """What came to the job from outside stands still with it, and hears nothing else unless it is named."""
    if order.step_id == number:
        return True
    if number == EXTERN_STEP:
        return order.is_suspension
    return order.full or (order.to_batch if number == BATCH_STEP else order.to_steps)


def talk_orders(here: JobHere, order: TellStep) -> list[Effect]:
    """Return the line for the step, if it runs."""
    if order.step_id not in here.running_steps:
        return []
    return [SendOrder(StepKey(*here.key, order.step_id), TalkOrder(text=order.text))]
