"""A controller daemon inside the test's event loop, with a real database, real sockets, and callers of any identity.

    async with LiveController(tmp_path) as controller:
        ann = await controller.user(1000, "ann")
        reply = await ann.ask("SubmitJob", submission(), Submitted)

The UNIX socket is used for an administrator (whoever runs the test), TCP with credentials for everybody else.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
from sqlalchemy import text

from sluice.clock import WallClock
from sluice.config.load import load
from sluice.model.job import Job
from sluice.model.node import Inventory
from sluice.model.request import JobSpec
from sluice.wire import messages
from sluice.wire.client import TcpEndpoint, UnixEndpoint, connect
from sluice.wire.connection import Connection
from sluice.wire.credentials import Claims, mint, new_nonce
from sluice.wire.envelope import Envelope
from sluice.wire.framing import CONTROLLER_AUDIENCE
from sluice.wire.handler import Handler
from sluice.wire.keyfile import create_key_file
from sluicectld.core import Core
from sluicectld.daemon import Daemon
from sluicectld.store.database import open_engine
from sluicectld.store.verify import verify
from sluicectld.verify import rebuild

T = TypeVar("T")
DEADLINE_S = 30.0

_CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
StateSaveLocation={folder}
SluiceDatabase=sqlite:///{folder}/state.db
SluiceControllerSocket={socket}
SluiceKeyFile={folder}/key
NodeName=n[1-2] CPUs=4 RealMemory=4000
PartitionName=batch Nodes=ALL Default=YES
"""


class Peer(Handler):
    """One connection to the controller; notices are kept, orders for agents among them."""

    def __init__(self) -> None:
        self.connection: Connection
        self.notices: list[tuple[str, Any]] = []

    def on_notice(self, connection: Connection, envelope: Envelope) -> None:
        self.notices.append((envelope.name, envelope.body.copy()))

    async def ask(self, name: str, body: object, reply: type[T]) -> T:
        """Return the reply.  Raises RequestError with what the controller says against it."""
        raw = await self.connection.request(name, body, deadline_s=DEADLINE_S)
        return msgspec.msgpack.decode(raw, type=reply)

    def orders(self) -> list[messages.Orders]:
        """Return the orders so far, and forget them."""
        found = [msgspec.msgpack.decode(body, type=messages.Orders) for name, body in self.notices if name == "Orders"]
        self.notices.clear()
        return found


class _CountingDaemon(Daemon):
    """Tells how often it has begun to load the tables."""

    def __init__(self, owner: LiveController, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._owner = owner

    async def _open(self) -> None:
        self._owner.reloads += 1
        await super()._open()


class LiveController:
    """An asynchronous context manager; folder: a temporary one, kept from one controller to the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "sluice.conf"
        self.socket = Path(tempfile.mkdtemp(dir="/tmp")) / "ctld"
        self._peers: list[Peer] = []
        if not self.path.exists():
            create_key_file(str(folder / "key"))
            self.write_configuration()

    def write_configuration(self, *more: str) -> None:
        """Write the configuration, with further lines."""
        text_ = _CONFIGURATION.format(port=_free_port(), folder=self.folder, socket=self.socket)
        self.path.write_text(text_ + "\n".join(more) + "\n")

    async def __aenter__(self) -> Self:
        self.write_configuration()
        self.config = load(str(self.path))
        #: How often the tables were loaded.
        self.reloads = 0
        self.daemon = _CountingDaemon(self, str(self.path), self.config, frozenset({os.getuid()}))
        ready = asyncio.Event()
        self._task = asyncio.create_task(self.daemon.run(ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._task, waiting}, timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()
        return self

    async def __aexit__(self, *_: object) -> None:
        for peer in self._peers:
            peer.connection.close()
        if not self._task.done():
            signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(self._task, DEADLINE_S)
        self.socket.parent.rmdir()

    @property
    def core(self) -> Core:
        """What serves now.  Looking at the state from here is fine: it is the same loop."""
        return self.daemon._core

    def job(self, job_id: int) -> Job:
        return self.core.engine.cluster.jobs[job_id]

    def forget(self, job_id: int) -> None:
        """Drop an ended job from memory, as after MinJobAge."""
        self.core.engine.cluster.forget_job(job_id)

    async def root(self) -> Peer:
        """Return an administrator, by the UNIX socket."""
        return await self._connected(UnixEndpoint(str(self.socket)), None)

    async def user(self, uid: int, name: str) -> Peer:
        return await self._remote(Claims(uid=uid, gid=uid, user=name, host="login1", audience=CONTROLLER_AUDIENCE))

    async def agent(self, node: str) -> Peer:
        """Return a node's agent that has registered."""
        peer = await self._remote(Claims(uid=0, gid=0, user="root", host=node, audience=CONTROLLER_AUDIENCE, node=node))
        inventory = Inventory(cpus=4, memory_mib=4000, boot_id="boot", spool_id="spool")
        report = messages.NodeReport(node=node, inventory=inventory)
        await peer.ask("Register", messages.Register(nodes=(report,)), messages.Registered)
        return peer

    async def _remote(self, claims: Claims) -> Peer:
        key = bytes.fromhex((self.folder / "key").read_text().strip())

        async def credential(audience: str) -> str:
            return mint(key, claims, WallClock().now(), 60.0, new_nonce())

        return await self._connected(TcpEndpoint("127.0.0.1", self.config.settings.slurmctld_port), credential)

    async def _connected(self, endpoint: Any, credential: Any) -> Peer:
        peer = Peer()
        peer.connection = await connect(endpoint, credential, peer)
        self._peers.append(peer)
        return peer

    # --- the database

    def execute(self, statement: str) -> Any:
        """Do something to the database behind the controller's back; return the first row."""
        engine = open_engine(self.config.settings.database_url)
        try:
            with engine.begin() as connection:
                result = connection.execute(text(statement))
                return result.first() if result.returns_rows else None
        finally:
            engine.dispose()

    def differences(self) -> list[str]:
        """Return what the journal and the tables disagree in."""
        engine = open_engine(self.config.settings.database_url, is_read_only=True)
        try:
            return verify(engine, rebuild)
        finally:
            engine.dispose()


def submission(token: str = "", **fields: Any) -> messages.SubmitJob:
    """Return a batch job; the controller fills in who asks."""
    values: dict[str, Any] = {"name": "job", "uid": 0, "gid": 0, "user": ""} | fields
    return messages.SubmitJob(token=token, spec=JobSpec(**values), script=b"#!/bin/sh\ntrue\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
