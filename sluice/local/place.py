"""The folder of a local cluster: its paths, its lock, and what it was set up as.

DIR/                    0755
    sluice.conf         written by up, unless the configuration is somebody else's
    sluice.key          0600
    setup.json          which configuration, how it was made
    state/              the controller's
    spool/NODE/         the agents'
    log/                one file a daemon
    run/                records of the daemons, sockets
    lock                held while up or down is at work
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sluice.errors import ConfigError
from sluice.local.shape import Shape

#: The longest path that bind() takes, less the longest name of a socket here ("/sluiced-n100000.sock").
_SOCKET_FOLDER_SIZE_MAX = 107 - 24

#: Exported by up where the configuration in use lies elsewhere than the cluster.
FOLDER_VARIABLE = "SLUICE_DIR"


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What the folder was set up as.

    shape: None when the configuration is not ours; digest: of the configuration as we wrote it.
    """

    conf_path: str
    shape: Shape | None = None
    digest: str = ""
    socket_folder: str = ""


class Place:
    """One folder; nothing is made before make()."""

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        # The real path: it also marks the cluster's processes, whatever name was used to get here.
        self.folder = Path(os.path.realpath(folder or default_folder()))
        self.conf = self.folder / "sluice.conf"
        self.key = self.folder / "sluice.key"
        self.state = self.folder / "state"
        self.spool = self.folder / "spool"
        self.logs = self.folder / "log"
        self.run = self.folder / "run"
        self._setup = self.folder / "setup.json"

    def make(self) -> None:
        """Make the folder and those in it.  Raises ConfigError where that is not possible."""
        try:
            for folder, mode in ((self.folder, 0o755), (self.logs, 0o755), (self.run, 0o755), (self.spool, 0o755)):
                folder.mkdir(mode=mode, parents=True, exist_ok=True)
            self.state.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.folder}: cannot be made: {error.strerror}; use --dir") from None
        if not os.access(self.folder, os.W_OK):
            raise ConfigError(f"{self.folder}: not writable by this user; use --dir")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock: one up or down at a time."""
        try:
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"{self.folder}: {(error.strerror or '').lower()}; is another user's cluster here?"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def read_setup(self) -> Setup | None:
        """Return what the folder was set up as; None: no cluster was ever here."""
        try:
            return msgspec.json.decode(self._setup.read_bytes(), type=Setup)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(f"{self._setup}: cannot be read: {error}; remove {self.folder}") from None

    def write_setup(self, setup: Setup) -> None:
        self._setup.write_bytes(msgspec.json.format(msgspec.json.encode(setup)) + b"\n")

    def make_socket_folder(self, known: str = "") -> str:
        """Return a folder with a path short enough for sockets: ours, or the one *known* from before, or a new one."""
        if len(os.fsencode(self.run)) <= _SOCKET_FOLDER_SIZE_MAX:
            return str(self.run)
        if known and os.path.isdir(known) and os.stat(known).st_uid == os.geteuid():
            return known
        folder = tempfile.mkdtemp(prefix="sluice-", dir="/tmp")
        os.chmod(folder, 0o755)
        return folder

    def delete(self) -> None:
        """Remove all that up made, and the folder if nothing else is in it."""
        setup = self.read_setup()
        if setup is not None and setup.socket_folder not in ("", str(self.run)):
            shutil.rmtree(setup.socket_folder, ignore_errors=True)
        for folder in (self.state, self.spool, self.logs, self.run):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.conf, self.key, self._setup, self.folder / "lock"):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def folder_of_conf(conf: str) -> str | None:
    """Return the folder of the local cluster whose configuration is *conf*; None: it is not that of one."""
    for folder in (os.path.dirname(os.path.abspath(conf)), os.environ.get(FOLDER_VARIABLE), default_folder()):
        setup = _setup_of(Place(folder)) if folder else None
        if setup is not None and os.path.realpath(setup.conf_path) == os.path.realpath(conf):
            return folder
    return None


def _setup_of(place: Place) -> Setup | None:
    try:
        return place.read_setup()
    except ConfigError:
        return None


def default_folder() -> str:
    """Return where a cluster lies unless said otherwise; root's is where other users can reach it."""
    base = os.environ.get("XDG_STATE_HOME")
    if base and os.path.isabs(base):
        return os.path.join(base, "sluice", "local")
    if os.geteuid() == 0:
        return "/var/lib/sluice-local"
    return os.path.expanduser("~/.local/state/sluice/local")
