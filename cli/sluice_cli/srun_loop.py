"""A running step at srun's side: a poll loop over the nodes, standard input and signals, until every node is done.

What arrives is written at once, so a slow reader of srun's output slows the tasks; what the nodes do not take of the
input stays unread.  What a signal means is srun_signals.py's, the words of the ends srun_report.py's.
"""

from __future__ import annotations

import os
import select
import time

from sluice.errors import PeerError, Unreachable
from sluice.wire.framing import ERROR
from sluice_cli.srun_launch import RESTART_PAUSE_S, RESTART_S
from sluice_cli.talk import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sluice_cli.inbox import Inbox
    from sluice_cli.sattach_control import AttachControl
    from sluice_cli.srun_files import Streams
    from sluice_cli.srun_launch import NodeLink
    from sluice_cli.srun_output import OutputWriter
    from sluice_cli.srun_signals import StepControl

_INPUT_CHUNK = 64 * 1024
_UNSENT_MAX = 1024 * 1024
#: Ends that come within this time are told in one line a node.
_FOLD_S = 0.1


class StepLoop:
    """Runs one step to its end."""

    def __init__(
        self,
        links: Sequence[NodeLink],
        streams: Streams,
        writer: OutputWriter,
        control: StepControl | AttachControl,
        inbox: Inbox,
    ) -> None:
        self._links = links
        self._writer = writer
        self._control = control
        self._report = control.report
        self._inbox = inbox
        self._input = streams.input
        self._target = int(streams.std_in) if streams.std_in.isdecimal() else -1
        self._tell_at: float | None = None
        #: When agents that are gone are tried next.
        self._again_at: float | None = None

    def run(self) -> None:
        """Return when every node has said that it is done, or is lost."""
        while any(not link.is_done for link in self._links):
            self._poll()
            while number := self._inbox.next():
                self._control.on_signal(number)
            self._do_timers()
        self._writer.end()
        self._report.tell()

    def _poll(self) -> None:
        poller = select.poll()
        poller.register(self._inbox.fileno(), select.POLLIN)
        here = (link for link in self._links if not link.is_done and link.returns_until is None)
        open_links = {link.connection.fileno(): link for link in here}
        for descriptor, link in open_links.items():
            poller.register(descriptor, select.POLLIN | (select.POLLOUT if link.connection.unsent else 0))
        if self._wants_input():
            assert self._input is not None
            poller.register(self._input, select.POLLIN)
        for descriptor, events in poller.poll(self._timeout_ms()):
            if descriptor in open_links:
                self._on_link(open_links[descriptor], events)
            elif descriptor == self._input:
                self._read_input()

    def _timeout_ms(self) -> int | None:
        times = [each for each in (self._tell_at, self._control.wait_ends_at, self._again_at) if each is not None]
        return max(0, int((min(times) - time.monotonic()) * 1000) + 1) if times else None

    def _do_timers(self) -> None:
        now = time.monotonic()
        if self._again_at is not None and now >= self._again_at:
            self._launch_again(now)
        if self._tell_at is not None and now >= self._tell_at:
            self._tell_at = None
            self._report.tell()
        if self._control.wait_ends_at is not None and now >= self._control.wait_ends_at:
            self._report.tell()
            self._control.on_wait_over()

    # Input.

    def _wants_input(self) -> bool:
        if self._input is None or any(link.connection.unsent >= _UNSENT_MAX for link in self._links):
            return False
        return all(link.has_started or link.is_done for link in self._links)

    def _read_input(self) -> None:
        assert self._input is not None
        try:
            data = os.read(self._input, _INPUT_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            # A terminal that is not ours to read, or a closed stdin.
            data = b""
        for link in self._links:
            if self._target < 0 or self._target in link.ranks:
                link.notify("TaskInput", {"task": self._target, "data": data, "is_end": not data})
                self._flush(link)
        if not data:
            self._input = None

    # Nodes.

    def _on_link(self, link: NodeLink, events: int) -> None:
        if events & select.POLLOUT:
            self._flush(link)
        if not events & ~select.POLLOUT or link.is_done:
            return
        try:
            frames = link.connection.receive_nowait()
        except PeerError as error:
            self._lose(link, error)
            return
        for kind, id, name, body in frames:
            if link.is_done:
                return
            if kind == ERROR and id == link.request_id:
                self._refused(link, body)
            else:
                self._on_notice(link, name, body)

    def _flush(self, link: NodeLink) -> None:
        if link.is_done or link.returns_until is not None:
            return
        try:
            link.connection.flush_nowait()
        except PeerError as error:
            self._lose(link, error)

    def _on_notice(self, link: NodeLink, name: str, body: dict[str, Any]) -> None:
        match name:
            case "TaskStarted":
                link.has_started = True
                self._control.on_started(link)
            case "TaskOutput":
                if not self._writer.add(body["task"], body["stream"], body["data"]):
                    self._control.on_reader_gone()
            case "TaskExit":
                self._on_exit(link, body)
            case "StepTalk":
                plain(body["text"])
                self._control.on_talk(body["text"])
            case "StepDone":
                # The step daemon waits for our end of the connection, so that nothing of its own is lost.
                link.is_done = True
                link.connection.close()
                self._fill(link, 1)

    def _on_exit(self, link: NodeLink, body: dict[str, Any]) -> None:
        end = (body.get("exit_code", 0), body.get("exit_signal", 0), body.get("is_out_of_memory", False))
        self._report.add(link.node, body["task"], end, has_aborted=body.get("has_aborted", False))
        if self._report.has_untold and self._tell_at is None:
            self._tell_at = time.monotonic() + _FOLD_S
        self._control.on_exit(end)

    def _refused(self, link: NodeLink, body: dict[str, Any]) -> None:
        link.is_done = True
        if link.is_repeated and body.get("code") == "launched":
            # The first one had reached its step daemon, and that one has died.
            self._control.on_lost(link.node, "")
        else:
            self._control.on_launch_failed(link.node, str(body.get("message", body)))
        self._fill(link, 1)

    def _lose(self, link: NodeLink, why: PeerError) -> None:
        """The connection was the agent's until the step daemon had it: where nothing has begun, the launch may be lost.

        Then it is given to the agent that comes back.
        """
        if link.can_launch_again and link.returns_until is None and not self._control.is_ending:
            link.returns_until = time.monotonic() + RESTART_S
            self._again_at = time.monotonic()
        else:
            self._give_up(link, why)

    def _launch_again(self, now: float) -> None:
        for link in self._links:
            until = link.returns_until
            if until is None or link.is_done:
                continue
            try:
                link.launch_again()
                link.returns_until = None
            except PeerError as error:
                if now >= until or self._control.is_ending:
                    self._give_up(link, error)
        is_waiting = any(link.returns_until is not None and not link.is_done for link in self._links)
        self._again_at = now + RESTART_PAUSE_S if is_waiting else None

    def _give_up(self, link: NodeLink, why: PeerError) -> None:
        """The connection was the step daemon's: where its node is still there, it has died."""
        link.is_done = True
        is_dead = isinstance(why, Unreachable) and link.is_node_there()
        self._control.on_lost(link.node, "" if is_dead else str(why))
        self._fill(link, 1)

    def _fill(self, link: NodeLink, code: int) -> None:
        """Tasks of which nothing was heard have failed; what is wrong has been said."""
        for rank in link.ranks:
            self._report.ends.setdefault(rank, (code, 0, False))
