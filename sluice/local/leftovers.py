"""What belongs to a local cluster besides its recorded daemons: step daemons, and the processes of jobs.

A daemon's marker is in the environment of all that it forks; a job's processes have the notice file of their step in
theirs, which lies in a spool of the cluster; and everything below a step daemon is its step's, whatever it did to its
environment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sluice.config.records import ClusterConfig
from sluice.local.daemons import MARKER
from sluice.local.place import Place
from sluice.local.process import ProcessId, environments, identify, parents

_NOTICE = b"SLUICE_NOTICE_FILE="


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


def _spools(config: ClusterConfig) -> list[str]:
    pattern = config.settings.slurmd_spool_dir
    return list({pattern.replace("%n", node.name).replace("%h", node.hostname) for node in config.nodes})


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
