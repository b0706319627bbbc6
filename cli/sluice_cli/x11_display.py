"""The display that DISPLAY names, and the cookie that opens it, as xauth knows it."""

from __future__ import annotations

import os
import re
import socket
import subprocess

_GRAMMAR = re.compile(r"(?P<host>.*):(?P<number>\d+)(?:\.\d+)?")
_COOKIE_NAME = "MIT-MAGIC-COOKIE-1"
_SOCKETS = "/tmp/.X11-unix/X"
_PORT_BASE = 6000
_CONNECT_DEADLINE_S = 20.0
_XAUTH_DEADLINE_S = 20.0


class Display:
    """host: "" for this machine's own display."""

    __slots__ = ("host", "number", "text")

    def __init__(self, text: str, host: str, number: int) -> None:
        self.text = text
        self.host = host
        self.number = number

    def connect(self) -> socket.socket:
        """Return a connection to the display.  Raises OSError."""
        if self.host:
            return socket.create_connection((self.host, _PORT_BASE + self.number), _CONNECT_DEADLINE_S)
        own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            own.connect(f"{_SOCKETS}{self.number}")
        except OSError:
            own.close()
            raise
        return own


def parse_display(text: str) -> Display:
    """Return the display.  Raises ValueError.

    ":0", "unix:0.0", "host:10.0", "[::1]:10"
    """
    match = _GRAMMAR.fullmatch(text)
    if match is None or match["host"].endswith("/"):
        raise ValueError(f"DISPLAY={text!r} is no display, expected HOST:NUMBER")
    host = match["host"].removeprefix("[").removesuffix("]")
    return Display(text, "" if host == "unix" else host, int(match["number"]))


def read_cookie(display: Display) -> bytes:
    """Return what opens the display.  Raises OSError or ValueError with what is missing."""
    # That of a display that ssh forwards is kept under this name.
    name = f"unix:{display.number}" if display.host in ("", "localhost", "127.0.0.1", "::1") else display.text
    command = ["xauth", "-q", "list", name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_XAUTH_DEADLINE_S, stdin=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError:
        raise OSError("xauth is not installed here, which knows the display's cookie") from None
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] == _COOKIE_NAME:
            return bytes.fromhex(words[2])
    where = os.environ.get("XAUTHORITY") or "~/.Xauthority"
    raise ValueError(f"Could not retrieve magic cookie: `{' '.join(command)}` finds none ({where})")
