"""scancel: end jobs, or send them a signal.

Ids and filters go to the controller in one request, which answers each job by itself.  An id that is unknown or
ended is no error unless a signal, a filter or --batch was to reach it; -v says it all.

Source: CONTRACT.md sections 6 and 15.
"""

from __future__ import annotations

import os
import sys

from sluice import jobid_spec
from sluice.errors import InvalidRequest, SluiceError, Unreachable
from sluice_cli import client, talk
from sluice_cli.draft import OptionError
from sluice_cli.getopt import REQUIRED, Option, OptionTable, UsageError
from sluice_cli.scancel_filters import FILTER_KEYS, filters_text, read_filters
from sluice_cli.scancel_outcome import tell_outcome, tell_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

TABLE = OptionTable(
    Option("account", "A", REQUIRED, "name", "act only on jobs charging this account"),
    Option("admin-comment", "", REQUIRED, "text", "comment kept with the job"),
    Option("batch", "b", help="signal batch shell for specified job"),
    Option("cron", "c", help="cancel a crontab job"),
    Option("ctld", help="send request directly to the controller"),
    Option("full", "f", help="signal batch shell and all steps for specified job"),
    Option("hurry", "H", help="avoid burst buffer stage out"),
    Option("interactive", "i", help="require response from user for each job"),
    Option("cluster clusters", "M", REQUIRED, "names", "clusters to issue commands to"),
    Option("me", help="act only on jobs of this user"),
    Option("name jobname", "n", REQUIRED, "name", "act only on jobs with this name"),
    Option("nodelist", "w", REQUIRED, "hosts", "act only on jobs on these nodes"),
    Option("partition", "p", REQUIRED, "name", "act only on jobs in this partition"),
    Option("qos", "q", REQUIRED, "name", "act only on jobs with this quality of service"),
    Option("quiet", "Q", help="disable warnings"),
    Option("reservation", "R", REQUIRED, "name", "act only on jobs with this reservation"),
    Option("sibling", "", REQUIRED, "name", "remove an active sibling job from a federated job"),
    Option("signal", "s", REQUIRED, "name|number", "signal to send to job"),
    Option("state", "t", REQUIRED, "states", "act only on jobs in this state: PENDING, RUNNING or SUSPENDED"),
    Option("user", "u", REQUIRED, "user", "act only on jobs of this user"),
    Option("verbose", "v", help="verbosity level"),
    Option("wckey", "", REQUIRED, "wckey", "act only on jobs with this workload characterization key"),
    Option("version", "V", help="output version information and exit"),
    Option("help", help="show this help message"),
    Option("usage", help="display brief usage message"),
)
_SYNOPSIS = "[OPTIONS] [job_id[_array_id][.step_id]]"
_EXIT = 1
#: Slurm's error number for an unreachable controller, modulo 256.
_UNREACHABLE_EXIT = 8
_VARIABLES = ("account", "batch", "full", "interactive", "name", "partition", "qos", "state", "user", "wckey")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scancel; return its exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    voice = talk.Voice("scancel")
    try:
        return _run(words, voice)
    except UsageError as error:
        voice.usage_error(error)
    except OptionError as refusal:
        if refusal.plain:
            talk.plain(refusal.plain)
        else:
            voice.error(refusal.lines[0])
    except SluiceError as error:
        client.tell_failure(voice, error)
    except KeyboardInterrupt:
        return talk.INTERRUPTED_EXIT
    return _EXIT


def _run(words: list[str], voice: talk.Voice) -> int:
    found, positionals = TABLE.parse(words)
    for key, _ in found:
        if talk.put_standard_answer("scancel", key, TABLE, _SYNOPSIS):
            return 0
    values = _from_environment(os.environ) | _collected(found)
    voice.is_quiet = "quiet" in values
    voice.verbosity = 1 if "verbose" in values and not voice.is_quiet else 0
    ids = [part for word in positionals for part in _split_ids(word)]
    request: dict[str, Any] = {"ids": ids, **read_filters(values)}
    if not ids and not FILTER_KEYS & values.keys():
        raise OptionError("No job identification provided")
    if "interactive" in values:
        from sluice_cli.scancel_ask import confirmed_ids

        return _kill({**request, "ids": confirmed_ids(request, voice)}, values, voice)
    return _kill(request, values, voice)


def _kill(request: dict[str, Any], values: Mapping[str, str], voice: talk.Voice) -> int:
    if "interactive" in values and not request["ids"]:
        return 0
    is_selected_here = not FILTER_KEYS & values.keys()
    if is_selected_here:
        for job in request["ids"]:
            tell_plan(voice, request, job)
    try:
        # To end a job twice is to end it; a signal that is sent twice comes twice.
        reply = client.call("KillJobs", request) if request.get("signal") else _call_patiently(request, voice)
        outcomes = reply.get("outcomes", [])
    except Unreachable as error:
        return _tell_unreachable(error, request, voice)
    if not is_selected_here:
        for outcome in outcomes:
            if not outcome.get("code"):
                tell_plan(voice, request, outcome["id"])
        if not outcomes:
            voice.verbose(f"error: No active jobs match ALL job filters, including: {filters_text(values)}")
    # Without a filter, a signal or a batch shell that is meant, an id that is gone is what was wanted.
    is_strict = not is_selected_here or bool(request.get("signal") or request.get("batch_only"))
    return max((tell_outcome(voice, outcome, is_strict) for outcome in outcomes), default=0)


def _call_patiently(request: dict[str, Any], voice: talk.Voice) -> dict[str, Any]:
    reply: dict[str, Any] = client.call_patiently("KillJobs", request, voice)
    return reply


def _tell_unreachable(error: Unreachable, request: dict[str, Any], voice: talk.Voice) -> int:
    if not request["ids"]:
        talk.plain(f"slurm_load_jobs error: {client.sentence(error)}")
        return _EXIT
    for job in request["ids"]:
        voice.error(f"Kill job error on job id {job}: {client.sentence(error)}")
    return _UNREACHABLE_EXIT


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    values = {
        key: environment["SCANCEL_" + key.upper()] for key in _VARIABLES if "SCANCEL_" + key.upper() in environment
    }
    if environment.get("SCANCEL_VERBOSE", "0") not in ("", "0"):
        values["verbose"] = ""
    return values


def _collected(found: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    """Return the options' values; repeated filters add up."""
    values: dict[str, str] = {}
    for key, value in found:
        if key in values and key in FILTER_KEYS and value:
            values[key] = f"{values[key]},{value}"
        else:
            values[key] = value or ""
    return values


def _split_ids(word: str) -> list[str]:
    """Return the ids of a word, checked: 1,2_[3-4],5.0."""
    try:
        return [jobid_spec.format_spec(spec) for spec in jobid_spec.parse_list(word)]
    except InvalidRequest:
        raise OptionError(f"Invalid job id {word}") from None


if __name__ == "__main__":
    sys.exit(main())
