"""What srun does to its step: signals passed on, Ctrl-C once and twice, bad exits, --wait, the step's end.

A step is ended through the controller, which ends it on every node; where the controller is away, the nodes are
told directly.

Source: CONTRACT.md section 4 and the recorded cases.
"""

from __future__ import annotations

import contextlib
import time

from sluice.errors import PeerError, SluiceError
from sluice_cli import client
from sluice_cli.inbox import (
    SIGCONT,
    SIGHUP,
    SIGINT,
    SIGKILL,
    SIGPIPE,
    SIGQUIT,
    SIGTERM,
    SIGUSR1,
    SIGUSR2,
    SIGWINCH,
)
from sluice_cli.srun_report import task_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice_cli.draft import Draft
    from sluice_cli.srun_launch import NodeLink
    from sluice_cli.srun_report import End, Report
    from sluice_cli.talk import Voice

WATCHED = (SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH)
#: Two interrupts within this time end the step.
_TWICE_S = 1.0
#: srun waits so much longer than the nodes do.
_KILL_WAIT_MARGIN_S = 2
_CANCELLED = " CANCELLED AT "


class StepControl:
    """The step as something to be signalled and ended.

    ids: what it is called in each component of its job.
    wait_ends_at: when --wait runs out, on the monotonic clock; None while it does not run.
    """

    def __init__(
        self,
        name: str,
        links: Sequence[NodeLink],
        draft: Draft,
        report: Report,
        voice: Voice,
        kill_wait_s: float,
        has_terminal: bool = False,
    ) -> None:
        self.name = name
        self.ids = [name]
        self.report = report
        self.wait_ends_at: float | None = None
        self._links = links
        self._voice = voice
        self._own = draft.own
        self._kill_wait_s = kill_wait_s
        self._has_terminal = has_terminal
        self._interrupted_at: float | None = None
        self._first_exit_at: float | None = None
        self.is_ending = False
        self._is_abort_told = False
        self._is_pipe_told = False

    # Signals.

    def on_signal(self, number: int) -> None:
        if number == SIGINT:
            self._on_interrupt()
        elif number in (SIGTERM, SIGHUP, SIGQUIT):
            if number == SIGQUIT:
                self._voice.info("Quit")
            self._force()
        elif number in (SIGUSR1, SIGUSR2):
            self.send(number)
        elif number == SIGCONT:
            self._voice.info("got SIGCONT")
        elif number == SIGWINCH and self._has_terminal:
            self.send_size()

    def _on_interrupt(self) -> None:
        if self._own.get("disable-status"):
            self._send_interrupt()
            return
        now = time.monotonic()
        is_second = self._interrupted_at is not None and now - self._interrupted_at <= _TWICE_S
        if is_second or self._own.get("quit-on-interrupt"):
            self._send_interrupt()
            self._force()
            return
        self._interrupted_at = now
        self._voice.info("interrupt (one more within 1 sec to abort)")
        self._tell_status()

    def _send_interrupt(self) -> None:
        self._voice.info(f"sending Ctrl-C to StepId={self.name}")
        self.send(SIGINT)

    def send(self, number: int) -> None:
        """Pass a signal on to every task, ahead of what the controller may order next."""
        for link in self._links:
            link.notify("TaskSignal", {"signal": number})
            # A link that broke is found out by the loop.
            with contextlib.suppress(PeerError):
                link.connection.flush_nowait()

    def send_size(self) -> None:
        from sluice_cli import srun_terminal

        rows, columns = srun_terminal.size()
        for link in self._links:
            if 0 in link.ranks:
                link.notify("TerminalSize", {"rows": rows, "columns": columns})

    # The step's end.

    def _force(self) -> None:
        self._voice.info("forcing job termination")
        self._tell_abort()
        self._end()

    def _end(self, is_failure: bool = False) -> None:
        """End the step on every node; asked again, without mercy.  is_failure: of a part of it, nobody's wish."""
        if self.is_ending:
            self.send(SIGKILL)
            return
        self.is_ending = True
        try:
            client.call("KillJobs", {"ids": self.ids, "is_failure": is_failure}, self._kill_wait_s)
        except SluiceError:
            # The controller is away or knows the step no more: the nodes are still here.
            self.send(SIGTERM)

    def _tell_abort(self) -> None:
        self.report.is_aborted = True
        if not self._is_abort_told:
            self._is_abort_told = True
            wait_s = int(self._kill_wait_s) + _KILL_WAIT_MARGIN_S
            self._voice.info(f"Job step aborted: Waiting up to {wait_s} seconds for job step to finish.")

    # What happens to tasks and nodes.

    def on_started(self, link: NodeLink) -> None:
        self._voice.verbose(f"Node {link.node}, {len(link.ranks)} tasks started")

    def on_reader_gone(self) -> None:
        """As in a pipeline on one host: who writes to a reader that has gone away gets SIGPIPE, once."""
        if not self._is_pipe_told:
            self._is_pipe_told = True
            self.send(SIGPIPE)

    def on_talk(self, text: str) -> None:
        """The end of the step, when somebody else ordered it, is heard of in the step daemons' talk."""
        if _CANCELLED in text and not self.is_ending:
            self._tell_abort()

    def on_exit(self, end: End) -> None:
        now = time.monotonic()
        if self._first_exit_at is None:
            self._first_exit_at = now
            if self._own.get("wait"):
                self.wait_ends_at = now + self._own["wait"]
        is_bad = end != (0, 0, False)
        if is_bad and self._own.get("kill-on-bad-exit") and not self.is_ending and self._is_running():
            self.report.tell()
            self._voice.info(f"Terminating StepId={self.name}")
            self._end()

    def on_wait_over(self) -> None:
        """--wait: the first task has ended long ago."""
        self.wait_ends_at = None
        if not self._is_running() or self._first_exit_at is None:
            return
        self._voice.info(f"First task exited {int(time.monotonic() - self._first_exit_at)}s ago")
        self._tell_status()
        self._voice.info(f"Terminating StepId={self.name}")
        self._end()
        self._tell_abort()

    def on_launch_failed(self, node: str, reason: str) -> None:
        self._voice.error(f"Task launch for StepId={self.name} failed on node {node}: {reason}")
        self._end(is_failure=True)

    def on_lost(self, node: str, reason: str) -> None:
        """reason: empty where the node is there, but the step's daemon on it has died."""
        if reason:
            self._voice.error(f"Node failure on {node}: {reason}")
        else:
            text = f"the step's daemon on node {node} ended unexpectedly, and its tasks there with it"
            self._voice.error(f"StepId={self.name}: {text}")
        if not self.is_ending:
            self._tell_abort()
            self._end(is_failure=True)

    def _ranks(self) -> set[int]:
        return {rank for link in self._links for rank in link.ranks}

    def _is_running(self) -> bool:
        return bool(self._ranks() - self.report.ends.keys())

    def _tell_status(self) -> None:
        ends = self.report.ends
        groups = {
            "running": self._ranks() - ends.keys(),
            "exited": {rank for rank, end in ends.items() if end == (0, 0, False)},
            "exited abnormally": {rank for rank, end in ends.items() if end != (0, 0, False)},
        }
        for state, ranks in groups.items():
            if ranks:
                self._voice.info(f"StepId={self.name} {task_list(ranks)}: {state}")
