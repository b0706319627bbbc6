"""The controller as a command sees it: found by the configuration, asked once or patiently, its "no" in Slurm's words.

    try:
        reply = client.call("Ping", {})
    except SluiceError as error:
        voice.error(client.sentence(error))         Unable to contact slurm controller (connect failure)

Bodies are plain maps in the shape of the structs in sluice/wire/messages.py; fields with default values are missing
in replies.
"""

from __future__ import annotations

import os
import time

from sluice.error_texts import text_of
from sluice.errors import AuthenticationFailed, ConfigError, ProtocolMismatch, RequestError, SluiceError, Unreachable
from sluice.wire import light
from sluice.wire.faults import is_passing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sluice.config.light import Endpoints
    from sluice.wire.light import LightConnection
    from sluice_cli.talk import Voice

UNREACHABLE = "Unable to contact slurm controller (connect failure)"
#: How long a submission outlives a controller that is being restarted.
PATIENCE_S = 60.0
#: A deadline for what lasts as long as a job does.
FOREVER_S = 10 * 365 * 86400.0


def find_endpoints() -> Endpoints:
    """Return where the cluster is, from SLUICE_CONF, SLURM_CONF or the default file.  Raises ConfigError."""
    from sluice.config.light import find_config, read_endpoints

    endpoints = read_endpoints(find_config())
    if "%n" in endpoints.agent_socket:
        node = os.environ.get("SLURMD_NODENAME") or os.uname().nodename.partition(".")[0]
        endpoints.agent_socket = endpoints.agent_socket.replace("%n", node)
    return endpoints


def agent_socket_of(node: str) -> str:
    """Return the socket of that node's agent; "": it is not on this host, or cannot be told from others'.

    Raises ConfigError.
    """
    from sluice.config.light import find_config, read_endpoints

    pattern = read_endpoints(find_config()).agent_socket
    if "%n" not in pattern and node != os.environ.get("SLURMD_NODENAME"):
        return ""
    path = pattern.replace("%n", node)
    return path if os.path.exists(path) else ""


def nodes_here() -> list[str]:
    """Return the nodes that have an agent's socket on this host, where sockets are named by node.

    Raises ConfigError.
    """
    import glob

    from sluice.config.light import find_config, read_endpoints

    before, mark, after = read_endpoints(find_config()).agent_socket.partition("%n")
    paths = glob.glob(f"{glob.escape(before)}*{glob.escape(after)}") if mark else []
    return sorted(path.removeprefix(before).removesuffix(after) for path in paths)


def connect() -> LightConnection:
    """Return a connection to the controller.  Raises ConfigError or a PeerError."""
    return light.connect(find_endpoints())


def call(name: str, body: object, deadline_s: float = light.CALL_DEADLINE_S) -> Any:
    """Return the body of the reply to one request.  Raises SluiceError."""
    with connect() as connection:
        return connection.call(name, body, deadline_s)


def stream(name: str, body: object) -> Iterator[Any]:
    """Give each part of the reply, then the final one.  Raises SluiceError."""
    with connect() as connection:
        yield from connection.stream(name, body)


def call_patiently(
    name: str,
    body: object,
    voice: Voice,
    deadline_s: float = light.CALL_DEADLINE_S,
    failures: list[SluiceError] | None = None,
) -> Any:
    """Return the reply, waiting for a controller that is away or cannot store it; say so once.  Raises SluiceError.

    The request may be sent more than once: body must carry a token where that matters.  failures: takes why it had to
    be asked again, for a caller that is interrupted.
    """
    has_told = False

    def on_wait(why: SluiceError, _pause_s: float) -> None:
        nonlocal has_told
        if failures is not None:
            failures.append(why)
        if not has_told:
            tell_waiting(voice, why)
        has_told = True

    return light.call_with_retry(find_endpoints(), name, body, PATIENCE_S, on_wait, deadline_s)


def tell_waiting(voice: Voice, why: SluiceError, patience_s: float = PATIENCE_S) -> None:
    """Say that the request is made again, and why."""
    if text := detail(why):
        voice.info(text)
    how_long = f" for up to {patience_s:.0f} seconds" if patience_s <= PATIENCE_S else ""
    voice.info(f"{sentence(why)}, retrying{how_long}")


def wait_patiently(name: str, body: object, voice: Voice) -> Any:
    """Return the reply to a question that is answered when a job starts or ends, through restarts of the controller.

    Raises SluiceError, one that may pass once it has lasted for PATIENCE_S.
    """
    while True:
        asked_at = time.monotonic()
        try:
            return call_patiently(name, body, voice, FOREVER_S)
        except SluiceError as error:
            # Patience is counted from the question: after a long wait the absence has only begun.
            if not is_passing(error) or time.monotonic() - asked_at < 2 * PATIENCE_S:
                raise


def sentence(error: SluiceError) -> str:
    """Return what Slurm's commands say for *error*."""
    if isinstance(error, RequestError):
        return text_of(error.code, error.message)
    if isinstance(error, Unreachable):
        return UNREACHABLE
    if isinstance(error, AuthenticationFailed):
        return f"Protocol authentication error ({error})"
    if isinstance(error, ProtocolMismatch):
        return f"Incompatible versions of client and server code ({error})"
    return str(error)


def detail(error: SluiceError) -> str:
    """Return what *error* says beyond its sentence: what stands against it, with the numbers; "" for nothing."""
    if isinstance(error, RequestError) and error.message and error.message != text_of(error.code, error.message):
        return error.message
    return ""


def tell_failure(voice: Voice, error: SluiceError, frame: str = "") -> None:
    """Say on stderr why a request failed: the detail first, then the sentence, after *frame* if there is one."""
    if isinstance(error, ConfigError):
        voice.fatal(str(error))
        return
    if text := detail(error):
        for line in text.split("\n"):
            voice.error(line)
    voice.error(f"{frame}: {sentence(error)}" if frame else sentence(error))
