"""A Sluice cluster of one's own for a benchmark: controller and agents as processes, all state in one temporary folder.

    with BenchCluster(nodes=3, cpus=8) as cluster:
        cluster.run("sbatch", "--wrap", "true")

Real nodes are one agent each; emulated ones share a process and their jobs are timers.  Durability is the product's
default (SQLite, synchronous=FULL); nothing is tuned for the measurement.

Invariant: after stop() no daemon that start() began is alive.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.peer_processes import end_daemon, free_ports
from sluice.errors import PeerError
from sluice.wire.light import LightConnection, connect_unix

START_LIMIT_S = 60.0
BIN_FOLDER = Path(sys.executable).parent
_FOREIGN = ("SLURM", "SBATCH", "SRUN", "SALLOC", "SQUEUE", "SINFO", "SLUICE")
#: Commands must find their compiled modules, as an installed program does.
_UNSET = ("PYTHONDONTWRITEBYTECODE",)


class BenchCluster:
    """A cluster of *nodes* nodes with *cpus* CPUs each, alive inside the with block."""

    def __init__(
        self,
        nodes: int = 3,
        cpus: int = 8,
        *,
        is_emulated: bool = False,
        memory_mib: int = 16000,
        extra_lines: tuple[str, ...] = (),
    ) -> None:
        self.node_count = nodes
        self.cpus = cpus
        self.is_emulated = is_emulated
        self.memory_mib = memory_mib
        self.extra_lines = extra_lines
        self.folder = Path()
        self.agents: list[subprocess.Popen[bytes]] = []
        self._controller: subprocess.Popen[bytes] | None = None

    # --- life

    def start(self) -> None:
        """Start the cluster and return once every node is idle."""
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
        self.folder.chmod(0o755)
        try:
            self._write_configuration()
            self.start_controller()
            self._start_agents()
            self.wait_until(self._all_nodes_idle, "all nodes are idle")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for daemon in [*self.agents, *([self._controller] if self._controller else [])]:
            end_daemon(daemon)
        self.agents.clear()
        self._controller = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_controller(self) -> float:
        """Start the controller; return the seconds until it answered."""
        began_s = time.monotonic()
        self._controller = self._spawn("sluicectld")
        self.wait_until(self._answers, "the controller answers", pause_s=0.005)
        return time.monotonic() - began_s

    def kill_controller(self) -> None:
        """End the controller with SIGKILL, as a crash would."""
        self.controller.kill()
        self.controller.wait()

    def stop_controller(self) -> None:
        end_daemon(self.controller)

    @property
    def controller(self) -> subprocess.Popen[bytes]:
        assert self._controller is not None, "the cluster has not been started"
        return self._controller

    # --- use

    @property
    def socket(self) -> str:
        return str(self.folder / "controller.sock")

    @property
    def environment(self) -> dict[str, str]:
        """Return this process's environment, pointed at this cluster and at nothing else."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN) and name not in _UNSET
        }
        conf = str(self.folder / "sluice.conf")
        return {**inherited, "SLURM_CONF": conf, "PATH": f"{BIN_FOLDER}:{os.environ['PATH']}"}

    def connect(self) -> LightConnection:
        return connect_unix(self.socket)

    def call(self, name: str, body: object) -> Any:
        with self.connect() as connection:
            return connection.call(name, body)

    def counters(self) -> dict[str, float]:
        """Return the controller's own statistics."""
        numbers: dict[str, float] = self.call("QueryStatistics", {}).get("counters", {})
        return numbers

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what the database on the disk says."""
        connection = sqlite3.connect(f"file:{self.folder}/state/sluice.db?mode=ro", uri=True)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def run(self, command: str, *arguments: str, limit_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run one of the commands against this cluster; its exit status is the caller's to judge."""
        return subprocess.run(
            [str(BIN_FOLDER / command), *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def wait_until(self, condition: Callable[[], bool], wanted: str, pause_s: float = 0.05) -> None:
        give_up_at = time.monotonic() + START_LIMIT_S
        while not condition():
            dead = [daemon for daemon in [*self.agents, self.controller] if daemon.poll() is not None]
            if dead or time.monotonic() > give_up_at:
                raise RuntimeError(f"the cluster did not get there: wanted {wanted!r}\n{self._log_tails()}")
            time.sleep(pause_s)

    # --- parts

    def _write_configuration(self) -> None:
        folder = self.folder
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(32) + "\n")
        ports = free_ports(1 if self.is_emulated else 1 + self.node_count)
        lines = [
            "ClusterName=bench",
            "SlurmctldHost=localhost(127.0.0.1)",
            f"SlurmctldPort={ports[0]}",
            f"SlurmUser={_user_name()}",
            f"StateSaveLocation={folder}/state",
            f"SlurmdSpoolDir={folder}/spool/%n",
            f"SluiceControllerSocket={self.socket}",
            f"SluiceAgentSocket={folder}/%n.sock",
            f"SluiceKeyFile={key}",
            f"SlurmctldPidFile={folder}/controller.pid",
            f"SlurmdPidFile={folder}/%n.pid",
            "SlurmdParameters=config_overrides",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core_Memory",
            f"DefMemPerCPU={self.memory_mib // self.cpus}",
            "ReturnToService=2",
            "MaxJobCount=2000000",
            "MaxArraySize=2000000",
            *self.extra_lines,
            *self._node_lines(ports[1:]),
            "PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
        ]
        (folder / "sluice.conf").write_text("\n".join(lines) + "\n")

    def _node_lines(self, ports: list[int]) -> list[str]:
        size = f"CPUs={self.cpus} RealMemory={self.memory_mib}"
        if self.is_emulated:
            return [f"NodeName={self._node_names()} NodeAddr=127.0.0.1 Port=20001-{20000 + self.node_count} {size}"]
        return [f"NodeName=n{i} NodeAddr=127.0.0.1 Port={port} {size}" for i, port in enumerate(ports, 1)]

    def _node_names(self) -> str:
        return f"n[1-{self.node_count}]"

    def _start_agents(self) -> None:
        if self.is_emulated:
            self.agents.append(self._spawn("sluiced", "-D", "-N", self._node_names(), "--emulate", log="agents"))
            return
        for index in range(1, self.node_count + 1):
            self.agents.append(self._spawn("sluiced", "-D", "-N", f"n{index}", log=f"agent-n{index}"))

    def _spawn(self, module: str, *arguments: str, log: str = "") -> subprocess.Popen[bytes]:
        with (self.folder / f"{log or module}.log").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", module, "-f", str(self.folder / "sluice.conf"), *arguments],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        try:
            self.call("Ping", {})
        except PeerError:
            return False
        return True

    def _all_nodes_idle(self) -> bool:
        nodes = self.call("QueryNodes", {}).get("nodes", [])
        return len(nodes) >= self.node_count and all(
            node["state"] == "idle" and not node.get("flags") for node in nodes
        )

    def _log_tails(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(
            "\n".join([f"{log.name}:", *log.read_text(errors="replace").splitlines()[-5:]]) for log in logs
        )


def _user_name() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def exit_on_sigterm() -> None:
    """Turn SIGTERM into an exit that unwinds with blocks, so that daemons are ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
