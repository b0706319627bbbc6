"""The process that takes one file on this node for a job's user, and passes it on to the nodes below.

Forked by the fork server.  Nothing is kept in memory but the part at hand: while this disk or a node below is slow, the
parts stay in the sender's socket.
"""

from __future__ import annotations

import logging
import os
import socket

from sluice.errors import SluiceError
from sluice.wire.envelope import decode_body
from sluice.wire.messages import FileData, FileEnd, FileReady, FileTaken, TakeFile
from sluiced.files.landing import Landing
from sluiced.files.order import read_order
from sluiced.files.passing_on import PassingOn
from sluiced.files.peer import FilePeer
from sluiced.steps.user import become, load_user

logger = logging.getLogger(__name__)

_UMASK = 0o077


def run_receiver(order_fd: int, connection: socket.socket) -> None:
    """Take the file of the order as its user."""
    order = read_order(order_fd)
    become(load_user(order.uid, order.gid, order.user))
    os.umask(_UMASK)
    take_file(order.request, connection)


def take_file(request: TakeFile, connection: socket.socket) -> None:
    """Take one file from *connection*; its sender's end ends it, and leaves nothing behind."""
    parent = FilePeer(connection, request.timeout_s)
    landing, below = Landing(request), PassingOn(request)
    try:
        landing.open()
        below.open()
        own = (landing.problem,) if landing.problem is not None else ()
        parent.notify(FileReady(problems=(*own, *below.problems)))
        _transfer(request, parent, landing, below)
        below.collect()
        own = (landing.problem,) if landing.problem is not None else ()
        parent.notify(FileTaken(count=below.count + (not own), problems=(*own, *below.problems)))
    except SluiceError as error:
        logger.info("file %s: its sender went away: %s", request.path, error)
    finally:
        landing.abandon()
        parent.close()


def _transfer(request: TakeFile, parent: FilePeer, landing: Landing, below: PassingOn) -> None:
    """Take all parts.  Raises Unreachable when the sender goes away."""
    while True:
        envelope, payload = parent.receive(request.timeout_s)
        below.pass_on(payload)
        if envelope.name == "FileEnd":
            landing.finish(decode_body(envelope.body, FileEnd).digest)
            return
        if envelope.name == "FileData":
            landing.write(decode_body(envelope.body, FileData))
