"""A file on its way to the nodes of a job (sbcast): from the command to a few agents, from each to a few more.

The connection after TakeFile, all NOTICEs: downwards FileData in order, then FileEnd; upwards FileReady once, before
which no data may be sent, then FileTaken, the last.
"""

from .base import Message


class FileTarget(Message, frozen=True, kw_only=True):
    """One node that is to have the file, and where its agent listens."""

    node: str
    address: str
    port: int


class TakeFile(Message, frozen=True, kw_only=True):
    """The file, and the nodes that this one passes it on to.

    names_node: "_NODE" is added to the path.  times: (access, modification), kept with the mode if given.
    makes_folder: the last folder of the path is made.  timeout_s: for each thing that is waited for.
    """

    credential: str
    node: str
    path: str
    size: int
    mode: int = 0o700
    times: tuple[float, float] | None = None
    is_forced: bool = False
    names_node: bool = False
    makes_folder: bool = False
    targets: tuple[FileTarget, ...] = ()
    fanout: int = 0
    timeout_s: float = 60.0


class FileProblem(Message, frozen=True, kw_only=True):
    """Why a node does not have the file.  number: an errno, 0 where there is none."""

    node: str
    text: str
    number: int = 0


class FileReady(Message, frozen=True, kw_only=True):
    """This node and those below it can take data, but for those with problems."""

    problems: tuple[FileProblem, ...] = ()


class FileData(Message, frozen=True, kw_only=True):
    """The next bytes, as a zlib stream of their own if is_compressed."""

    data: bytes
    is_compressed: bool = False


class FileEnd(Message, frozen=True, kw_only=True):
    """That was all.  digest: SHA-256 of the whole file, in hexadecimal."""

    digest: str


class FileTaken(Message, frozen=True, kw_only=True):
    """What came of it here and below.  count: nodes that have the whole file."""

    count: int
    problems: tuple[FileProblem, ...] = ()
