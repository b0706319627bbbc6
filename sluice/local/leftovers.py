"""What belongs to a local cluster besides its recorded daemons: step daemons, the processes of jobs, control groups.

A daemon's marker is in the environment of all that it forks; a job's processes have the notice file of their step in
theirs, which lies in a spool of the cluster; and everything below a step daemon is its step's, whatever it did to its
environment.  Where a node's control groups are is in its spool: they alone are taken away, and only empty.  Of files,
pid files of processes that are gone and sockets at which nobody listens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from sluice.config.records import ClusterConfig
from sluice.local.daemons import MARKER
from sluice.local.place import Place
from sluice.local.process import ProcessId, environments, identify, parents

_NOTICE = b"SLUICE_NOTICE_FILE="
#: A killed process may leave its group a moment after its end can be seen.
_REMOVE_TRIES_MAX = 100
_REMOVE_PAUSE_S = 0.005


def marked(place: Place) -> list[ProcessId]:
    """Return the processes that are a daemon of the cluster or were forked by one, less those of jobs."""
    mark = f"{MARKER}={place.folder}".encode()
    return _identified(pid for pid, text in environments() if mark in text.split(b"\0"))


def job_processes(config: ClusterConfig | None, roots: Collection[ProcessId]) -> list[ProcessId]:
    """Return the processes of the cluster's jobs; *roots*: its step daemons, which are not among them."""
    root_pids = {root.pid for root in roots}
    found = _below(root_pids)
    if config is not None:
        spools = tuple(_NOTICE + folder.encode() + b"/" for folder in _spools(config))
        for pid, text in environments():
            if any(each.startswith(spools) for each in text.split(b"\0") if each.startswith(_NOTICE)):
                found.add(pid)
    return _identified(found - root_pids)


def remove_groups(place: Place, config: ClusterConfig | None) -> list[str]:
    """Take the empty control groups of the cluster's nodes away; return the folders of those that something is in."""
    spools = _spools(config) if config is not None else [str(each) for each in place.spool.glob("*")]
    left = [folder for spool in spools for folder in _groups(spool) if os.path.isdir(folder)]
    for _ in range(_REMOVE_TRIES_MAX):
        for folder in left:
            for here, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(here)
        left = [folder for folder in left if os.path.isdir(folder)]
        if not left:
            break
        time.sleep(_REMOVE_PAUSE_S)
    return left


def remove_files(place: Place, config: ClusterConfig | None) -> None:
    """Take away pid files and sockets of daemons that are gone; those that are not killed do so themselves."""
    pid_files, sockets = _files(config) if config is not None else (place.run.glob("*.pid"), place.run.glob("*.sock"))
    for path in map(Path, pid_files):
        # Not read, not ours: the file of a daemon that runs, or of no daemon.
        with contextlib.suppress(OSError, ValueError):
            if identify(int(path.read_text())) is None:
                path.unlink()
    for path in map(Path, sockets):
        if path.is_socket() and not _is_heard(path):
            path.unlink(missing_ok=True)


def _files(config: ClusterConfig) -> tuple[set[str], set[str]]:
    settings = config.settings
    nodes = [(node.name, node.hostname) for node in config.nodes]
    pid_files = {settings.slurmctld_pid_file, *(_of(settings.slurmd_pid_file, *node) for node in nodes)}
    return pid_files, {settings.controller_socket, *(_of(settings.agent_socket, *node) for node in nodes)}


def _of(pattern: str, node: str, host: str) -> str:
    return pattern.replace("%n", node).replace("%h", host)


def _is_heard(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True


def _groups(spool: str) -> list[str]:
    try:
        with open(os.path.join(spool, "groups"), errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _spools(config: ClusterConfig) -> list[str]:
    pattern = config.settings.slurmd_spool_dir
    return list({_of(pattern, node.name, node.hostname) for node in config.nodes})


def _below(roots: set[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        new = set(children.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def _identified(pids: Iterable[int]) -> list[ProcessId]:
    return [process for pid in pids if (process := identify(pid)) is not None]
