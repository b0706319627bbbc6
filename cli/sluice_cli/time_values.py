"""Values of job options that are times, signals, dependencies and arrays."""

from __future__ import annotations

from sluice import duration
from sluice.errors import InvalidRequest
from sluice_cli.draft import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.draft import Draft
    from sluice_cli.option_row import JobOption


def time_limit(draft: Draft, option: JobOption, value: str | None) -> None:
    """Limits are kept in whole minutes; no limit is a request of its own."""
    limit_s = _duration(option, value)
    draft.spec["limit_s"] = limit_s
    draft.spec["is_unlimited"] = limit_s is None


def least_time(draft: Draft, option: JobOption, value: str | None) -> None:
    draft.spec["min_limit_s"] = _duration(option, value)


def delay_boot(draft: Draft, option: JobOption, value: str | None) -> None:
    _duration(option, value)
    draft.other[option.key] = value or ""


def _duration(option: JobOption, value: str | None) -> int | None:
    try:
        limit_s = duration.parse(value or "")
    except InvalidRequest:
        raise invalid(option, value) from None
    return None if limit_s is None else duration.round_up_minutes(limit_s) * 60


def point(draft: Draft, option: JobOption, value: str | None) -> None:
    from sluice import timepoint

    if not value:
        raise invalid(option, value)
    try:
        draft.spec[option.field] = timepoint.parse(value, draft.now_at)
    except InvalidRequest as error:
        raise invalid(option, value, plain=error.message) from None


def immediate(draft: Draft, option: JobOption, value: str | None) -> None:
    """Without a value at once: an allocation that a pass can make is made within a second."""
    seconds = value or "1"
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) < 10):
        raise invalid(option, value)
    draft.spec["immediate_s"] = max(1, int(seconds))


def warn_signal(draft: Draft, option: JobOption, value: str | None) -> None:
    from sluice import signal_spec

    try:
        spec = signal_spec.parse(value or "")
    except InvalidRequest:
        raise invalid(option, value) from None
    draft.spec["warn_signal"] = {
        "number": spec.number,
        "before_s": spec.before_s,
        "to_batch_only": spec.is_batch_only,
        "at_reservation": spec.is_for_reservation,
    }


def kill_command(draft: Draft, option: JobOption, value: str | None) -> None:
    from sluice import signal_spec

    try:
        draft.own["kill-command"] = signal_spec.parse_number(value) if value else 15
    except InvalidRequest:
        raise invalid(option, value) from None


def dependency(draft: Draft, option: JobOption, value: str | None) -> None:
    """Raises InvalidRequest: a malformed dependency is refused as the controller refuses one."""
    from sluice import dependency_spec

    entries, is_any = dependency_spec.parse(value or "")
    terms = [
        {"type": kind, "job_id": job_id, "task_id": task_id, "delay_s": minutes * 60}
        for kind, job_id, task_id, minutes in entries
    ]
    draft.spec["dependency"] = {"terms": terms, "is_any": is_any}


def array(draft: Draft, option: JobOption, value: str | None) -> None:
    """An unreadable throttle is none, which is told.  Raises InvalidRequest as dependency() does."""
    from sluice import array_spec

    indices, percent, text = (value or "").partition("%")
    if not value:
        return
    draft.spec["array"] = array_spec.parse_indices(indices)
    throttle = int(text) if text.isascii() and text.isdigit() else 0
    if percent and not throttle:
        draft.warn(f"--array: '%{text}' limits nothing, expected a number of at least 1 after the %")
    draft.spec["array_throttle"] = throttle
