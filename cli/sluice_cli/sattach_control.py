"""What sattach makes of the events of a step: it listens, and ends at the first signal."""

from __future__ import annotations

from sluice_cli import inbox
from sluice_cli.inbox import Interrupted
from sluice_cli.srun_output import OutputWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice_cli.srun_launch import NodeLink
    from sluice_cli.srun_report import End
    from sluice_cli.talk import Voice


class AttachReport:
    """How tasks ended, told at once."""

    #: Nothing is kept to be told together.
    has_untold = False

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self.ends: dict[int, End] = {}

    def add(self, node: str, task: int, end: End, has_aborted: bool) -> None:
        code, number, is_out_of_memory = self.ends[task] = end
        if is_out_of_memory:
            self._voice.error(f"task {task} ran out of memory")
        elif number:
            self._voice.error(f"task {task} ended by signal {number}: {inbox.describe(number)}")
        elif code:
            self._voice.error(f"task {task} exited with exit code {code}")

    def tell(self) -> None:
        """Everything has been told."""


class AttachControl:
    """The step as something to listen to.  status: the exit status of sattach."""

    #: --wait is srun's.
    wait_ends_at = None
    is_ending = False

    def __init__(self, links: Sequence[NodeLink], voice: Voice, has_terminal: bool) -> None:
        self.report = AttachReport(voice)
        self._links = links
        self._voice = voice
        self._has_terminal = has_terminal
        self._failure = 0

    @property
    def status(self) -> int:
        codes = (128 + number if number else code for code, number, _ in self.report.ends.values())
        return max(self._failure, *codes, 0)

    def on_signal(self, number: int) -> None:
        """Raises Interrupted, for all but a new size of the terminal."""
        if number != inbox.SIGWINCH:
            raise Interrupted(number)
        if self._has_terminal:
            self.send_size()

    def send_size(self) -> None:
        from sluice_cli import srun_terminal

        rows, columns = srun_terminal.size()
        for link in self._links:
            if 0 in link.ranks and link.has_started:
                link.notify("TerminalSize", {"rows": rows, "columns": columns})

    def on_started(self, link: NodeLink) -> None:
        self._voice.verbose(f"attached to {len(link.ranks)} tasks on {link.node}")
        if self._has_terminal:
            self.send_size()

    def on_reader_gone(self) -> None:
        """As a program in a pipeline ends whose reader has gone away."""
        raise Interrupted(inbox.SIGPIPE)

    def on_talk(self, text: str) -> None:
        """What the step daemon says has been shown."""

    def on_exit(self, end: End) -> None:
        """The report has it."""

    def on_wait_over(self) -> None:
        """Never: wait_ends_at is None."""

    def on_launch_failed(self, node: str, reason: str) -> None:
        self._voice.error(f"node {node}: {reason}")
        self._failure = 1

    def on_lost(self, node: str, reason: str) -> None:
        self._voice.error(f"node {node}: {reason or 'the step daemon ended unexpectedly, and its tasks with it'}")
        self._failure = 1


class FilteredWriter(OutputWriter):
    """Writes of a stream what one task wrote, where that is asked."""

    def __init__(
        self, only: dict[int, int], outputs: dict[int, int], ntasks: int, is_labelled: bool, is_unbuffered: bool
    ) -> None:
        super().__init__(outputs, ntasks, is_labelled, is_unbuffered)
        self._only = only

    def add(self, task: int, stream: int, data: bytes) -> bool:
        return super().add(task, stream, data) if self._only.get(stream, task) == task else True
