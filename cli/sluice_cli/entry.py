"""The programs that are installed: a name here (`sluice_cli.entry:squeue`) is main() of the module of that name."""

from __future__ import annotations

import atexit
import os
import sys

from sluice.start import run_main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Programs whose module has another name.
_MODULES = {"sluice": "main"}


def __getattr__(name: str) -> Callable[[], int | None]:
    if name.startswith("_"):
        raise AttributeError(name)
    return lambda: _run(f"sluice_cli.{_MODULES.get(name, name)}")


def _run(module: str) -> int | None:
    """Run the command; return its status where the interpreter has more to do than to go."""
    status = run_main(module)
    if "threading" not in sys.modules and not atexit._ncallbacks() and (status is None or isinstance(status, int)):
        _leave(status or 0)
    return status


def _leave(status: int) -> None:
    """End the process now: taking the interpreter down piece by piece costs a short command a seventh of its time.

    Output that cannot be written is for the interpreter to tell.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(status & 0xFF)
