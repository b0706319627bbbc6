"""Structured output: an object with meta, errors, warnings and a list named after the entity.

The shape is described in docs/json.md: keys are only ever added.  YAML is asked for with the same option; JSON is
YAML too, so it gets the same text.
"""

from __future__ import annotations

import sys

from sluice import SLURM_VERSION
from sluice_cli import talk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Map = dict[str, Any]

DATA_PARSER = "data_parser/v0.0.42"


def put(values: dict[str, str], name: str, objects: list[Map], more: Map | None = None) -> int:
    """Print *objects* as the list *name*; return the exit status."""
    # The standard library indents ten thousand jobs in seconds.
    import msgspec

    document = {name: objects, **(more or {}), "meta": _meta(), "errors": [], "warnings": []}
    talk.put(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
    return 0


def number(value: float | None, is_infinite: bool = False) -> Map:
    """Return a number that may be unset or without limit."""
    return {"set": value is not None, "infinite": is_infinite, "number": 0 if value is None else value}


def time_point(at: float | None) -> Map:
    """Return a point in time in whole seconds since the epoch."""
    return number(None if at is None else int(at))


def minutes(limit_s: int | None, is_infinite: bool = False) -> Map:
    """Return a limit in minutes, rounded up."""
    return number(None if limit_s is None else -(-limit_s // 60), is_infinite)


def exit_code(code: int, signal: int) -> Map:
    """Return how something ended."""
    from sluice_cli.job_text import signal_text

    status = "SIGNALED" if signal else ("ERROR" if code else "SUCCESS")
    return {
        "status": [status],
        "return_code": number(code),
        "signal": {"id": number(signal or None), "name": signal_text(signal) if signal else ""},
    }


def _meta() -> Map:
    import os

    major, minor, micro = SLURM_VERSION.split(".")
    return {
        "plugin": {"type": "", "name": "", "data_parser": DATA_PARSER, "accounting_storage": ""},
        "client": {"source": "", "user": os.environ.get("USER", ""), "group": ""},
        "command": sys.argv,
        "slurm": {
            "version": {"major": major, "minor": minor, "micro": micro},
            "release": SLURM_VERSION,
            "cluster": _cluster(),
        },
    }


def _cluster() -> str:
    from sluice.errors import ConfigError
    from sluice_cli import client

    try:
        return client.find_endpoints().cluster_name
    except ConfigError:
        return ""
