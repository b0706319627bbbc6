"""What a command says: data to stdout, talk to stderr, each line under the program's name.

    voice = Voice("sbatch")
    voice.error("Invalid --time specification")     sbatch: error: Invalid --time specification
    voice.info("Pending job allocation 4")          sbatch: Pending job allocation 4     (not when quiet)

Both go out as bytes at once, so that talk and data keep their order on a terminal.

Invariant: what cannot be said on stderr stops nothing, for the command may hold a job; data that cannot be written
to stdout end it, with a line that says so.
Source: CONTRACT.md sections 1 and 15.
"""

from __future__ import annotations

import os
import sys

from sluice import SLURM_VERSION
from sluice.standard_streams import LOST_EXIT, discard_output, lost, open_closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.getopt import OptionTable, UsageError

#: The exit status of a wrong command line, where a command does not say otherwise.
USAGE_EXIT = 255
#: The exit status after Ctrl-C, where the command has nothing to give back.
INTERRUPTED_EXIT = 130


class Voice:
    """The stderr of one program.

    verbosity: 0 plain, counts -v; is_quiet: informational lines are left out.
    """

    def __init__(self, program: str) -> None:
        self.program = program
        self.verbosity = 0
        self.is_quiet = False

    def error(self, text: str) -> None:
        self.lines(f"error: {text}")

    def fatal(self, text: str) -> None:
        self.lines(f"fatal: {text}")

    def info(self, text: str) -> None:
        if not self.is_quiet:
            self.lines(text)

    def verbose(self, text: str) -> None:
        if self.verbosity > 0:
            self.lines(text)

    def lines(self, text: str) -> None:
        """Write one line to stderr after the program's name."""
        plain(f"{self.program}: {text}")

    def usage_error(self, error: UsageError) -> None:
        """Say what getopt_long says of a command line it refuses."""
        if error.where:
            self.error(error.where)
        plain(f'{self.program}: {error}\nTry "{self.program} --help" for more information')


def plain(text: str) -> None:
    """Write *text* and a newline to stderr, if somebody hears it."""
    try:
        _write(2, text + "\n")
    except OSError:
        return


def put(text: str, done: str = "") -> None:
    """Write *text* to stdout as it is.  A reader that went away ends the command silently.

    done: what stands although it could not be told ("job 7 is submitted").
    """
    try:
        _write(1, text)
    except BrokenPipeError:
        discard_output()
        raise SystemExit(0) from None
    except OSError as error:
        program = os.path.basename(sys.argv[0])
        plain(f"{program}: error: {done}{'; ' if done else ''}{lost(error)}")
        raise SystemExit(LOST_EXIT) from None


def put_version() -> None:
    put(f"slurm {SLURM_VERSION}\n")


def put_standard_answer(program: str, key: str, table: OptionTable, synopsis: str) -> bool:
    """Answer --version, --help and --usage on stdout; tell whether *key* was one of them."""
    if key == "version":
        put_version()
        return True
    if key in ("help", "usage"):
        from sluice_cli import help_text

        make = help_text.long_help if key == "help" else help_text.usage
        put(make(program, table, synopsis))
        return True
    return False


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of *data*, waiting where somebody made the descriptor non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            import select

            poller = select.poll()
            poller.register(descriptor, select.POLLOUT)
            poller.poll()


def _write(descriptor: int, text: str) -> None:
    if descriptor == 1 and sys.stdout is not None:
        sys.stdout.flush()
    write_all(descriptor, os.fsencode(text) if text.isascii() else text.encode("utf-8", "surrogateescape"))


# At import, since every command says something and none has opened anything yet.
open_closed()
