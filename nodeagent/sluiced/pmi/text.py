"""The words of PMI-1 and PMI-2: messages out of bytes, however these are cut, and bytes out of messages.  Pure.

    PMI-1  line    := "cmd=" NAME { " " KEY "=" VALUE } "\\n"        value= takes the rest of its line
           long    := "mcmd=" NAME "\\n" { KEY "=" VALUE "\\n" } "endcmd\\n"
    PMI-2  message := LENGTH, 6 decimal digits padded with blanks, then LENGTH bytes of
                      "cmd=" NAME ";" { KEY "=" VALUE ";" }          a semicolon in a value is written twice

Both begin with a line cmd=init, after which PMI-2 goes over to its own form.  Text is Latin-1, so that every byte has a
character and none is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

#: The longest line, and the longest message; a value has 1024 bytes at most.
SIZE_MAX = 64 * 1024
#: What may wait for the end of a barrier.
_AHEAD_MAX = 16 * SIZE_MAX
_HEADER = 6


class PmiSyntaxError(Exception):
    """These bytes are no PMI."""


class Request(NamedTuple):
    """One message.  fields: without the command; of a key that comes twice the last counts."""

    command: str
    fields: dict[str, str]


class Splitter:
    """Bytes in, requests out.  is_framed: PMI-2's form, to be set between two requests."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.is_framed = False

    def feed(self, data: bytes) -> None:
        """Raises PmiSyntaxError: nobody asks so much ahead."""
        self._data += data
        if len(self._data) > _AHEAD_MAX:
            raise PmiSyntaxError(f"more than {_AHEAD_MAX} bytes ahead of the answers")

    def next(self) -> Request | None:
        """Return the next request, None until more is fed.  Raises PmiSyntaxError."""
        return self._next_message() if self.is_framed else self._next_line()

    def _next_line(self) -> Request | None:
        end = self._data.find(b"\n")
        if end >= 0 and self._data.startswith(b"mcmd="):
            end = self._data.find(b"\nendcmd\n")
            end += len("\nendcmd") if end >= 0 else 0
        if end < 0:
            if len(self._data) > SIZE_MAX:
                raise PmiSyntaxError(f"a line of more than {SIZE_MAX} bytes")
            return None
        return parse_line(self._take(end + 1)[:-1])

    def _next_message(self) -> Request | None:
        if len(self._data) < _HEADER:
            return None
        header = bytes(self._data[:_HEADER]).strip()
        if not header.isdigit() or int(header) > SIZE_MAX:
            raise PmiSyntaxError(f"{bytes(self._data[:_HEADER])!r} is not the length of a message")
        length = int(header)
        if len(self._data) < _HEADER + length:
            return None
        return parse_message(self._take(_HEADER + length)[_HEADER:])

    def _take(self, count: int) -> str:
        taken = self._data[:count].decode("latin-1")
        del self._data[:count]
        return taken


def parse_line(line: str) -> Request:
    """Return what a PMI-1 line says.  Raises PmiSyntaxError."""
    if line.startswith("mcmd="):
        name, *rest = line.removeprefix("mcmd=").split("\n")
        return Request(name.strip(), dict(_pairs(rest)))
    head, has_value, value = line.partition(" value=")
    words = dict(_pairs(head.split()))
    command = words.pop("cmd", "")
    if not command:
        raise PmiSyntaxError(f"no cmd= in {line[:40]!a}")
    if has_value:
        words["value"] = value
    return Request(command, words)


def parse_message(text: str) -> Request:
    """Return what the body of a PMI-2 message says.  Raises PmiSyntaxError."""
    # Two semicolons are one of the value; NUL cannot be in C's strings, so it can stand for that one meanwhile.
    parts = text.replace("\0", "").replace(";;", "\0").split(";")
    words = {key: value.replace("\0", ";") for key, value in _pairs(parts)}
    command = words.pop("cmd", "")
    if not command:
        raise PmiSyntaxError(f"no cmd= in {text[:40]!a}")
    return Request(command, words)


def _pairs(words: Iterable[str]) -> Iterable[tuple[str, str]]:
    return ((key, value) for key, has_value, value in (word.partition("=") for word in words) if has_value)


def format_line(command: str, fields: Mapping[str, object]) -> bytes:
    """Return a PMI-1 line; *value* belongs last."""
    words = [f"cmd={command}", *(f"{key}={value}" for key, value in fields.items())]
    return (" ".join(words) + "\n").encode("latin-1", "replace")


def format_message(command: str, fields: Mapping[str, object]) -> bytes:
    """Return a PMI-2 message with its length."""
    pairs = (f"{key}={str(value).replace(';', ';;')};" for key, value in fields.items())
    body = f"cmd={command};{''.join(pairs)}".encode("latin-1", "replace")
    return b"%-6d" % len(body) + body
