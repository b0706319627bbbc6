"""How an SQLite file can be opened by who may only read it, and which right is missing to who may not even that.

A log in use (FILE-wal, FILE-shm) is read along with the file.  SQLite would make the two where they are not there,
which takes the right to write in the folder; without it the file is read as one that nobody changes (immutable), which
is true as long as no log appears: unguarded_state() tells whether that held.

Source: sqlite.org/wal.html, section "Read-Only Databases".
"""

import os
import pwd
from urllib.parse import quote


def reader_uri(path: str) -> str:
    """Return the URI under which this user can read *path*; empty: as anybody who may write it."""
    if os.access(path, os.W_OK) and os.access(os.path.dirname(path) or ".", os.W_OK):
        return ""
    mode = "mode=ro" if _has_log(path) or os.path.exists(f"{path}-shm") else "immutable=1"
    return f"file:{quote(os.path.abspath(path))}?{mode}"


def unguarded_state(path: str) -> tuple[int, int, bool] | None:
    """Return what changes with a file that is read without a log; None where a log guards its readers."""
    if "immutable" not in reader_uri(path):
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, os.path.exists(f"{path}-shm")


def missing_right(path: str) -> str:
    """Return which right to read *path* this user lacks; empty if none."""
    user = _user_name()
    folder = os.path.dirname(os.path.abspath(path))
    for each in _from_the_root(folder):
        if os.path.isdir(each) and not os.access(each, os.X_OK):
            return f"user {user!r} has no right to search folder {each} (x)"
    for each in (path, f"{path}-wal", f"{path}-shm"):
        if os.path.exists(each) and not os.access(each, os.R_OK):
            return f"user {user!r} has no right to read {each} (r)"
    if _has_log(path) and not os.path.exists(f"{path}-shm") and not os.access(folder, os.W_OK):
        return f"{path}-wal has what is not in the file yet, and user {user!r} has no right to write in {folder} (w)"
    return ""


def _has_log(path: str) -> bool:
    try:
        return os.path.getsize(f"{path}-wal") > 0
    except OSError:
        return False


def _from_the_root(folder: str) -> list[str]:
    folders = [folder]
    while (parent := os.path.dirname(folders[-1])) != folders[-1]:
        folders.append(parent)
    return folders[::-1]


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
