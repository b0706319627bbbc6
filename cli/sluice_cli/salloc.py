"""salloc: get an allocation, run a command in it, give it back.

Source: CONTRACT.md sections 2, 4 and 15.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

from sluice.errors import SluiceError
from sluice_cli import allocation, client, components, job_request, layers, talk
from sluice_cli.combine import combine
from sluice_cli.draft import REFUSED_EXIT, Draft, OptionError
from sluice_cli.getopt import UsageError
from sluice_cli.inbox import Interrupted, Raising
from sluice_cli.options import table_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sluice_cli.getopt import Found

_SYNOPSIS = "[OPTIONS] [command [args...]]"
_FAILED = "Job submit/allocate failed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run salloc; return its exit status: the command's, or 1 (SLURM_EXIT_ERROR) without an allocation."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    voice = talk.Voice("salloc")
    try:
        with Raising():
            return _run(words, voice)
    except UsageError as error:
        voice.usage_error(error)
        return talk.USAGE_EXIT
    except OptionError as refusal:
        return job_request.tell_refusal(voice, refusal)
    except SluiceError as error:
        client.tell_failure(voice, error, _FAILED)
    except allocation.Revoked as revoked:
        revoked.tell(voice)
        if revoked.job_id:
            voice.info(f"Job allocation {revoked.job_id} has been revoked.")
        voice.info("Job aborted due to signal" if revoked.number else "Job has been cancelled")
    except allocation.NotAtOnce as late:
        voice.error(f"Unable to allocate resources: {late.text}")
        voice.info(f"Job allocation {late.job_id} has been revoked.")
        return exit_status("SLURM_EXIT_IMMEDIATE")
    except Interrupted as interrupt:
        return interrupt.status
    return exit_status("SLURM_EXIT_ERROR")


def exit_status(variable: str) -> int:
    """Return the exit status of a failure, which the user may choose."""
    value = os.environ.get(variable, "")
    return int(value) % 256 if value.isdecimal() else REFUSED_EXIT


def _run(words: list[str], voice: talk.Voice) -> int:
    table = table_for("salloc")
    asked, command = components.parse(table, words)
    found = [each for component in asked for each in component]
    for key, _ in found:
        if talk.put_standard_answer("salloc", key, table, _SYNOPSIS):
            return 0
    layers.set_loudness(voice, found, os.environ, "salloc")
    drafts = [_make_draft(each, voice) for each in components.hand_on(asked)]
    draft = drafts[0]
    if answer := job_request.check_gres_help(draft):
        talk.put(answer)
        return 0
    job_request.check_clusters(draft, client.find_endpoints())
    if "x11" in draft.other:
        from sluice_cli import x11

        x11.check(draft)
    job_id = allocation.submit(drafts, "interactive", words, voice)
    with allocation.given_back(job_id, voice) as hold:
        started = allocation.wait_started(
            job_id,
            draft,
            voice,
            lambda job: voice.info(f"Pending job allocation {job}\nsalloc: job {job} queued and waiting for resources"),
            lambda job: voice.info(f"job {job} has been allocated resources"),
            hold,
        )
        return _use(started, draft, command, voice)


def _make_draft(found: Found, voice: talk.Voice) -> Draft:
    draft = Draft("salloc", time.time())
    layers.apply_layers(draft, (), os.environ, found)
    combine(draft)
    for remark in draft.remarks:
        voice.lines(remark)
    return draft


def _use(started: dict[str, object], draft: Draft, command: list[str], voice: talk.Voice) -> int:
    from sluice_cli import salloc_command

    job = started["job"]
    assert isinstance(job, dict)
    job_id: int = job["id"]
    voice.info(f"Granted job allocation {job_id}")
    if draft.own.get("bell"):
        talk.put("\a")
    if draft.own.get("no-shell"):
        return 0
    options = str(started.get("interactive_step", ""))
    command = command or salloc_command.shell_command(options)
    with _forwarding(draft, job):
        outcome = salloc_command.run(started, draft, command, voice)
    if not outcome.is_revoked:
        voice.info(f"Relinquishing job allocation {job_id}")
        allocation.finish(job_id, voice, outcome.exit_code, outcome.exit_signal)
    return outcome.status


def _forwarding(draft: Draft, job: dict[str, Any]) -> contextlib.AbstractContextManager[object]:
    """--x11: for the time of the command."""
    if "x11" not in draft.other:
        return contextlib.nullcontext()
    from sluice_cli import x11

    return x11.forwarding_of_job(draft, job)


if __name__ == "__main__":
    sys.exit(main())
