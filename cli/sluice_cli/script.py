"""The batch script: where it comes from, what it must look like, and the directives in it.

A script comes from a file (looked for in PATH too), from standard input, or from --wrap.  Directives are lines that
start exactly with #SBATCH, before the first line that is neither blank nor a comment.

Source: CONTRACT.md section 2.4 (script rules); the messages are recorded ones.
"""

from __future__ import annotations

import errno
import os

from sluice.errors import InvalidRequest
from sluice_cli.draft import REFUSED_EXIT, OptionError
from sluice_cli.getopt import PlacedOption, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sluice_cli.getopt import OptionTable

SIZE_MAX = 4 * 1024 * 1024
_PREFIX = b"#SBATCH"
_NO_SCRIPT = (
    "This does not look like a batch script.  The first",
    "line must start with #! followed by the path to an interpreter.",
    "For instance: #!/bin/sh",
)
#: Directives that begin the next component of a heterogeneous job; the second is the old word.
_SEPARATORS = ("hetjob", "packjob")


def wrap(command: str) -> bytes:
    """Return the script that --wrap makes of a command."""
    body = os.fsencode(command)
    return b"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n" + body + b"\n"


def find(name: str) -> str:
    """Return the path of the script *name*: as it is, or found in PATH.  Raises OptionError."""
    cause = errno.ENOENT
    try:
        os.stat(name)
        return os.path.abspath(name)
    except OSError as error:
        cause = error.errno or cause
    if "/" not in name:
        for folder in os.environ.get("PATH", "").split(":"):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and os.access(path, os.R_OK):
                return path
    where = "" if "/" in name or cause != errno.ENOENT else ", neither here nor in PATH"
    raise OptionError(f"Unable to open file {name}: {os.strerror(cause)}{where}", exit_code=REFUSED_EXIT)


def read(name: str | None) -> bytes:
    """Return the content of the script file *name*, of standard input for None.  Raises OptionError."""
    try:
        descriptor = 0 if name is None else os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise OptionError(f"Unable to open file {name}: {error.strerror}", exit_code=REFUSED_EXIT) from None
    try:
        return _read_all(descriptor)
    except IsADirectoryError:
        # Slurm's words, which alone would be a riddle.
        what = f"{name} is a directory, expected a file"
        raise OptionError(what, "Batch script is empty!", exit_code=REFUSED_EXIT) from None
    finally:
        if descriptor:
            os.close(descriptor)


def _read_all(descriptor: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while size <= SIZE_MAX:
        try:
            chunk = os.read(descriptor, 256 * 1024)
        except IsADirectoryError:
            raise
        except OSError:
            # A closed stdin: there is no script.
            break
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def check(script: bytes) -> None:
    """Raise OptionError for what is no batch script, InvalidRequest for one that is too long."""
    if not script:
        raise OptionError("Batch script is empty!", exit_code=REFUSED_EXIT)
    if not script.startswith(b"#!"):
        raise OptionError(*_NO_SCRIPT, exit_code=REFUSED_EXIT)
    if b"\0" in script:
        raise OptionError(
            "The Slurm controller does not allow scripts that",
            "contain a NULL character '\\0'.",
            exit_code=REFUSED_EXIT,
        )
    if b"\r\n" in script:
        raise OptionError(
            "Batch script contains DOS line breaks (\\r\\n)",
            "instead of expected UNIX line breaks (\\n).",
            exit_code=REFUSED_EXIT,
        )
    if len(script) > SIZE_MAX:
        raise InvalidRequest(f"the script has more than {SIZE_MAX} bytes", code="too_long")


def directives(script: bytes, table: OptionTable, name: str) -> list[list[tuple[str, str | None]]]:
    """Return the options of the script's directives, in order, a list for each component.

    name: for messages.  Raises OptionError or UsageError.
    """
    components: list[list[tuple[str, str | None]]] = [[]]
    for number, text in _directive_lines(script):
        where = f"{name}: line {number}: {_PREFIX.decode()}{text.rstrip()}"
        try:
            line_found, positionals = table.parse(_split(text, number, name))
        except UsageError as error:
            error.where = where
            raise
        components[-1] += [PlacedOption(key, value, where) for key, value in line_found]
        if positionals and positionals[0] in _SEPARATORS:
            components.append([])
        elif positionals:
            raise OptionError(where, f"Invalid directive found in batch script: {positionals[0]}")
    return components


def _split(text: str, number: int, name: str) -> list[str]:
    from sluice import shell_words

    try:
        return shell_words.split(text)
    except InvalidRequest as error:
        mark = error.message[-1:]
        raise OptionError(
            f"{name}: line {number}: Unmatched `{mark}` in [{text.strip()}]", exit_code=REFUSED_EXIT, is_fatal=True
        ) from None


def _directive_lines(script: bytes) -> Iterator[tuple[int, str]]:
    """Give (line number, text after #SBATCH) of each directive."""
    start = 0
    number = 0
    while start < len(script):
        end = script.find(b"\n", start)
        end = len(script) if end < 0 else end
        line = script[start:end]
        start = end + 1
        number += 1
        if line.startswith(_PREFIX):
            yield number, line[len(_PREFIX) :].decode("utf-8", "surrogateescape")
        elif line.strip() and not line.lstrip().startswith(b"#"):
            return
