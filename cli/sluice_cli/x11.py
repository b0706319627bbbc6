"""--x11: X clients on a job's nodes show on the display of whoever started srun or salloc here.

    x11.check(draft)                    before anything is asked for
    with x11.forwarding(draft, places, credential) as displays:
        x11.dress(links, displays)      DISPLAY and XAUTHORITY for the tasks
        ...

The job's extern step listens on each node; a process beside this one relays to the display until this one is gone.  The
nodes get a cookie made for the purpose: who steals it there cannot open the display but through this tunnel.

Source: CONTRACT.md section 4; the words are Slurm 22.05's where they were observed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time

from sluice.errors import PeerError, RequestError, SluiceError
from sluice.wire import light
from sluice.wire.faults import error_from
from sluice.wire.framing import ERROR
from sluice_cli import client, x11_tunnel
from sluice_cli.draft import REFUSED_EXIT, OptionError
from sluice_cli.x11_display import Display, parse_display, read_cookie

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from sluice.wire.light_connection import LightConnection
    from sluice_cli.draft import Draft
    from sluice_cli.srun_launch import NodeLink

    #: NAME=value for the tasks of each node.
    Displays = dict[str, list[bytes]]

_CHOICES = ("all", "first", "last")
_FATAL_EXIT = 255
_READY_DEADLINE_S = 20.0
_PAUSE_S = 0.2
_COOKIE_BYTES = 16


def is_wanted(draft: Draft) -> bool:
    return "x11" in draft.other


def check(draft: Draft) -> None:
    """Raise OptionError where X11 cannot be forwarded, with the reason: before there is a job that would need it."""
    if not is_wanted(draft):
        return
    which = draft.other["x11"] or "all"
    if which not in _CHOICES:
        raise OptionError(f"Invalid --x11 specification: {which!r} is none of {', '.join(_CHOICES)}")
    if draft.own.get("no-shell"):
        raise OptionError("--x11: the forwarding ends with salloc, which --no-shell lets end at once")
    _find_display()
    settings = dict(client.call("QueryConfig", {}).get("settings", ()))
    flags = settings.get("PrologFlags", "")
    if "x11" not in flags.lower().split(","):
        text = "--x11: X11 is not forwarded on this cluster: PrologFlags in its configuration has no X11"
        raise OptionError(text, exit_code=_FATAL_EXIT)


def _find_display() -> tuple[Display, bytes]:
    """Return the display and its cookie.  Raises OptionError."""
    text = os.environ.get("DISPLAY", "")
    if not text:
        raise OptionError("No DISPLAY variable set, cannot setup x11 forwarding.", exit_code=_FATAL_EXIT)
    try:
        display = parse_display(text)
        return display, read_cookie(display)
    except (ValueError, OSError, subprocess.SubprocessError) as error:
        raise OptionError(f"--x11: cannot setup x11 forwarding: {error}", exit_code=_FATAL_EXIT) from None


@contextlib.contextmanager
def forwarding(
    draft: Draft, places: Sequence[dict[str, Any]], credential: str, *, is_for_job: bool = False
) -> Iterator[Displays]:
    """Forward from the nodes of *places* (StepAddresses) that --x11 names; give what their tasks need to know.

    Raises OptionError where a node does not.
    """
    display, cookie = _find_display()
    made_up = os.urandom(_COOKIE_BYTES)
    connections: dict[str, LightConnection] = {}
    displays: Displays = {}
    try:
        for place in _chosen(places, draft.other["x11"] or "all"):
            node = place["node"]["node"]
            connections[node], ready = _connect(place, credential, made_up, is_for_job)
            variables = {"DISPLAY": f"localhost:{ready['number']}.0", "XAUTHORITY": ready["xauthority"]}
            displays[node] = [f"{name}={value}".encode() for name, value in variables.items()]
        alive = x11_tunnel.start(list(connections.values()), display, cookie, made_up)
    except SluiceError as error:
        raise OptionError(f"--x11: {client.sentence(error)}", exit_code=REFUSED_EXIT) from None
    finally:
        # The tunnel has its own of each.
        for connection in connections.values():
            connection.close()
    try:
        yield displays
    finally:
        os.close(alive)


def _chosen(places: Sequence[dict[str, Any]], which: str) -> Sequence[dict[str, Any]]:
    return {"all": places, "first": places[:1], "last": places[-1:]}[which]


def _connect(
    place: dict[str, Any], credential: str, cookie: bytes, is_for_job: bool
) -> tuple[LightConnection, dict[str, Any]]:
    """Return a connection on which the node forwards, and X11Ready.  Raises SluiceError.

    With PrologFlags=NoHold the extern step may come later than the job.
    """
    ends_at = time.monotonic() + _READY_DEADLINE_S
    while True:
        connection = light.connect_tcp(place["address"], place["port"], credential)
        try:
            return connection, _ask(connection, place["node"]["node"], credential, cookie, is_for_job)
        except RequestError as error:
            connection.close()
            if error.code != "not_running" or time.monotonic() >= ends_at:
                raise
        time.sleep(_PAUSE_S)


def _ask(connection: LightConnection, node: str, credential: str, cookie: bytes, is_for_job: bool) -> dict[str, Any]:
    """Return X11Ready.  Raises SluiceError."""
    body = {"credential": credential, "node": node, "cookie": cookie, "is_for_job": is_for_job}
    number = connection.send_request("ForwardX11", body)
    while True:
        try:
            kind, id, name, answer = connection.receive(_READY_DEADLINE_S)
        except PeerError as error:
            raise RequestError(f"X11 is not forwarded from node {node}: {error}", "x11") from None
        if kind == ERROR and id == number:
            raise error_from(str(answer.get("code", "")), str(answer.get("message", "")))
        if name == "X11Ready":
            ready: dict[str, Any] = answer
            if ready.get("problem"):
                raise RequestError(f"X11 is not forwarded from node {node}: {ready['problem']}", "x11")
            return ready


@contextlib.contextmanager
def forwarding_of_job(draft: Draft, job: dict[str, Any]) -> Iterator[None]:
    """Forward for all steps of a job that forward nothing of their own.  Raises OptionError or SluiceError."""
    with contextlib.ExitStack() as stack:
        for job_id in [component["id"] for component in job.get("components", ())] or [job["id"]]:
            granted = client.call("SendFiles", {"id": str(job_id)})
            stack.enter_context(forwarding(draft, granted["addresses"], granted["credential"], is_for_job=True))
        yield


def dress(links: Sequence[NodeLink], displays: Displays) -> None:
    """Have the tasks of each node know its display."""
    for link in links:
        if link.node in displays:
            own = [*link.body.get("own_environment", ()), *displays[link.node]]
            link.body = {**link.body, "own_environment": own}
