"""What scancel says: what it is about to do (-v), and what could not be done."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.talk import Voice

_GONE_CODES = ("unknown", "ended")
_UNKNOWN = "Invalid job id specified"
_DENIED = "Access/permission denied"
#: Slurm's error number for a refused user, modulo 256.
_DENIED_EXIT = 210
#: Likewise for a component that is not to be ended alone.
_COMPONENT_EXIT = 60


def tell_plan(voice: Voice, request: dict[str, Any], job: str) -> None:
    kind = "step" if "." in job else "job"
    signal = request.get("signal")
    if not signal:
        voice.verbose(f"Terminating {kind} {job}")
        return
    scope = "batch " if request.get("batch_only") else "full " if request.get("full") else ""
    voice.verbose(f"Signal {signal} to {scope}{kind} {job}")


def tell_outcome(voice: Voice, outcome: dict[str, Any], is_strict: bool) -> int:
    """Say what went wrong with one job; return its part of the exit status."""
    code = outcome.get("code", "")
    if not code:
        return 0
    job = outcome["id"]
    is_step = "." in job
    what = f"Kill job error on job {'step ' if is_step else ''}id {job}"
    if code == "not_permitted":
        voice.error(f"{what}: {_DENIED}")
        return _DENIED_EXIT
    if code in _GONE_CODES and not is_strict and not is_step:
        voice.verbose(f"error: {what}: {outcome.get('message') or _UNKNOWN}")
        return 0
    if code == "component":
        voice.error(f"{what}: {outcome['message']}")
        return _COMPONENT_EXIT
    text = _UNKNOWN if is_strict and code in _GONE_CODES else outcome.get("message") or _UNKNOWN
    voice.error(f"{what}: {text}")
    return 1
