"""Where programs begin: quiet for Ctrl-C from the first import to the end.

Until a program's module is loaded, and once it is done, SIGINT ends the process as the system does, without an
interpreter's traceback; in between it raises KeyboardInterrupt, or what the program makes of it.  Ignored, it stays so.
A light module: every command imports it first.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SIGINT = 2
#: As a shell tells of a program that SIGINT has ended.
_INTERRUPTED_EXIT = 130


def run_main(module: str) -> int | None:
    """Load *module* and return the exit status of its main()."""
    if _signal.getsignal(_SIGINT) is not _signal.default_int_handler:
        return _main_of(module)()
    _signal.signal(_SIGINT, _signal.SIG_DFL)
    main = _main_of(module)
    try:
        _signal.signal(_SIGINT, _signal.default_int_handler)
        return main()
    except KeyboardInterrupt:
        return _INTERRUPTED_EXIT
    finally:
        _signal.signal(_SIGINT, _signal.SIG_DFL)


def _main_of(module: str) -> Callable[[], int | None]:
    main: Callable[[], int | None] = __import__(module, fromlist=["main"]).main
    return main
