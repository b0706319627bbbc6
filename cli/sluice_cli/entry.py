"""The programs that are installed: a name here (`sluice_cli.entry:squeue`) is main() of the module of that name."""

from __future__ import annotations

from sluice.start import run_main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Programs whose module has another name.
_MODULES = {"sluice": "main"}


def __getattr__(name: str) -> Callable[[], int | None]:
    if name.startswith("_"):
        raise AttributeError(name)
    return lambda: run_main(f"sluice_cli.{_MODULES.get(name, name)}")
