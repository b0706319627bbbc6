"""The nodes below this one in the tree of a broadcast: each is sent what comes, and says what came of it.

A node that cannot be reached does not cut off those that it was to pass the file on to: the next of them takes its
place.  One that is lost later takes its part of the tree with it, which is told of each node.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from msgspec.structs import replace

from sluice import fanout
from sluice.errors import SluiceError, Unreachable
from sluice.wire.messages import FileProblem, FileReady, FileTaken, FileTarget, TakeFile
from sluiced.files.peer import FilePeer, Kind

_CONNECT_DEADLINE_S = 10.0


class _Branch:
    """One child, first of *nodes*, with those below it.  wait_s: for each of its answers."""

    def __init__(self, peer: FilePeer, nodes: list[str], wait_s: float) -> None:
        self.peer = peer
        self.nodes = nodes
        self.wait_s = wait_s


class PassingOn:
    """problems: of the nodes below, so far.  count: those that have the file."""

    def __init__(self, request: TakeFile) -> None:
        self.problems: list[FileProblem] = []
        self.count = 0
        self._request = request
        self._branches: list[_Branch] = []

    def open(self) -> None:
        """Reach the children, and return once all nodes below are ready or are known not to be."""
        request = self._request
        width = request.fanout or fanout.WIDTH_DEFAULT
        for group in fanout.split(request.targets, width):
            while group:
                head, *group = group
                if self._reach(head, group):
                    break
        for branch in list(self._branches):
            ready = self._receive(branch, FileReady)
            if ready is not None:
                self._add(ready.problems)

    def pass_on(self, payload: bytes | memoryview) -> None:
        for branch in list(self._branches):
            try:
                branch.peer.pass_on(payload)
            except Unreachable as error:
                self._lose(branch, str(error))

    def collect(self) -> None:
        """Wait for what came of it below."""
        for branch in list(self._branches):
            taken = self._receive(branch, FileTaken)
            if taken is not None:
                self.count += taken.count
                self._add(taken.problems)
                branch.peer.close()

    def _reach(self, head: FileTarget, rest: list[FileTarget]) -> bool:
        request = self._request
        try:
            connection = socket.create_connection((head.address, head.port), _CONNECT_DEADLINE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = FilePeer(connection, request.timeout_s)
            peer.introduce(request.credential, replace(request, node=head.node, targets=tuple(rest)))
        except (OSError, SluiceError) as error:
            self._add([FileProblem(node=head.node, text=f"cannot be reached: {error}")])
            return False
        # Each level below has to have its own patience before ours ends.
        levels = 1 + len(rest).bit_length()
        self._branches.append(_Branch(peer, [head.node, *(each.node for each in rest)], request.timeout_s * levels))
        return True

    def _receive(self, branch: _Branch, kind: type[Kind]) -> Kind | None:
        try:
            return branch.peer.receive_as(kind, branch.wait_s)
        except SluiceError as error:
            self._lose(branch, str(error))
            return None

    def _lose(self, branch: _Branch, why: str) -> None:
        self._branches.remove(branch)
        branch.peer.close()
        head = branch.nodes[0]
        self._add(FileProblem(node=node, text=why if node == head else f"{head}: {why}") for node in branch.nodes)

    def _add(self, problems: Iterable[FileProblem]) -> None:
        """Keep the first problem of each node."""
        known = {problem.node for problem in self.problems}
        self.problems += [problem for problem in problems if problem.node not in known]
