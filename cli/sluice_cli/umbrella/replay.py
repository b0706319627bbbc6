"""sluice replay: a workload trace, once more, on virtual time.  The work is the controller's, run as a program."""

from __future__ import annotations

import click

from sluice_cli.umbrella.options import exit_as_controller_program


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="Replay a workload trace on virtual time and tell how its jobs fared.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> None:
    """Hand every word of the command line, --help too, to the program: its options are its own."""
    exit_as_controller_program("sluicectld.replay", words)
