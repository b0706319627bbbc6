"""An interactive allocation, as salloc and srun ask for it: submitted, waited for, given back.

The request lives as long as the command: a signal while it waits takes it back, as the controller does once the time
of --immediate is over.  In between, signals raise Interrupted (inbox.Raising), and given_back() sees to it that nothing
is left.
"""

from __future__ import annotations

import contextlib

from sluice.absence import RETURN_GRACE_S
from sluice.errors import NotConnected, RequestError, SluiceError
from sluice.wire.faults import is_passing
from sluice_cli import client, job_request
from sluice_cli.inbox import ENDING, Inbox, Interrupted
from sluice_cli.waiting import Question, TimedOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from sluice_cli.draft import Draft
    from sluice_cli.talk import Voice

#: An allocation that comes within this time was never waited for; passes are quicker.
_AT_ONCE_S = 0.5
#: How long an interrupted submission asks what became of it.
_TAKE_BACK_S = 5.0


class Revoked(Exception):
    """The allocation was taken back before or while it was waited for.

    number: the signal that this command got, 0 when somebody else ended the job.  why: what the controller tells of it.
    """

    def __init__(self, job_id: int, number: int = 0, why: str = "") -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id
        self.number = number
        self.why = why

    def tell(self, voice: Voice) -> None:
        """Say why the job ended, where there is something to say."""
        if self.why:
            voice.error(f"job {self.job_id} was ended: {self.why}")


class NotAtOnce(Exception):
    """--immediate: the time is over and the controller has taken the job back."""

    def __init__(self, job_id: int, is_at_once: bool) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id
        self.text = "Requested nodes are busy" if is_at_once else "Connection timed out"


def submit(drafts: Sequence[Draft], name: str, words: Sequence[str], voice: Voice) -> int:
    """Submit the request, a draft for each component; return its job id.

    Raises SluiceError, or Revoked for a signal.
    """
    specs = [job_request.job_spec(draft, name, words) | {"is_batch": False} for draft in drafts]
    request, body = job_request.submission(specs)
    failures: list[SluiceError] = []
    try:
        reply = client.call_patiently(request, body, voice, failures=failures)
    except Interrupted as interrupt:
        was_sent = not failures or not all(isinstance(error, NotConnected) for error in failures)
        raise Revoked(_take_back(request, body, voice, was_sent), interrupt.number) from None
    for warning in reply.get("warnings", ()):
        for line in warning.split("\n"):
            voice.lines(line)
    job_id: int = reply["job_id"]
    return job_id


def _take_back(request: str, body: dict[str, Any], voice: Voice, was_sent: bool) -> int:
    """End the job of a submission whose answer was not awaited; return its id, 0 when there is none.

    The token tells the job if the request has arrived; if not, a job is made that never starts.
    was_sent: False where no connection was to be had; if there is none now either, there is no job.
    """
    try:
        job_id: int = client.call(request, body, _TAKE_BACK_S)["job_id"]
    except SluiceError as error:
        if not was_sent and isinstance(error, NotConnected):
            voice.error(f"no job was queued: {client.sentence(error)}")
        elif is_passing(error):
            voice.error(f"a job may have been queued, see squeue --me: {client.sentence(error)}")
        return 0
    finish(job_id, voice)
    return job_id


@contextlib.contextmanager
def given_back(job_id: int, voice: Voice) -> Iterator[Question]:
    """Give the allocation back when its use is interrupted, which raises Revoked, or fails.

    Gives the question for its start: by that connection the controller knows that this command lives.
    """
    try:
        with _asked_start(job_id, voice, is_own=True) as hold:
            yield hold
    except (Revoked, NotAtOnce):
        raise
    except Interrupted as interrupt:
        finish(job_id, voice, exit_signal=interrupt.number)
        raise Revoked(job_id, interrupt.number) from None
    except BaseException:
        finish(job_id, voice, exit_code=1)
        raise


def wait_started(
    job_id: int,
    draft: Draft,
    voice: Voice,
    on_queued: Callable[[int], None],
    on_started: Callable[[int], None],
    hold: Question | None = None,
) -> dict[str, Any]:
    """Return StartedJob.  on_queued, on_started: told when the job had to wait, and when it is over.

    hold: of an allocation of one's own, see given_back(); it stays open.
    Raises Revoked, NotAtOnce, or a SluiceError.
    """
    immediate_s = draft.spec.get("immediate_s")
    asked = contextlib.nullcontext(hold) if hold is not None else _asked_start(job_id, voice, is_own=False)
    with Inbox(ENDING) as inbox, asked as question:
        try:
            started = _wait(job_id, question, inbox, immediate_s, on_queued, on_started)
            if number := inbox.next():
                raise Interrupted(number)
            return started
        except Interrupted as interrupt:
            finish(job_id, voice)
            raise Revoked(job_id, interrupt.number) from None
        except RequestError as error:
            if error.code == "immediate":
                raise NotAtOnce(job_id, is_at_once=immediate_s == 1) from None
            if error.code == "revoked":
                raise Revoked(job_id, why=error.message) from None
            if error.code == "invalid_job" and hold is not None:
                # It was acknowledged: this command comes back late.
                why = f"the controller does not know it any more; sacct -j {job_id} tells how it ended"
                raise Revoked(job_id, why=why) from None
            raise


def _asked_start(job_id: int, voice: Voice, is_own: bool) -> Question:
    body = {"job_id": job_id, "hears_messages": True, "holds_allocation": is_own}
    # The controller has acknowledged the request and keeps it for as long.
    patience_s = RETURN_GRACE_S if is_own else client.PATIENCE_S
    return Question("WaitJobStart", body, voice, message_hearer(voice), patience_s=patience_s)


def message_hearer(voice: Voice) -> Callable[[str, dict[str, Any]], None]:
    """Return what says the messages that somebody sends to the job (scontrol notify)."""

    def on_notice(name: str, body: dict[str, Any]) -> None:
        if name == "UserMessage":
            voice.info(body["text"])

    return on_notice


def _wait(
    job_id: int,
    question: Question,
    inbox: Inbox,
    immediate_s: float | None,
    on_queued: Callable[[int], None],
    on_started: Callable[[int], None],
) -> dict[str, Any]:
    try:
        return question.wait(inbox, _AT_ONCE_S)
    except TimedOut:
        if immediate_s is None or immediate_s > 1:
            on_queued(job_id)
    started = question.wait(inbox)
    if immediate_s is None or immediate_s > 1:
        on_started(job_id)
    return started


def finish(job_id: int, voice: Voice, exit_code: int = 0, exit_signal: int = 0) -> None:
    """Give the allocation back; one that is gone already is as good."""
    body = {"job_id": job_id, "exit_code": exit_code, "exit_signal": exit_signal}
    try:
        client.call_patiently("FinishAllocation", body, voice)
    except SluiceError as error:
        if isinstance(error, RequestError) and not is_passing(error):
            return
        voice.error(f"Unable to relinquish job allocation {job_id}: {client.sentence(error)}")
