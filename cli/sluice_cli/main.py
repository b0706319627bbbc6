"""sluice: the umbrella over everything that Slurm has no command for.

A subcommand is a module of sluice_cli.umbrella, imported when it is called.  Exit status: 0 done, 1 refused or
failed, 2 wrong usage.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from sluice import __version__
from sluice.errors import RequestError, SluiceError
from sluice.standard_streams import run_printing
from sluice_cli import client
from sluice_cli.talk import INTERRUPTED_EXIT, Voice, plain

_SUBCOMMANDS = (
    "up",
    "down",
    "status",
    "explain",
    "output",
    "adopt",
    "config",
    "replay",
    "verify",
    "migrate",
    "version",
)


class Umbrella(click.Group):
    """Finds a subcommand by the name of its module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUBCOMMANDS:
            return None
        found: click.Command = importlib.import_module(f"sluice_cli.umbrella.{cmd_name}").command
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Ctrl-C ends a subcommand in silence, as it ends every other command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED_EXIT)


@click.command(cls=Umbrella, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="sluice", message="%(prog)s %(version)s")
def umbrella() -> None:
    """Sluice: a batch scheduler for Linux clusters."""


def main() -> None:
    """Run the subcommand of the command line."""
    try:
        run_printing("sluice", lambda: umbrella(prog_name="sluice"))
    except SluiceError as error:
        _tell(error)
        sys.exit(1)


def _tell(error: SluiceError) -> None:
    voice = Voice("sluice")
    if isinstance(error, RequestError):
        client.tell_failure(voice, error)
        return
    for line in str(error).split("\n"):
        # Indented lines are quoted from a log.
        (plain if line.startswith(" ") else voice.error)(line)


if __name__ == "__main__":
    main()
