"""The PMIx server of one node of a step: a process of its own, because libpmix has threads and a step daemon forks.

It is forked by the step daemon before the tasks, becomes the user and serves until its socket ends.  On the socket
it says Ready or Failed first; then what the tasks want of other nodes goes out, and the answers come in.

Collectives of libpmix are over when a callback is called with the blobs of all nodes, one behind the other.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import itertools
import os
import signal
import socket
import threading
from collections import Counter
from typing import Any

import msgspec

from sluice.errors import SluiceError
from sluice.wire.envelope import append_frame, decode_body, decode_envelope
from sluice.wire.framing import CONNECTION_ID, NOTICE, FrameSplitter
from sluiced.pmi import libpmix
from sluiced.pmi.frames import SIZE_MAX
from sluiced.pmi.layout import Layout
from sluiced.pmi.libpmix import DONE, SUCCESS, InfoValue, LibraryProblem, Local, Rank
from sluiced.pmi.messages import Abort, Began, Failed, Fetch, Fetched, Finished, Gather, Ready, Spread

_CHUNK = 256 * 1024
_FROM_STEP: dict[str, type[Spread] | type[Fetch] | type[Fetched]] = {
    kind.__name__: kind for kind in (Spread, Fetch, Fetched)
}


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What the server is told.

    temp_dir: the user's own, the same path for the tasks.  major: of the library that was asked for, None for any.
    """

    nspace: str
    layout: Layout
    uid: int
    gid: int
    temp_dir: str
    major: int | None = None


