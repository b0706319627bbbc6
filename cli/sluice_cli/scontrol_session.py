"""One run of scontrol: the switches in force, the connection, and what has gone wrong so far.

The wire is imported when the controller is asked: `show hostnames`, which scripts use most, never asks it.
"""

from __future__ import annotations

from sluice.errors import RequestError
from sluice_cli import talk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from sluice.errors import SluiceError
    from sluice.wire.light import LightConnection
    from sluice_cli.job_row import Context
    from sluice_cli.talk import Voice

    Map = dict[str, Any]


class Session:
    """What commands share; interactive commands change the switches."""

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.is_oneliner = False
        self.has_details = False
        self.shows_all = False
        #: "json" or "yaml" when structured output is asked for.
        self.structured: dict[str, str] = {}
        self.exit_status = 0
        self.is_over = False
        self._connection: LightConnection | None = None
        self._cluster = ""

    def call(self, name: str, body: Map) -> Map:
        """Return the controller's reply.  Raises SluiceError."""
        reply: Map = self._connected().call(name, body)
        return reply

    def wait(self, name: str, body: Map) -> Map:
        """Return the reply to a question that may take as long as a job does.  Raises SluiceError."""
        from sluice_cli.client import FOREVER_S

        reply: Map = self._connected().call(name, body, FOREVER_S)
        return reply

    def stream(self, name: str, body: Map) -> Iterator[Map]:
        """Give the parts of the controller's reply.  Raises SluiceError."""
        yield from self._connected().stream(name, body)

    def _connected(self) -> LightConnection:
        if self._connection is None:
            from sluice.wire import light
            from sluice_cli import client

            where = client.find_endpoints()
            self._cluster = where.cluster_name
            self._connection = light.connect(where)
        return self._connection

    def forget_connection(self) -> None:
        """Connect anew for the next request: after a failure, nothing more can be read from this one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def context(self, now_at: float) -> Context:
        from sluice_cli.job_row import Context

        return Context(now_at, self._cluster)

    # What is said.

    def fail(self, text: str) -> None:
        """Say on stderr what went wrong, unless quiet; the exit status is then 1."""
        self.exit_status = 1
        if not self.voice.is_quiet:
            talk.plain(text)

    def fail_named(self, text: str) -> None:
        """The same, after the program's name."""
        self.fail(f"{self.voice.program}: error: {text}")

    def put_record(self, lines: Iterable[str], ending: str = "") -> None:
        """Print a record: a line each, indented after the first, or all on one line.

        ending: a line that only the long form has.
        """
        if self.is_oneliner:
            talk.put(" ".join(lines) + "\n")
            return
        talk.put("\n   ".join(lines) + f"{ending}\n\n")


def sentence(error: SluiceError) -> str:
    """Return what is said of a refusal: Slurm's sentence, or the controller's own where that sentence says nothing."""
    if isinstance(error, RequestError) and error.code == "invalid_request" and error.message:
        return error.message
    from sluice_cli import client

    return client.sentence(error)
