"""Directories of a step's own on a node, for clusters that have several nodes on one host (SluicePrivateDirs).

MPI libraries keep sockets and shared memory in /tmp and /dev/shm under names made of host, user and rank: two nodes
of one host step on each other there.  Each step of MPI therefore gets a mount namespace on each node, in which the
directories are new and empty, but for what the step's command line and environment name: the top entry below the
directory of each such path stays as it is, so that programs and their files are found.  Daemons of mpirun do not name
what they will run: to them all that is there shows through, but for MPI's own.

Batch scripts, and steps that have nothing to do with MPI, see the host's directories.

Invariant: names are looked up and things are made with the user's rights, and mounts go from and to what was opened
so.  The user names the paths, and may put a link in the place of anything meanwhile.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import stat
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sluiced.steps.descendants import load_libc
from sluiced.steps.fork import fork
from sluiced.steps.user import User, acting_as

#: What mpirun and mpiexec start on the nodes of a job, through srun --mpi=none.
LAUNCH_DAEMONS = frozenset({"orted", "prted", "hydra_pmi_proxy"})
#: What MPI libraries make in /tmp, by the beginnings of the names.
_OF_MPI = ("ompi.", "openmpi-sessions-", "prte.", "pmix", "sluice.")
#: The directory whose files are memory.
_SHARED_MEMORY = "/dev/shm"
#: A folder, and no link to one.
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
_CLONE_NEWNS = 0x00020000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18


class Cover(NamedTuple):
    """One directory to be made new.  source: what is seen instead, empty for memory; kept: what shows through."""

    path: str
    source: str
    kept: tuple[str, ...]


def are_wanted(mpi: str, program: str) -> bool:
    """Does a step with this --mpi and this program start ranks that talk to each other?"""
    return mpi not in ("", "none") or os.path.basename(program) in LAUNCH_DAEMONS


def plan_covers(
    folders: Sequence[str], temp_dir: str, work_dir: str, paths: Iterable[str], program: str = ""
) -> list[Cover]:
    """Return what to cover.  paths: what the step names, absolute ones among them; program: of a launch daemon.

    The folder that the step works in stays: what the user has put there is what it is about.
    """
    named = [os.path.normpath(path) for path in (temp_dir, work_dir, *paths) if path.startswith("/")]
    covers = []
    for folder in folders:
        if os.path.normpath(work_dir) == folder:
            continue
        kept = {path.removeprefix(folder + "/").partition("/")[0] for path in named if path.startswith(folder + "/")}
        is_memory = folder == _SHARED_MEMORY
        if os.path.basename(program) in LAUNCH_DAEMONS and not is_memory:
            kept |= {name for name in os.listdir(folder) if not name.startswith(_OF_MPI)}
        source = "" if is_memory else os.path.join(temp_dir, folder.strip("/").replace("/", "-"))
        covers.append(Cover(folder, source, tuple(sorted(kept))))
    return covers


def make_namespace(covers: Sequence[Cover], user: User) -> int:
    """Return a descriptor of a new mount namespace with these covers, for enter_namespace().  Raises OSError.

    What is made for them is the user's, who removes it with the rest of the step's folder.
    """
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        _make_in_child(covers, user, writer)
    os.close(writer)
    try:
        number = int(os.read(reader, 16) or b"1")
        if number:
            raise OSError(number, os.strerror(number))
        return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def enter_namespace(descriptor: int) -> None:
    """Be in it from now on; the working directory is / then.  Raises OSError."""
    _check(load_libc().setns(descriptor, _CLONE_NEWNS))


def _make_in_child(covers: Sequence[Cover], user: User, writer: int) -> None:
    number = 0
    try:
        _check(load_libc().unshare(_CLONE_NEWNS))
        # Nothing of what follows may show on the host.
        _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
        for cover in covers:
            _cover(cover, user)
    except OSError as error:
        number = error.errno or 1
    os.write(writer, b"%d" % number)
    while True:
        signal.pause()


def _cover(cover: Cover, user: User) -> None:
    # Held open: once the directory is covered, no path leads there any more.
    kept = {}
    with acting_as(user, 0o077):
        for name in cover.kept:
            with contextlib.suppress(OSError):
                kept[name] = os.open(os.path.join(cover.path, name), os.O_PATH)
    if cover.source:
        source = _make_source(cover.source, user)
        _mount(_of(source), cover.path, "", _MS_BIND)
        os.close(source)
    else:
        _mount("tmpfs", cover.path, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777")
    for name, descriptor in kept.items():
        with acting_as(user, 0o077):
            place = _make_place(os.path.join(cover.path, name), stat.S_ISDIR(os.fstat(descriptor).st_mode))
        _mount(_of(descriptor), _of(place), "", _MS_BIND | _MS_REC)
        os.close(descriptor)
        os.close(place)


def _make_source(path: str, user: User) -> int:
    """Return a descriptor of a new folder of the user's."""
    with acting_as(user, 0):
        os.mkdir(path, 0o1777)
        folder = os.open(path, _FOLDER)
    if os.fstat(folder).st_uid != user.uid:
        raise PermissionError(errno.EPERM, f"{path} is not the user's any more")
    return folder


def _make_place(path: str, is_folder: bool) -> int:
    """Return a descriptor of something new to mount on."""
    if not is_folder:
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.mkdir(path)
    return os.open(path, _FOLDER)


def _of(descriptor: int) -> str:
    """Return the path that leads to what is open, whatever its own path leads to by now."""
    return f"/proc/self/fd/{descriptor}"


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    words = (os.fsencode(source), os.fsencode(target), kind.encode() or None)
    _check(load_libc().mount(*words, ctypes.c_ulong(flags), options.encode() or None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