def serve(setup: Setup, connection: socket.socket) -> None:
    """Serve until *connection* ends."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        # What is sent to the tasks reaches us too: we go when they are gone.
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    server = _Server(setup, connection)
    try:
        server.start()
    except LibraryProblem as problem:
        server.send(Failed(text=str(problem)))
        return
    splitter = FrameSplitter(SIZE_MAX)
    connection.setblocking(True)
    while data := connection.recv(_CHUNK):
        splitter.feed(data)
        while (payload := splitter.next()) is not None:
            envelope = decode_envelope(payload)
            if (kind := _FROM_STEP.get(envelope.name)) is not None:
                server.on_message(decode_body(envelope.body, kind))


class _Server:
    """Callbacks come in the library's own threads, messages in the main one."""

    def __init__(self, setup: Setup, connection: socket.socket) -> None:
        self._setup = setup
        self._layout = setup.layout
        self._connection = connection
        self._sending = threading.Lock()
        self._state = threading.Lock()
        self._ids = itertools.count(1)
        self._rounds: Counter[str] = Counter()
        #: What waits for other nodes: collectives by key, fetches by number: (callback, its cbdata).
        self._fences: dict[str, tuple[int, int]] = {}
        self._fetches: dict[int, tuple[int, int]] = {}
        #: Other nodes' questions that the library is asked: (number, origin).
        self._asked: dict[int, tuple[int, int]] = {}
        #: Blobs that the library reads, until it releases them.
        self._lent: dict[int, Any] = {}
        self._release = libpmix.ReleaseFn(self._on_released)
        self._dmodex = libpmix.DmodexFn(self._on_own_data)
        self._module = libpmix.Module(
            client_connected=libpmix.ClientFn(self._on_connected),
            client_finalized=libpmix.ClientFn(self._on_finalized),
            abort=libpmix.AbortFn(self._on_abort),
            fence_nb=libpmix.FenceFn(self._on_fence),
            direct_modex=libpmix.DirectFn(self._on_direct),
        )

    def send(self, message: msgspec.Struct) -> None:
        """Send at once and whole: the step daemon must have it before the task can be seen to end."""
        out = bytearray()
        append_frame(out, NOTICE, CONNECTION_ID, type(message).__name__, message, SIZE_MAX)
        with self._sending, contextlib.suppress(OSError):
            self._connection.sendall(out)

    # Starting.

    def start(self) -> None:
        """Raises LibraryProblem."""
        # Over shared memory (ds21), the server of 4.2 denies a rank of the same node the data of another one that has
        # just given it (EXISTS_OUTSIDE_SCOPE).  An agent whose environment says otherwise is believed.
        os.environ.setdefault("PMIX_MCA_gds", "hash")
        self._library = libpmix.load(self._setup.major)
        setup, layout = self._setup, self._layout
        own = layout.nodes[layout.position]
        options = libpmix.infos(
            [
                ("pmix.srvr.tmpdir", setup.temp_dir),
                ("pmix.sys.tmpdir", setup.temp_dir),
                ("pmix.hname", own),
                ("pmix.srv.nspace", f"sluice.{setup.nspace}"),
                ("pmix.srv.rank", Rank(layout.position)),
            ]
        )
        self._check(
            "PMIx_server_init", self._library.PMIx_server_init(ctypes.byref(self._module), options, len(options))
        )
        libpmix.check_layout(self._library)
        facts = libpmix.infos(self._facts() + _app_facts(layout))
        self._check(
            "PMIx_server_register_nspace",
            self._library.PMIx_server_register_nspace(
                setup.nspace.encode(), len(layout.own_ranks), facts, len(facts), None, None
            ),
        )
        self.send(Ready(variables=tuple((rank, self._register(rank)) for rank in layout.own_ranks)))

    def _facts(self) -> list[tuple[str, InfoValue]]:
        setup, layout = self._setup, self._layout
        own = layout.own_ranks
        return [
            ("pmix.jobid", setup.nspace),
            ("pmix.job.size", layout.size),
            ("pmix.univ.size", layout.size),
            ("pmix.max.size", layout.size),
            ("pmix.offset", Rank(0)),
            ("pmix.num.nodes", len(layout.nodes)),
            ("pmix.nodeid", layout.position),
            ("pmix.local.size", len(own)),
            ("pmix.node.size", len(own)),
            ("pmix.lpeers", ",".join(map(str, own))),
            ("pmix.lldr", Rank(own[0])),
            ("pmix.tmpdir", setup.temp_dir),
            ("pmix.nsdir", setup.temp_dir),
            ("pmix.nmap", self._generated("PMIx_generate_regex", ",".join(layout.nodes))),
            ("pmix.pmap", self._generated("PMIx_generate_ppn", ";".join(",".join(map(str, r)) for r in layout.ranks))),
        ]

    def _generated(self, function: str, text: str) -> bytes:
        made = ctypes.c_void_p()
        self._check(function, getattr(self._library, function)(text.encode(), ctypes.byref(made)))
        assert made.value is not None
        return ctypes.string_at(made.value)

    def _register(self, rank: int) -> dict[str, str]:
        """Make the rank known; return what its environment needs."""
        who = libpmix.proc(self._setup.nspace, rank)
        status = self._library.PMIx_server_register_client(
            ctypes.byref(who), self._setup.uid, self._setup.gid, None, None, None
        )
        self._check("PMIx_server_register_client", status)
        variables = ctypes.POINTER(ctypes.c_char_p)()
        status = self._library.PMIx_server_setup_fork(ctypes.byref(who), ctypes.byref(variables))
        self._check("PMIx_server_setup_fork", status)
        entries = itertools.takewhile(lambda entry: entry is not None, (variables[i] for i in itertools.count()))
        pairs = (os.fsdecode(entry).partition("=") for entry in entries)
        return {name: value for name, _, value in pairs}

    def _check(self, what: str, status: int) -> None:
        if status not in (SUCCESS, DONE):
            raise LibraryProblem(f"{what}: {libpmix.describe(self._library, status)}")

    # The library's callbacks.

    def _on_connected(self, who: Any, *_: object) -> int:
        self.send(Began(rank=who.contents.rank))
        return DONE

    def _on_finalized(self, who: Any, *_: object) -> int:
        self.send(Finished(rank=who.contents.rank))
        return DONE

    def _on_abort(self, who: Any, _: object, status: int, message: bytes | None, *__: object) -> int:
        said = " ".join((message or b"").decode(errors="replace").split())
        # Open MPI gives "N/A" for nothing.
        reason = said if said not in ("", "N/A") else f"exit code {status}"
        rank = who.contents.rank
        self.send(Abort(text=f"task {rank} called abort: {reason}", leaver=rank, exit_code=status, ends_itself=True))
        return DONE

    def _on_fence(
        self, procs: Any, count: int, _: Any, __: int, data: int | None, size: int, callback: int, cbdata: int
    ) -> int:
        ranks = sorted(procs[index].rank for index in range(count))
        try:
            participants = self._nodes_of(ranks)
        except ValueError:
            return libpmix.NOT_FOUND
        who = hashlib.sha256(repr(ranks).encode()).hexdigest()[:16]
        with self._state:
            self._rounds[who] += 1
            key = f"pmix.{who}.{self._rounds[who]}"
            self._fences[key] = (callback, cbdata)
        piece = ctypes.string_at(data, size) if data and size else b""
        self.send(Gather(key=key, participants=participants, pieces=(piece,)))
        return SUCCESS

    def _nodes_of(self, ranks: list[int]) -> tuple[int, ...]:
        """Return the nodes of those ranks, none for all nodes.  Raises ValueError for a rank that there is not."""
        if libpmix.RANK_WILDCARD in ranks:
            return ()
        nodes = tuple(sorted({self._layout.index_of(rank) for rank in ranks}))
        return () if len(nodes) == len(self._layout.nodes) else nodes

    def _on_direct(self, who: Any, _: Any, __: int, callback: int, cbdata: int) -> int:
        rank = who.contents.rank
        try:
            target = self._layout.index_of(rank)
        except ValueError:
            return libpmix.NOT_FOUND
        with self._state:
            number = next(self._ids)
            self._fetches[number] = (callback, cbdata)
        self.send(Fetch(id=number, origin=self._layout.position, target=target, rank=rank))
        return SUCCESS

    def _on_own_data(self, status: int, data: int | None, size: int, cbdata: int | None) -> None:
        with self._state:
            number, origin = self._asked.pop(cbdata or 0)
        blob = ctypes.string_at(data, size) if data and size else b""
        self.send(Fetched(id=number, target=origin, status=status, data=blob))

    def _on_released(self, cbdata: int | None) -> None:
        with self._state:
            self._lent.pop(cbdata or 0, None)

    # The step daemon's messages.

    def on_message(self, message: Spread | Fetch | Fetched) -> None:
        match message:
            case Spread(key=key, pieces=pieces):
                with self._state:
                    waiting = self._fences.pop(key, None)
                self._answer(waiting, SUCCESS, b"".join(pieces))
            case Fetched(id=number, status=status, data=data):
                with self._state:
                    waiting = self._fetches.pop(number, None)
                self._answer(waiting, status, data)
            case Fetch(id=number, origin=origin, rank=rank):
                with self._state:
                    own = next(self._ids)
                    self._asked[own] = (number, origin)
                who = libpmix.proc(self._setup.nspace, rank)
                status = self._library.PMIx_server_dmodex_request(ctypes.byref(who), self._dmodex, own)
                if status != SUCCESS:
                    self._on_own_data(status, None, 0, own)

    def _answer(self, waiting: tuple[int, int] | None, status: int, data: bytes) -> None:
        if waiting is None:
            return
        callback, cbdata = waiting
        with self._state:
            number = next(self._ids)
            blob = self._lent[number] = ctypes.create_string_buffer(data, len(data)) if data else None
        address = ctypes.addressof(blob) if blob is not None else None
        libpmix.ModexFn(callback)(status, address, len(data), cbdata, self._release, number)


