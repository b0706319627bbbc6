"""A controller that answers from a table, in place of the connection of a command."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sluice.errors import Unreachable
from sluice.wire import light
from sluice_cli import client


class Where:
    """Endpoints of a cluster that is not there."""

    cluster_name = "anchor"
    controller_socket = ""
    controllers: tuple[tuple[str, str], ...] = ()
    port = 6817
    agent_socket = ""
    key_file = ""


class FakeController:
    """replies: by request name a body, a list of bodies (parts and reply), or a function of the request's body."""

    def __init__(self) -> None:
        self.replies: dict[str, Any] = {}
        self.requests: list[tuple[str, Any]] = []

    def __enter__(self) -> "FakeController":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass

    def call(self, name: str, body: Any, deadline_s: float = 0.0) -> Any:
        return list(self.stream(name, body))[-1]

    def stream(self, name: str, body: Any, deadline_s: float = 0.0) -> Iterator[Any]:
        self.requests.append((name, body))
        if name not in self.replies:
            raise Unreachable("nobody there")
        reply = self.replies[name]
        if isinstance(reply, Callable):
            reply = reply(body)
        if isinstance(reply, Exception):
            raise reply
        yield from reply if isinstance(reply, list) else [reply]

    def asked(self, name: str) -> Any:
        """Return the body of the last request of that name."""
        return next(body for its_name, body in reversed(self.requests) if its_name == name)


def install(monkeypatch: pytest.MonkeyPatch) -> FakeController:
    """Put a fake controller in the place of every connection."""
    fake = FakeController()
    monkeypatch.setattr(client, "find_endpoints", lambda: Where())
    monkeypatch.setattr(light, "connect", lambda *_: fake)
    for name in ("SQUEUE_FORMAT", "SINFO_FORMAT", "SACCT_FORMAT", "SLURM_TIME_FORMAT", "SLURM_BITSTR_LEN"):
        monkeypatch.delenv(name, raising=False)
    return fake
