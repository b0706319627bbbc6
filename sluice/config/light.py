"""Where the configuration is and whom to talk to: all that a command needs to know of it.

This module is light: commands import it at start-up, so it reads only the lines that begin with one of a few
keys, in the files that load() reads before partitions.d.  A command that finds the controller does not care
whether the rest of the file is right; load() does.

Invariant: for a file that load() accepts, read_endpoints() gives the values that load() gives.
"""

from __future__ import annotations

import os

from sluice.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONFIG_VARIABLES = ("SLUICE_CONF", "SLURM_CONF")
CONFIG_PATHS = ("/etc/sluice/sluice.conf", "/etc/slurm/slurm.conf")

# The defaults of schema_cluster.py, repeated because that table is not light; a test keeps them equal.
DEFAULT_CONTROLLER_PORT = 6817
DEFAULT_CONTROLLER_SOCKET = "/run/sluice/sluicectld.sock"
DEFAULT_AGENT_SOCKET = "/run/sluice/sluiced-%n.sock"
DEFAULT_KEY_FILE = "sluice.key"

#: Bytes that are read of one file; a configuration of 100,000 node lines has about 15 MB, and a device may have no end.
FILE_BYTES_MAX = 256 * 1024 * 1024
#: Files inside files inside files: deeper than this is taken for a mistake.
INCLUDE_DEPTH_MAX = 16
_KEYS = frozenset(
    ("clustername", "slurmctldhost", "slurmctldport", "sluicecontrollersocket", "sluiceagentsocket", "sluicekeyfile")
)
#: First bytes of lines worth a look: of the keys, of Include, and blanks before them.
_FIRST_BYTES = frozenset(b"cCsSiI \t")


class Endpoints:
    """How to reach a cluster's daemons.

    controllers: (host name, address) in the order of takeover.  agent_socket: %n is the node name.
    """

    __slots__ = ("agent_socket", "cluster_name", "controller_port", "controller_socket", "controllers", "key_file")

    def __init__(self, values: dict[str, str], controllers: list[tuple[str, str]], folder: str) -> None:
        port = values.get("slurmctldport", "").partition("-")[0]
        self.cluster_name = values.get("clustername", "").lower()
        self.controllers = tuple(controllers)
        self.controller_port = int(port) if port.isdecimal() else DEFAULT_CONTROLLER_PORT
        self.controller_socket = values.get("sluicecontrollersocket") or DEFAULT_CONTROLLER_SOCKET
        self.agent_socket = values.get("sluiceagentsocket") or DEFAULT_AGENT_SOCKET
        self.key_file = os.path.join(folder, values.get("sluicekeyfile") or DEFAULT_KEY_FILE)


def find_config() -> str:
    """Return the path of the configuration file: SLUICE_CONF, SLURM_CONF, or the first usual place that has one.

    Raises ConfigError if no variable is set and no usual place has a file.
    """
    for variable in CONFIG_VARIABLES:
        if os.environ.get(variable):
            return os.environ[variable]
    for path in CONFIG_PATHS:
        if os.path.exists(path):
            return path
    raise ConfigError(f"no configuration file: neither {' nor '.join(CONFIG_PATHS)}; set {CONFIG_VARIABLES[0]}")


def read_endpoints(path: str) -> Endpoints:
    """Return the endpoints that the configuration file *path* names.

    Raises ConfigError if the file or one that it includes cannot be read, or if no controller is named.
    """
    values: dict[str, str] = {}
    controllers: list[tuple[str, str]] = []
    _scan(path, values, controllers, 0)
    if not controllers:
        raise ConfigError(f"{path!r} names no controller: SlurmctldHost is missing; sluice config check tells more")
    return Endpoints(values, controllers, os.path.dirname(path))


def expand_path(pattern: str, node_name: str, host_name: str) -> str:
    """Return a path of the configuration with %n and %h filled in, as agents' paths have them."""
    return pattern.replace("%n", node_name).replace("%h", host_name)


def _scan(path: str, values: dict[str, str], controllers: list[tuple[str, str]], depth: int) -> None:
    if depth > INCLUDE_DEPTH_MAX:
        raise ConfigError(f"more than {INCLUDE_DEPTH_MAX} files deep", path, 1, "Include")
    try:
        with open(path, "rb") as file:
            content = file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise ConfigError(f"{path!r} cannot be read: {(error.strerror or str(error)).lower()}") from error
    for line in _candidates(content):
        text = line.decode(errors="replace")
        if text[:7].lower() == "include" and text[7:8].isspace():
            name = text[8:].strip().strip('"').replace("%c", values.get("clustername", "").lower())
            _scan(os.path.join(os.path.dirname(path), name), values, controllers, depth + 1)
            continue
        for key, value in _pairs(text):
            if key == "slurmctldhost":
                name, _, address = value.partition("(")
                controllers.append((name, address.rstrip(")") or name))
            else:
                values[key] = value


def _candidates(content: bytes) -> Iterator[bytes]:
    """Yield the lines that may hold a wanted key, without comment and outer blanks."""
    lines: Iterable[bytes] = content.split(b"\n")
    if b"\\\n" in content:
        lines = _joined(lines)
    for line in [line for line in lines if line and line[0] in _FIRST_BYTES]:
        yield line.partition(b"#")[0].strip()


def _joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield logical lines: a backslash at the end of a line, not in a comment, joins the next."""
    joined = b""
    for line in lines:
        rest = line.rstrip()
        if rest.endswith(b"\\") and b"#" not in rest:
            joined += rest[:-1]
        else:
            yield joined + line
            joined = b""


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the wanted (key in lower case, value) pairs at the beginning of a line."""
    rest = text
    while rest:
        name, equals, after = rest.partition("=")
        key = name.strip().lower()
        if not equals or key not in _KEYS:
            return
        after = after.lstrip()
        if after.startswith('"'):
            value, _, rest = after[1:].partition('"')
        else:
            value = after.split(None, 1)[0] if after else ""
            rest = after[len(value) :]
        yield key, value
