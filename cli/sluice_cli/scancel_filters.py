"""scancel's filters: from options to the fields of KillJobs."""

from __future__ import annotations

import os

from sluice.errors import InvalidRequest
from sluice_cli.draft import OptionError
from sluice_cli.job_states import long_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: Options that select jobs.
FILTER_KEYS = frozenset(
    ("account", "me", "name", "nodelist", "partition", "qos", "reservation", "state", "user", "wckey")
)
_FIELDS = {
    "account": "accounts",
    "name": "names",
    "partition": "partitions",
    "qos": "qos",
    "reservation": "reservations",
    "wckey": "wckeys",
}
_TEXT_NAMES = {"name": "job_name", "nodelist": "nodelist", "user": "user_name"}


def read_filters(values: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of KillJobs that the options set.  Raises OptionError."""
    request: dict[str, Any] = {}
    for key, field in _FIELDS.items():
        if key in values:
            request[field] = _words(values[key])
    if "user" in values or "me" in values:
        request["users"] = [*map(_user_name, _words(values.get("user", "")))]
        if "me" in values:
            request["users"] = [_user_name(str(os.getuid()))]
    if "state" in values:
        request["states"] = [*map(_state, _words(values["state"]))]
    if "nodelist" in values:
        request["nodes"] = _nodes(values["nodelist"])
    if "signal" in values:
        request["signal"] = _signal(values["signal"])
    if "batch" in values:
        request["batch_only"] = True
    if "full" in values:
        request["full"] = True
    return request


def filters_text(values: Mapping[str, str]) -> str:
    """Return the filters as scancel -v names them: `job_name=x state=PENDING `."""
    parts = []
    for key in sorted(FILTER_KEYS & values.keys(), key=lambda each: (each == "state", each)):
        value = values[key]
        if key == "state":
            value = ",".join(map(long_name, _words(value)))
        parts.append(f"{_TEXT_NAMES.get(key, key)}={value} ")
    return "".join(parts)


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _user_name(word: str) -> str:
    import pwd

    try:
        return pwd.getpwuid(int(word)).pw_name if word.isdigit() else pwd.getpwnam(word).pw_name
    except (KeyError, OverflowError):
        raise OptionError(f"Invalid user name: {word}") from None


def _state(word: str) -> str:
    state = long_name(word)
    if not state:
        text = f"Invalid job state specified: {word}\nValid job states are PENDING, RUNNING, and SUSPENDED"
        raise OptionError("", plain=text)
    return state


def _nodes(text: str) -> list[str]:
    from sluice import hostlist

    try:
        return hostlist.expand(text)
    except InvalidRequest as error:
        raise OptionError(error.message) from None


def _signal(word: str) -> int:
    from sluice import signal_spec

    try:
        return signal_spec.parse_number(word)
    except InvalidRequest:
        # A number that is no signal is the controller's to refuse; here any small one passes, as in Slurm.
        if word.isdigit() and 0 < int(word[:4]) < 128:
            return int(word)
        raise OptionError("", plain=f"Unknown job signal: {word}") from None
