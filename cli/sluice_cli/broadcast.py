"""Sending a file to the nodes of a job: to a few agents, which pass it on to the others (sluice/wire/bodies/files.py).

A file is there whole, under its name at once, or not at all; each node compares the checksum of what it wrote.
"""

from __future__ import annotations

import hashlib
import os
import time

from sluice import fanout
from sluice.errors import PeerError, RequestError, SluiceError
from sluice.wire import light
from sluice.wire.faults import error_from
from sluice.wire.framing import CONNECTION_ID, ERROR, NOTICE
from sluice_cli import client
from sluice_cli.draft import OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from sluice.wire.light import LightConnection
    from sluice_cli.talk import Voice

#: What srun and sbcast exit with when the file cannot be read or the job is not there.
REFUSED_EXIT = 255
BLOCK_DEFAULT = 1024 * 1024
BLOCK_MAX = 8 * 1024 * 1024
TIMEOUT_DEFAULT_S = 60


class Manner:
    """How files are sent.  block: bytes of a part; timeout_s: for each thing that is waited for."""

    def __init__(self) -> None:
        self.block = BLOCK_DEFAULT
        self.fanout = 0
        self.timeout_s = TIMEOUT_DEFAULT_S
        self.is_forced = False
        self.is_preserved = False
        self.is_compressed = False
        self.sends_libraries = False
        self.excluded: tuple[str, ...] = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")


class Source:
    """An open file to be sent."""

    def __init__(self, path: str) -> None:
        """Raises OptionError."""
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.facts = os.fstat(self.fd)
            os.pread(self.fd, 1, 0)
        except OSError as error:
            raise OptionError(f"Can't open `{path}`: {error.strerror}", exit_code=REFUSED_EXIT) from None
        self.path = path

    def close(self) -> None:
        os.close(self.fd)


class Branch:
    """One agent that gets the file from here, and the nodes that it passes it on to."""

    def __init__(self, connection: LightConnection, nodes: list[str]) -> None:
        self.connection = connection
        self.nodes = nodes


class Broadcast:
    """One file to all nodes of *granted* (FilesGranted).  problems: (node, text, errno) of those without it."""

    def __init__(self, granted: dict[str, Any], manner: Manner) -> None:
        self._granted = granted
        self._manner = manner
        self._branches: list[Branch] = []
        self.problems: dict[str, tuple[str, int]] = {}
        self.count = 0

    def send(self, source: Source, path: str, names_node: bool = False, makes_folder: bool = False) -> None:
        """Send *source* to be *path* on every node.  A node's failure is a problem, not an exception."""
        facts, manner = source.facts, self._manner
        umask = os.umask(0)
        os.umask(umask)
        request = {
            "credential": self._granted["credential"],
            "path": path,
            "size": facts.st_size,
            "mode": facts.st_mode & 0o7777 if manner.is_preserved else facts.st_mode & 0o777 & ~umask,
            "times": (facts.st_atime, facts.st_mtime) if manner.is_preserved else None,
            "is_forced": manner.is_forced,
            "names_node": names_node,
            "makes_folder": makes_folder,
            "fanout": manner.fanout,
            "timeout_s": float(manner.timeout_s),
        }
        self._reach(request)
        for branch in list(self._branches):
            self._wait(branch, "FileReady")
        # Where no node can take it there is nothing to send; the receivers see our end.
        if len(self.problems) < len(self._granted["addresses"]):
            self._send_parts(source)
            for branch in list(self._branches):
                if taken := self._wait(branch, "FileTaken"):
                    self.count += taken["count"]
        for branch in self._branches:
            branch.connection.close()

    def _reach(self, request: dict[str, Any]) -> None:
        targets = [
            {"node": place["node"]["node"], "address": place["address"], "port": place["port"]}
            for place in self._granted["addresses"]
        ]
        for group in fanout.split(targets, self._manner.fanout or fanout.WIDTH_DEFAULT):
            while group:
                head, *group = group
                body = {**request, "node": head["node"], "targets": group}
                try:
                    connection = light.connect_tcp(head["address"], head["port"], request["credential"])
                    connection.send_request("TakeFile", body)
                except PeerError as error:
                    self.problems[head["node"]] = (str(error), 0)
                    continue
                self._branches.append(Branch(connection, [head["node"], *(each["node"] for each in group)]))
                break

    def _send_parts(self, source: Source) -> None:
        digest = hashlib.sha256()
        offset = 0
        while data := os.pread(source.fd, self._manner.block, offset):
            offset += len(data)
            digest.update(data)
            self._tell_all("FileData", self._part(data))
        self._tell_all("FileEnd", {"digest": digest.hexdigest()})

    def _part(self, data: bytes) -> dict[str, Any]:
        if not self._manner.is_compressed:
            return {"data": data}
        import zlib

        small = zlib.compress(data, 1)
        return {"data": small, "is_compressed": True} if len(small) < len(data) else {"data": data}

    def _tell_all(self, name: str, body: dict[str, Any]) -> None:
        for branch in list(self._branches):
            try:
                branch.connection.send(NOTICE, CONNECTION_ID, name, body, self._manner.timeout_s)
            except SluiceError as error:
                self._lose(branch, client.sentence(error) if isinstance(error, RequestError) else str(error))

    def _wait(self, branch: Branch, name: str) -> dict[str, Any] | None:
        """Return the notice of that name; None: the branch is lost."""
        # Each level of the tree has to have its own patience before ours ends.
        ends_at = time.monotonic() + self._manner.timeout_s * (2 + len(branch.nodes).bit_length())
        try:
            while True:
                kind, _, found, body = branch.connection.receive(max(0.0, ends_at - time.monotonic()))
                if kind == ERROR:
                    raise error_from(str(body.get("code", "")), str(body.get("message", "")))
                if kind == NOTICE and found == name:
                    break
        except SluiceError as error:
            self._lose(branch, str(error))
            return None
        for problem in body.get("problems", ()):
            self.problems.setdefault(problem["node"], (problem["text"], problem.get("number", 0)))
        answer: dict[str, Any] = body
        return answer

    def _lose(self, branch: Branch, why: str) -> None:
        self._branches.remove(branch)
        branch.connection.close()
        head = branch.nodes[0]
        for node in branch.nodes:
            self.problems.setdefault(node, (why if node == head else f"{head}: {why}", 0))


