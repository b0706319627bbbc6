"""An interactive allocation, as salloc and srun ask for it: submitted, waited for, given back.

The request lives as long as the command: a signal while it waits, or a deadline (--immediate), takes it back.
"""

from __future__ import annotations

from sluice.errors import RequestError, SluiceError
from sluice.wire.light import new_token
from sluice_cli import client, job_request
from sluice_cli.inbox import SIGHUP, SIGINT, SIGQUIT, SIGTERM, Inbox
from sluice_cli.waiting import Interrupted, Question, TimedOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sluice_cli.draft import Draft
    from sluice_cli.talk import Voice

#: An allocation that comes within this time was never waited for; passes are quicker.
_AT_ONCE_S = 0.5
_ENDING_SIGNALS = (SIGHUP, SIGINT, SIGQUIT, SIGTERM)


class Revoked(Exception):
    """The allocation was taken back before or while it was waited for.

    number: the signal that this command got, 0 when somebody else ended the job.
    """

    def __init__(self, job_id: int, number: int = 0) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id
        self.number = number


class NotAtOnce(Exception):
    """--immediate: the time is over and the job has been taken back."""

    def __init__(self, job_id: int, is_at_once: bool) -> None:
        super().__init__(f"job {job_id}")
        self.job_id = job_id
        self.text = "Requested nodes are busy" if is_at_once else "Connection timed out"


def submit(draft: Draft, name: str, words: Sequence[str], voice: Voice) -> int:
    """Submit the request; return its job id.  Raises SluiceError."""
    spec = job_request.job_spec(draft, name, words)
    spec["is_batch"] = False
    body = {"token": new_token(), "spec": spec}
    reply = client.call_patiently("SubmitJob", body, voice)
    for warning in reply.get("warnings", ()):
        voice.lines(warning)
    job_id: int = reply["job_id"]
    return job_id


def wait_started(
    job_id: int, draft: Draft, voice: Voice, on_queued: Callable[[int], None], on_started: Callable[[int], None]
) -> dict[str, Any]:
    """Return StartedJob.  on_queued, on_started: told when the job had to wait, and when it is over.

    Raises Revoked, NotAtOnce, or a SluiceError.
    """
    immediate_s = draft.spec.get("immediate_s")
    with Inbox(_ENDING_SIGNALS) as inbox, Question("WaitJobStart", {"job_id": job_id}, voice) as question:
        try:
            return _wait(job_id, question, inbox, immediate_s, on_queued, on_started)
        except Interrupted as interrupt:
            finish(job_id, voice)
            raise Revoked(job_id, interrupt.number) from None
        except TimedOut:
            finish(job_id, voice)
            raise NotAtOnce(job_id, is_at_once=immediate_s == 1) from None
        except RequestError as error:
            if error.code == "revoked":
                raise Revoked(job_id) from None
            raise


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
    started = question.wait(inbox, immediate_s)
    if immediate_s is None or immediate_s > 1:
        on_started(job_id)
    return started


def finish(job_id: int, voice: Voice, exit_code: int = 0, exit_signal: int = 0) -> None:
    """Give the allocation back; one that is gone already is as good."""
    body = {"job_id": job_id, "exit_code": exit_code, "exit_signal": exit_signal}
    try:
        client.call_patiently("FinishAllocation", body, voice)
    except RequestError:
        return
    except SluiceError as error:
        voice.error(f"Unable to relinquish job allocation {job_id}: {client.sentence(error)}")
