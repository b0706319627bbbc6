"""What a user's command says of a launch or a file that no kernel call takes: refused in a sentence before it begins.

srun and sbcast send none of it; whoever speaks to the agent himself may.  Pure.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from sluice.errors import InvalidRequest
from sluice.wire.messages import FileTarget, PeerAddress, TakeFile, TaskLaunch

_UMASK_MAX = 0o7777
_TERMINAL_MAX = 0xFFFF
_PORT_MAX = 0xFFFF
#: Source: RFC 1035, 2.3.4; a label has no more.
_ADDRESS_MAX = 253
_LABEL_MAX = 63
#: Of a point in time, in seconds; the year 10889.
_TIME_MAX_S = 2**48 // 1000
_LIMIT_RANGE = (-1, 2**63 - 1)


def check_launch(request: TaskLaunch) -> None:
    """Raise InvalidRequest unless all of it can be given to the kernel."""
    texts = {
        "the program or its arguments": request.argv,
        "the working directory": (request.work_dir,),
        "the task prolog or epilog": (request.task_prolog, request.task_epilog),
        "a file of stdin, stdout or stderr": (request.std_in, request.std_out, request.std_err),
        "the configuration of --multi-prog": (request.multi_prog,),
    }
    for what, values in texts.items():
        if any("\0" in value for value in values):
            raise InvalidRequest(f"{what} has a NUL in it")
    if any(b"\0" in entry for entry in (*request.environment, *request.own_environment)):
        raise InvalidRequest("the environment has a NUL in it")
    _check_number("umask", request.umask, 0, _UMASK_MAX)
    for size in request.pty_size:
        _check_number("terminal size", size, 0, _TERMINAL_MAX)
    for name, *limits in request.rlimits:
        for value in limits:
            _check_number(f"resource limit {name[:_LABEL_MAX]}", value, *_LIMIT_RANGE)
    _check_addresses(request.peers)


def check_file(request: TakeFile) -> None:
    """Raise InvalidRequest unless all of it can be given to the kernel."""
    if not os.path.isabs(request.path) or "\0" in request.path:
        raise InvalidRequest(f"{request.path!r} is not an absolute path")
    for seconds in request.times or ():
        _check_number("time of the file", seconds, -_TIME_MAX_S, _TIME_MAX_S)
    _check_number("size of the file", request.size, 0, _LIMIT_RANGE[1])
    _check_number("timeout", request.timeout_s, 0, _TIME_MAX_S)
    _check_addresses(request.targets)


def _check_addresses(places: Iterable[PeerAddress | FileTarget]) -> None:
    for place in places:
        _check_number("port", place.port, 1, _PORT_MAX)
        if not _is_address(place.address):
            raise InvalidRequest(f"{place.address[:_LABEL_MAX]!r} is no address of a node")


def _is_address(text: str) -> bool:
    labels = text.removesuffix(".").split(".")
    is_short = len(text) <= _ADDRESS_MAX and all(0 < len(label) <= _LABEL_MAX for label in labels)
    return is_short and text.isascii() and "\0" not in text


def _check_number(what: str, value: float, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidRequest(f"{what} {value} is not within {low} and {high}")
