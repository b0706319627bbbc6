"""srun --bcast: the executable is put on the step's nodes, and run from there."""

from __future__ import annotations

import os

from sluice_cli import broadcast
from sluice_cli.draft import REFUSED_EXIT, OptionError
from sluice_cli.environment import current_folder
from sluice_cli.sbcast import read_manner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice_cli.draft import Draft
    from sluice_cli.srun_launch import NodeLink
    from sluice_cli.step_maker import StepMaker
    from sluice_cli.talk import Voice


class Program:
    """The executable on the nodes.  names_node: each node has it under a name of its own."""

    def __init__(self, path: str, names_node: bool, libraries: str) -> None:
        self._path = path
        self._names_node = names_node
        self._libraries = libraries

    def place(self, links: Sequence[NodeLink]) -> None:
        """Have each node run the program that it has."""
        for link in links:
            name = f"{self._path}_{link.node}" if self._names_node else self._path
            link.body = {**link.body, "argv": [name, *link.body["argv"][1:]]}
            if self._libraries:
                link.body["environment"] = with_library_path(link.body["environment"], os.fsencode(self._libraries))


def send(step_id: str, maker: StepMaker, draft: Draft, program: str, voice: Voice) -> Program:
    """Send the executable to the nodes of the step, which *maker* has made.  Raises OptionError."""
    options = {
        name: draft.other[key]
        for name, key in (("compress", "compress"), ("exclude", "bcast-exclude"), ("send-libs", "send-libs"))
        if key in draft.other
    }
    manner = read_manner({key: value or None for key, value in options.items()})
    manner.is_forced = True
    path, names_node = _place(draft.other["bcast"], step_id, program)
    source = broadcast.Source(_find(program))
    try:
        status = broadcast.send_all(
            source, path, broadcast.grant(step_id, maker.call), manner, voice, names_node=names_node
        )
    finally:
        source.close()
    if status:
        raise OptionError(f"Failed to broadcast `{program}` as {path}", exit_code=REFUSED_EXIT)
    return Program(path, names_node, broadcast.libraries_folder(path) if manner.sends_libraries else "")


def with_library_path(variables: Sequence[bytes], folder: bytes) -> list[bytes]:
    """Return NAME=value strings with *folder* first in LD_LIBRARY_PATH."""
    name = b"LD_LIBRARY_PATH="
    known = [each[len(name) :] for each in variables if each.startswith(name)]
    kept = [each for each in variables if not each.startswith(name)]
    return [*kept, name + b":".join([folder, *filter(None, known)])]


def _place(wanted: str, step_id: str, program: str) -> tuple[str, bool]:
    """Return where the program goes, and whether the node's name is added."""
    if not wanted:
        return os.path.join(current_folder(), f"slurm_bcast_{step_id}"), True
    path = os.path.abspath(wanted)
    if wanted.endswith("/") or os.path.isdir(path):
        path = os.path.join(path, os.path.basename(program))
    return path, False


def _find(name: str) -> str:
    if "/" in name:
        return name
    for folder in os.environ.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise OptionError(f"--bcast: {name} is not found in PATH", exit_code=REFUSED_EXIT)
