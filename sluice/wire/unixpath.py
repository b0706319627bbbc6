"""A listening UNIX socket at a path, safely: nothing alive is replaced, nobody else can replace it."""

from __future__ import annotations

import errno
import os
import socket
import stat

from sluice.errors import ConfigError

#: sun_path on Linux, less its final zero.
_PATH_SIZE_MAX = 107


def bind_unix(path: str, mode: int, backlog: int) -> socket.socket:
    """Return a listening socket at *path*.

    A socket file that nobody answers on is replaced.  Raises ConfigError: something else is at the path,
    another process answers there, or the folder is open to others.
    """
    if len(os.fsencode(path)) > _PATH_SIZE_MAX:
        raise ConfigError(f"socket path {path!r} is longer than {_PATH_SIZE_MAX} bytes")
    _check_parent(path)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        # Between bind and listen every connect is refused, so nobody gets in under the wrong mode.
        os.chmod(path, mode)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {path!r}: {error.strerror}") from None
    return listener


def identity_of_file(path: str) -> tuple[int, int] | None:
    """Return what distinguishes the file at *path* from a later one; None: there is none."""
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _check_parent(path: str) -> None:
    folder = os.path.dirname(path) or "."
    try:
        facts = os.stat(folder)
    except OSError as error:
        raise ConfigError(f"cannot listen on {path!r}: folder {folder!r}: {error.strerror}") from None
    if not stat.S_ISDIR(facts.st_mode):
        raise ConfigError(f"cannot listen on {path!r}: {folder!r} is not a folder")
    if facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX:
        raise ConfigError(
            f"cannot listen on {path!r}: everybody may write to {folder!r} (mode {stat.S_IMODE(facts.st_mode):04o})"
            " and could put another socket there; use chmod o-w"
        )


def _remove_stale(path: str) -> None:
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(facts.st_mode):
        raise ConfigError(f"cannot listen on {path!r}: a file that is no socket is there")
    if _is_answered(path):
        raise ConfigError(f"cannot listen on {path!r}: another process answers there")
    os.unlink(path)


def _is_answered(path: str) -> bool:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.setblocking(False)
    try:
        # A full backlog gives EAGAIN: somebody is there, and busy.
        return probe.connect_ex(path) not in (errno.ECONNREFUSED, errno.ENOENT)
    finally:
        probe.close()
