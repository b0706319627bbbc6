"""The exceptions that cross a room's border, and nothing else.

SluiceError
├── RequestError          the caller's fault; goes back over the wire as (code, message)
│   ├── InvalidRequest    malformed or inconsistent options
│   ├── NotPermitted
│   ├── NotFound
│   └── Infeasible        could never run here
├── ConfigError           file, line, key, what was expected
├── TraceError            a workload trace: file, line, what was expected
├── StorageError          the database refused or is gone; nothing was acknowledged
├── PeerError             the other side: Unreachable (NotConnected, Refused), ProtocolMismatch, AuthenticationFailed
└── PluginError           which plugin, which hook

An expected "no" (a job that has to wait, a node that does not fit) is a value, not an exception.
This module is light: the commands import it.
"""


class SluiceError(Exception):
    """Base of everything that Sluice raises on purpose."""


class RequestError(SluiceError):
    """A request that is refused.

    code: one word that programs match (CONTRACT section 15 gives the user's text for it).
    message: what was wanted, what stands against it, the numbers, what would work.
    """

    default_code = "invalid_request"

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class InvalidRequest(RequestError):
    """Malformed or inconsistent options."""


class NotPermitted(RequestError):
    """The caller's role does not allow the verb."""

    default_code = "not_permitted"


class NotFound(RequestError):
    """The named object does not exist."""

    default_code = "not_found"


class Infeasible(RequestError):
    """No set of healthy nodes could ever hold the request."""

    default_code = "infeasible"


class ConfigError(SluiceError):
    """A configuration file is wrong: file, line, key, what was expected."""

    def __init__(self, message: str, file: str = "", line: int = 0, key: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.key = key

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        where = f"{place}: " if place else ""
        key = f"{self.key}: " if self.key else ""
        return f"{where}{key}{self.message}"


class TraceError(SluiceError):
    """A workload trace cannot be read: file, line, what was expected."""

    def __init__(self, message: str, file: str, line: int = 0) -> None:
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")


class StorageError(SluiceError):
    """The database refused a transaction or is gone; what waited for it is not acknowledged."""


class PeerError(SluiceError):
    """The other side of a connection failed us."""


class Unreachable(PeerError):
    """No connection, or it broke, or a deadline passed."""


class Refused(Unreachable):
    """Nobody listens there, for now."""


class NotConnected(Unreachable):
    """No connection could be made, so nothing was sent."""


class ProtocolMismatch(PeerError):
    """The peer does not speak a version of the protocol that we do."""


class AuthenticationFailed(PeerError):
    """A credential is missing, forged, expired, replayed or foreign."""


class PluginError(SluiceError):
    """A plugin failed: which plugin, which hook."""
