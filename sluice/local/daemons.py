"""The daemons that a configuration asks for: started as programs of their own session, recorded, found again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sluice import hostlist
from sluice.config.records import ClusterConfig
from sluice.local.place import Place
from sluice.local.process import ProcessId, identify, is_alive

#: In the environment of every daemon, and of what it forks: the folder of its cluster.
MARKER = "SLUICE_LOCAL_CLUSTER"
CONTROLLER, AGENT, EMULATOR = "controller", "agent", "emulator"
_LOG_TAIL_LINES = 15


class Daemon(msgspec.Struct, frozen=True, kw_only=True):
    """One daemon that should run.

    node: a hostlist for an emulator, empty for the controller; command: what follows the interpreter;
    log: where it writes, once it is up; output: its stdout and stderr.
    """

    role: str
    node: str
    command: tuple[str, ...]
    log: str
    output: str

    @property
    def name(self) -> str:
        """As in file names and messages: sluicectld, sluiced-n1."""
        if self.role == CONTROLLER:
            return "sluicectld"
        return "sluiced-emulated" if self.role == EMULATOR else f"sluiced-{self.node}"


class DaemonRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is written of a daemon when it is started."""

    role: str
    node: str
    process: ProcessId
    log: str
    output: str
    started_at: float


def list_daemons(place: Place, config: ClusterConfig, is_emulated: bool) -> list[Daemon]:
    """Return the daemons that *config* asks for, the controller first."""
    settings, conf = config.settings, ("-f", config.path)
    names = [node.name for node in config.nodes]

    def daemon(role: str, node: str, pattern: str, host: str, *command: str) -> Daemon:
        made = Daemon(role=role, node=node, command=command, log="", output="")
        output = str(place.logs / f"{made.name}.log")
        log = pattern.replace("%n", node).replace("%h", host) or output
        return msgspec.structs.replace(made, log=log, output=output)

    controller = daemon(CONTROLLER, "", settings.slurmctld_log_file, "", "-m", "sluicectld", *conf)
    if is_emulated:
        nodes = hostlist.fold(names)
        return [controller, daemon(EMULATOR, nodes, "", "", "-m", "sluiced", *conf, "-N", nodes, "--emulate")]
    agents = (
        daemon(AGENT, node.name, settings.slurmd_log_file, node.hostname, "-m", "sluiced", *conf, "-N", node.name)
        for node in config.nodes
    )
    return [controller, *agents]


def start(place: Place, daemon: Daemon) -> DaemonRecord:
    """Start *daemon* in the background and record it.  It outlives this process, and has nothing of its terminal."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SLUICE_"))}
    environment[MARKER] = str(place.folder)
    with open(daemon.output, "ab") as output:
        process = subprocess.Popen(
            # -P: the folder in which it runs is not searched for modules.
            [sys.executable, "-P", *daemon.command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=place.folder,
            env=environment,
            start_new_session=True,
        )
    identity = identify(process.pid) or ProcessId(process.pid, 0, "")
    # Nobody waits for it: it is meant to outlive us.
    process.returncode = 0
    record = DaemonRecord(
        role=daemon.role,
        node=daemon.node,
        process=identity,
        log=daemon.log,
        output=daemon.output,
        started_at=time.time(),
    )
    _record_path(place, daemon.name).write_bytes(msgspec.json.encode(record))
    return record


def find(place: Place, daemon: Daemon) -> DaemonRecord | None:
    """Return the record of *daemon* if it runs."""
    record = _read(_record_path(place, daemon.name))
    return record if record is not None and is_alive(record.process) else None


def running(place: Place) -> list[DaemonRecord]:
    """Return the daemons of the place that run, whatever the configuration says now."""
    return [record for _, record in _records(place) if is_alive(record.process)]


def forget_ended(place: Place) -> None:
    """Remove the records of daemons that do not run."""
    for path, record in _records(place):
        if not is_alive(record.process):
            path.unlink(missing_ok=True)


def log_tail(daemon: Daemon) -> str:
    """Return the end of what *daemon* said, with the name of the file."""
    for path in dict.fromkeys((daemon.output, daemon.log)):
        try:
            lines = Path(path).read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        except OSError:
            continue
        if lines:
            return "\n".join([f"the end of {path}:", *(f"    {line}" for line in lines)])
    return f"nothing is in {daemon.output}"


def _records(place: Place) -> Iterator[tuple[Path, DaemonRecord]]:
    for path in sorted(place.run.glob("*.json")):
        if (record := _read(path)) is not None:
            yield path, record


def _record_path(place: Place, name: str) -> Path:
    return place.run / f"{name}.json"


def _read(path: Path) -> DaemonRecord | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=DaemonRecord)
    except (OSError, msgspec.DecodeError):
        return None
