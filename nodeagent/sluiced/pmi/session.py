"""One rank's conversation with the PMI server: bytes in; replies, and what concerns the other ranks, out.  Pure.

The first line says which version is spoken; dialects.py answers the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluiced.pmi import text
from sluiced.pmi.dialects import Dialect, Pmi1, Pmi2
from sluiced.pmi.text import PmiSyntaxError, Request

if TYPE_CHECKING:
    from sluiced.pmi.dialects import Abort, Job


class Session:
    """has_begun: the program speaks PMI; has_finished: it said that it is done, so that its end is none of ours."""

    def __init__(self, rank: int, job: Job) -> None:
        self.rank = rank
        self.has_begun = False
        #: In the barrier, until it is released.
        self.is_waiting = False
        #: What it gave as the reason to end the step; None: nothing of the kind.
        self.abort: Abort | None = None
        self._job = job
        self._splitter = text.Splitter()
        self._dialect: Dialect | None = None

    @property
    def has_finished(self) -> bool:
        return self._dialect is not None and self._dialect.has_finished

    def feed(self, data: bytes) -> bytes:
        """Return the replies to what is complete by now; what follows a barrier waits for its end.

        Raises PmiSyntaxError.
        """
        self._splitter.feed(data)
        replies = bytearray()
        while self.abort is None and not self.is_waiting and (request := self._splitter.next()) is not None:
            replies += self._answer(request)
            replies += self.answer_attribute()
        return bytes(replies)

    def release(self) -> bytes:
        """Return what ends the wait in the barrier; feed() goes on then."""
        assert self._dialect is not None, "who waits has begun"
        self.is_waiting = False
        return self._dialect.release()

    def answer_attribute(self) -> bytes:
        """Return the answer to a question for an attribute that had to wait, empty while it still has to."""
        return self._dialect.answer_waiting() if self._dialect is not None else b""

    def _answer(self, request: Request) -> bytes:
        if self._dialect is None:
            return self._begin(request)
        answer = self._dialect.answer(request)
        self.is_waiting = self.is_waiting or answer.enters_barrier
        self.abort = answer.abort
        return answer.reply

    def _begin(self, request: Request) -> bytes:
        if request.command != "init":
            raise PmiSyntaxError(f"{request.command[:40]!a} before init")
        version = request.fields.get("pmi_version", "")
        kinds: dict[str, type[Pmi1] | type[Pmi2]] = {"1": Pmi1, "2": Pmi2}
        kind = kinds.get(version)
        said = {"pmi_version": version if kind else "2", "pmi_subversion": "1" if version == "1" else "0"}
        if kind is not None:
            self._dialect = kind(self.rank, self._job)
            self._splitter.is_framed = self._dialect.is_framed
            self.has_begun = True
        return text.format_line("response_to_init", {**said, "rc": 0 if kind else -1})
