"""Host files: the nodes that -w /FILE, -F FILE and SLURM_HOSTFILE=FILE name, in the order of the file.

    line   = [ entry { "," entry } ] [ "#" anything ]     the first character begins a name or a comment
    entry  = hostlist [ "*" number ]                      so many times over, as a list for tasks has it

Source: Slurm 22.05, observed.  It also reads a pipe, as `-w <(program)` makes one; here one has a deadline.
"""

from __future__ import annotations

import os
import select

from sluice import hostlist
from sluice.errors import InvalidRequest
from sluice_cli.draft import REFUSED_EXIT, OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZE_MAX = 4 * 1024 * 1024
_PIECE_SIZE = 64 * 1024
#: A pipe says something, or ends, within so long.
PIPE_WAIT_S = 10.0


def read_names(path: str) -> list[str]:
    """Return the nodes that the file names, at least one.

    Raises OptionError for what is no host file, InvalidRequest as the controller refuses a name.
    """
    names: list[str] = []
    for entry, times in _entries(path, _read(path)):
        if len(names) + times * _count(entry) > hostlist.NAMES_MAX:
            raise _refusal(f"{path} names more than {hostlist.NAMES_MAX} nodes")
        names += hostlist.expand(entry) * times
    if not names:
        raise _refusal(f"{path} names no node", "Hostlist is empty!")
    return names


def _read(path: str) -> str:
    content = b""
    try:
        # The open does not wait for a pipe's writer: select does, for as long as is bearable.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
            while select.select([file], [], [], PIPE_WAIT_S)[0]:
                piece = file.read(_PIECE_SIZE)
                if not piece:
                    return content.decode(errors="surrogateescape")
                content += piece
                if len(content) > _SIZE_MAX:
                    raise _refusal(f"{path} is larger than {_SIZE_MAX} bytes, no list of nodes is")
    except OSError as error:
        raise _refusal(f"slurm_allocate_resources error opening file {path}, {error.strerror}") from None
    raise _refusal(f"nothing came from {path} for {PIPE_WAIT_S:g} s")


def _entries(path: str, content: str) -> Iterator[tuple[str, int]]:
    """Yield each hostlist of the file with how often it counts."""
    for number, line in enumerate(content.split("\n"), 1):
        names = line.partition("#")[0].removesuffix("\r").replace("\t", " ")
        if names and (names[0] in " ,*" or not names.isprintable()):
            where = path if "/" in path else f"./{path}"
            words = f"{path}: each line begins with the name of a node or with #"
            raise _refusal(words, f"Invalid hostfile {where} contents on line {number}")
        for entry in hostlist.split_entries("*".join(part.strip() for part in names.split("*"))):
            name, _, times = entry.rpartition("*")
            if name and times.isascii() and times.isdigit() and len(times) < 10 and int(times):
                yield name, int(times)
            else:
                yield entry, 1


def _count(entry: str) -> int:
    try:
        return hostlist.count(entry)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, code="invalid_node") from None


def _refusal(*lines: str) -> OptionError:
    return OptionError(*lines, exit_code=REFUSED_EXIT)
