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
    from collections.abc import Iterator
    from typing import Any

    Map = dict[str, Any]

#: Objects of one write.
_PIECE = 1_000
DATA_PARSER = "data_parser/v0.0.42"


def put(values: dict[str, str], name: str, objects: list[Map], more: Map | None = None) -> int:
    """Print *objects* as the list *name*; return the exit status."""
    talk.put(_document(name, objects, more or {}))
    return 0


def _document(name: str, objects: list[Map], more: Map) -> str:
    # The standard library indents ten thousand jobs in seconds.
    import msgspec

    document = {name: objects, **more, "meta": _meta(), "errors": [], "warnings": []}
    text: str = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    return text + "\n"


def put_stream(values: dict[str, str], name: str, objects: Iterator[Map]) -> int:
    """Print the same as put(), some objects at a time; the first before anything, for it may be a refusal instead."""
    import itertools

    piece = list(itertools.islice(objects, _PIECE))
    following = list(itertools.islice(objects, _PIECE)) if len(piece) == _PIECE else []
    if not following:
        return put(values, name, piece)
    talk.put(f'{{\n  "{name}": [\n{_indented(piece)}')
    while following:
        talk.put(f",\n{_indented(following)}")
        following = list(itertools.islice(objects, _PIECE))
    # What put() prints around an empty list, from its end on.
    talk.put("\n  ]" + _document(name, [], {}).partition("[]")[2])
    return 0


def _indented(objects: list[Map]) -> str:
    """Return the elements of a list as they stand in the document."""
    import msgspec

    text: str = msgspec.json.format(msgspec.json.encode([objects]), indent=2).decode()
    # Between "[\n  [\n" and "\n  ]\n]": two levels deep, as in the document.
    return text[len("[\n  [\n") : -len("\n  ]\n]")]


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