def grant(id: str, call: Callable[[str, object], Any] = client.call) -> dict[str, Any]:
    """Return FilesGranted for a job or a step; call: asks who knows of it.  Raises OptionError."""
    try:
        granted: dict[str, Any] = call("SendFiles", {"id": id})
    except RequestError as error:
        lines = [client.detail(error)] if client.detail(error) else []
        raise OptionError(
            *lines, f"Slurm job {id} lookup error: {client.sentence(error)}", exit_code=REFUSED_EXIT
        ) from None
    return granted


def send_all(source: Source, path: str, granted: dict[str, Any], manner: Manner, voice: Voice, **how: bool) -> int:
    """Send a file, and its shared objects if that is asked; return 0, or the errno of a failure that was told."""
    status = _send(source, path, granted, manner, voice, **how)
    if status == 0 and manner.sends_libraries:
        from sluice_cli import shared_objects

        for library in shared_objects.of_program(source.path, manner.excluded):
            found = Source(library)
            place = os.path.join(libraries_folder(path), os.path.basename(library))
            status = status or _send(found, place, granted, manner, voice, makes_folder=True)
            found.close()
    return status


def libraries_folder(path: str) -> str:
    """Return where the shared objects of the program at *path* go on the nodes."""
    return f"{path}_libs"


def _send(source: Source, path: str, granted: dict[str, Any], manner: Manner, voice: Voice, **how: bool) -> int:
    began = time.monotonic()
    broadcast = Broadcast(granted, manner)
    broadcast.send(source, path, **how)
    for node, (text, _) in sorted(broadcast.problems.items()):
        voice.error(f"REQUEST_FILE_BCAST({node}): {text}")
    lasted_s = time.monotonic() - began
    voice.verbose(f"{source.path}: on {broadcast.count} nodes as {path} in {lasted_s:.3f} s")
    return _status(broadcast.problems.values())


def _status(problems: Iterable[tuple[str, int]]) -> int:
    numbers: Sequence[int] = [number for _, number in problems]
    return max((number or 1 for number in numbers), default=0)