def _app_facts(layout: Layout) -> list[tuple[str, InfoValue]]:
    """Return which ranks run which of the step's programs."""
    if not layout.components:
        return [("pmix.job.napps", 1), ("pmix.app.size", layout.size), ("pmix.appnum", 0)]
    ranks_by_app: dict[int, list[int]] = {}
    for app, ranks in zip(layout.components, layout.ranks, strict=True):
        ranks_by_app.setdefault(app, []).extend(ranks)
    facts: list[tuple[str, InfoValue]] = [("pmix.job.napps", len(ranks_by_app))]
    for app, members in ranks_by_app.items():
        about: list[tuple[str, InfoValue]] = [("pmix.appnum", app), ("pmix.app.size", len(members))]
        facts.append(("pmix.app.arr", libpmix.infos([*about, ("pmix.aldr", Rank(min(members)))])))
    # Told of one rank, the library works nothing out of the others' places any more.
    for node, (app, ranks) in enumerate(zip(layout.components, layout.ranks, strict=True)):
        for local, rank in enumerate(ranks):
            place: list[tuple[str, InfoValue]] = [("pmix.rank", Rank(rank)), ("pmix.appnum", app)]
            # A program's ranks are neighbours.
            place += [("pmix.apprank", Rank(rank - min(ranks_by_app[app]))), ("pmix.nodeid", node)]
            place += [("pmix.lrank", Local(local)), ("pmix.nrank", Local(local))]
            facts.append(("pmix.pdata", libpmix.infos(place)))
    return facts


def main_in_fork(setup: Setup, connection: socket.socket) -> None:
    """Serve, then end this process; nothing is raised."""
    with contextlib.suppress(OSError, SluiceError):
        serve(setup, connection)
    os._exit(0)
