"""The ports that a cluster's daemons are to listen on: are they free, and if not, which key asks for them?

Looked at before a daemon is started, which could tell nothing but the number.  Who holds a port can be read of one's
own processes, by root of everybody's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import msgspec
import psutil  # type: ignore[import-untyped]

from sluice.config.records import ClusterConfig
from sluice.errors import ConfigError
from sluice.local.ports import is_free


class Want(msgspec.Struct, frozen=True):
    """A port that a daemon is to listen on.  key: what the configuration says of it, as it is written there."""

    key: str
    address: str
    port: int


def controller_want(config: ClusterConfig) -> Want:
    settings = config.settings
    port = settings.slurmctld_port
    return Want(f"SlurmctldPort={port}", settings.controllers[0].address, port)


def agent_want(config: ClusterConfig, node: str) -> Want:
    found = next(each for each in config.nodes if each.name == node)
    key = "SlurmdPort" if found.port == config.settings.slurmd_port else "Port"
    # Agents listen everywhere, but for several nodes of one host that differ by loopback address.
    address = found.address if found.address.startswith("127.") else "0.0.0.0"
    return Want(f"NodeName={node} {key}={found.port}", address, found.port)


def check_free(config: ClusterConfig, wants: Iterable[Want]) -> None:
    """Raise ConfigError for those that something listens on."""
    lines = [_taken(want) for want in wants if not is_free(want.address, want.port)]
    if lines:
        raise ConfigError("\n".join(f"{config.path}: {line}" for line in lines))


def _taken(want: Want) -> str:
    return f"{want.key}: the port is taken on {want.address}{_holder(want.port)}; end that, or choose another port"


def _holder(port: int) -> str:
    """Return ", by process 7 (sshd)" where that can be read."""
    with contextlib.suppress(psutil.Error, OSError):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
                return f" by process {each.pid} ({' '.join(psutil.Process(each.pid).cmdline())[:80]})"
    return ""
