"""Run Debian's own Slurm on this machine, as the peer that benchmarks compare with.

A SlurmPeer is a context manager: a munged with its own key and socket, one slurmctld
and *nodes* slurmds, all on loopback, all state in one temporary folder.  It uses no systemd,
no database and none of the machine's cgroups.  What the configuration says is
slurm_peer_conf.py's; ports and left-over processes are peer_processes.py's.

Invariant: after stop() nothing that start() began is alive, steps of unfinished jobs included.

    with SlurmPeer(nodes=3, cpus=8) as peer:
        peer.run("sbatch", "--wrap", "true")

As a command: ``python -m bench.slurm_peer --nodes 3 -- sinfo`` runs one command against a peer and leaves;
without a command the peer stays until interrupted.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.peer_processes import end_daemon, free_ports, kill_job_processes
from bench.slurm_peer_conf import PeerLayout, render_slurm_conf

#: What Debian's packages install, and where; our own drop-in commands may come first in PATH.
COMMANDS_FOLDER = Path("/usr/bin")
DAEMONS_FOLDER = Path("/usr/sbin")
PROGRAMS_NEEDED = (
    DAEMONS_FOLDER / "munged",
    DAEMONS_FOLDER / "slurmctld",
    DAEMONS_FOLDER / "slurmd",
    COMMANDS_FOLDER / "sbatch",
)
START_LIMIT_S = 30.0


class PeerUnavailable(Exception):
    """The peer cannot run here; the message says what is missing and the next step."""


class SlurmPeer:
    """A Slurm cluster of *nodes* nodes with *cpus* CPUs each, alive inside the with block."""

    def __init__(
        self,
        nodes: int = 3,
        cpus: int = 8,
        *,
        tuned: bool = False,
        memory_mib: int = 16000,
        extra_lines: tuple[str, ...] = (),
        partition_lines: tuple[str, ...] = (),
        node_options: str = "",
        extra_files: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the cluster; nothing starts before start() or the with block.

        tuned: the measured fastest scheduler parameters instead of Slurm's defaults.
        extra_lines: appended to slurm.conf as they are (they may not repeat a key).
        partition_lines: replace the one default partition `batch` of all nodes.
        node_options: more pairs for every node line, such as 'Gres=gpu:2 Feature=fast'.
        extra_files: text by name, written beside slurm.conf (gres.conf, topology.conf).
        """
        self.node_names = [f"n{index}" for index in range(1, nodes + 1)]
        self.cpus = cpus
        self.tuned = tuned
        self.memory_mib = memory_mib
        self.extra_lines = extra_lines
        self.partition_lines = partition_lines
        self.node_options = node_options
        # An empty cgroup.conf keeps slurmd from reading the machine's /etc/slurm/cgroup.conf.
        self.extra_files = {"cgroup.conf": "", **(extra_files or {})}
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._controller: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """Return the folder that holds configuration, state and logs."""
        assert self._folder is not None, "the peer has not been started"
        return self._folder

    @property
    def environment(self) -> dict[str, str]:
        """Return this process's environment, pointed at the peer and at nothing else."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SLURM", "SBATCH", "SRUN", "SALLOC", "SQUEUE", "SINFO", "SLUICE"))
        }
        return {**inherited, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self) -> None:
        """Start the cluster and return once every node is idle; raises PeerUnavailable."""
        check_available()
        self._folder = Path(tempfile.mkdtemp(prefix="slurm-peer-"))
        try:
            self._start_daemons()
        except BaseException:
            self.stop()
            raise

    def _start_daemons(self) -> None:
        self.folder.chmod(0o755)
        self._start_munged()
        self._write_configuration()
        self.start_controller()
        for name in self.node_names:
            self._spawn("slurmd", "-D", "-N", name, log_name=f"slurmd-{name}")
        self._wait_until(self._all_nodes_idle, "all nodes are idle")

    def start_controller(self) -> None:
        """Start slurmctld, or start it again after kill_controller(), and return once it answers."""
        self._controller = self._spawn("slurmctld", "-D", "-i")
        self._wait_until(lambda: self.run("scontrol", "ping").returncode == 0, "slurmctld answers")

    def kill_controller(self) -> None:
        """End slurmctld with SIGKILL, as a crash would."""
        assert self._controller is not None, "the peer has not been started"
        self._controller.kill()
        self._controller.wait()
        self._daemons.remove(self._controller)

    def stop(self) -> None:
        """End all jobs and daemons and remove the folder; does nothing when not running."""
        if self._folder is None:
            return
        for daemon in reversed(self._daemons):
            end_daemon(daemon)
        self._daemons.clear()
        kill_job_processes(self.folder / "slurm.conf")
        shutil.rmtree(self.folder, ignore_errors=True)
        self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def run(
        self, command: str, *arguments: str, limit_s: float = 60.0, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Slurm's commands against this peer; its exit status is the caller's to judge."""
        return subprocess.run(
            [str(COMMANDS_FOLDER / command), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            cwd=cwd,
            check=False,
        )

    def _write_configuration(self) -> None:
        ports = free_ports(1 + len(self.node_names))
        layout = PeerLayout(
            folder=self.folder,
            host=socket.gethostname().split(".")[0],
            controller_port=ports[0],
            port_by_node=dict(zip(self.node_names, ports[1:], strict=True)),
            cpus=self.cpus,
            memory_mib=self.memory_mib,
            is_tuned=self.tuned,
            node_options=self.node_options,
        )
        text = render_slurm_conf(layout, self.extra_lines, self.partition_lines)
        (self.folder / "slurm.conf").write_text(text)
        for name, content in self.extra_files.items():
            (self.folder / name).write_text(content)
        (self.folder / "state").mkdir()

    def _start_munged(self) -> None:
        home = self.folder / "munge"
        home.mkdir(mode=0o755)
        key = home / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        paths = {name: home / f"munge.{name}" for name in ("key", "socket", "pid", "log", "seed")}
        self._spawn(
            "munged",
            "--foreground",
            "--force",
            f"--key-file={paths['key']}",
            f"--socket={paths['socket']}",
            f"--pid-file={paths['pid']}",
            f"--log-file={paths['log']}",
            f"--seed-file={paths['seed']}",
        )
        self._wait_until(paths["socket"].exists, "munged listens")

    def _spawn(self, program: str, *arguments: str, log_name: str = "") -> subprocess.Popen[bytes]:
        log_path = self.folder / f"{log_name or program}.log"
        with log_path.open("ab") as log:
            daemon = subprocess.Popen(
                [str(DAEMONS_FOLDER / program), *arguments],
                env=self.environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._daemons.append(daemon)
        return daemon

    def _all_nodes_idle(self) -> bool:
        states = self.run("sinfo", "-h", "-N", "-o", "%T").stdout.split()
        return len(states) >= len(self.node_names) and set(states) == {"idle"}

    def _wait_until(self, condition: Callable[[], bool], wanted: str) -> None:
        give_up_at = time.monotonic() + START_LIMIT_S
        while not condition():
            dead = [daemon for daemon in self._daemons if daemon.poll() is not None]
            if dead or time.monotonic() > give_up_at:
                raise PeerUnavailable(f"the Slurm peer did not start: wanted {wanted!r}\n{self._log_tails()}")
            time.sleep(0.05)

    def _log_tails(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        tails = ["\n".join([f"{log.name}:", *log.read_text(errors="replace").splitlines()[-5:]]) for log in logs]
        return "\n".join(tails)


def check_available() -> None:
    """Raise PeerUnavailable unless Debian's Slurm is installed and we may run it."""
    missing = [str(program) for program in PROGRAMS_NEEDED if not program.exists()]
    if missing:
        raise PeerUnavailable(
            f"the Slurm peer needs {', '.join(missing)}; run 'apt-get install -y slurm-wlm munge' as root (--install)"
        )
    if os.geteuid() != 0:
        raise PeerUnavailable("the Slurm peer runs as root only: slurmd starts jobs for other users")


def install() -> None:
    """Install Debian's packages; raises PeerUnavailable with apt's last word."""
    for arguments in (["update"], ["install", "-y", "slurm-wlm", "munge"]):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            ["apt-get", "-q", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            last_word = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise PeerUnavailable(f"apt-get {arguments[0]} failed: {' '.join(last_word)}")


def main() -> int:
    """Run one command, or wait for an interrupt, with a peer up; return the command's status."""
    parser = argparse.ArgumentParser(description="run Debian's Slurm on loopback")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=8)
    parser.add_argument("--tuned", action="store_true", help="fastest scheduler parameters")
    parser.add_argument("--install", action="store_true", help="install Debian's packages first, as root")
    parser.add_argument("command", nargs="*", help="run this against the peer, then stop it")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.install:
            install()
        with SlurmPeer(options.nodes, options.cpus, tuned=options.tuned) as peer:
            if options.command:
                return subprocess.run(options.command, env=peer.environment, check=False).returncode
            print(f"export SLURM_CONF={peer.folder / 'slurm.conf'}", flush=True)
            signal.pause()
    except PeerUnavailable as unavailable:
        print(f"slurm_peer: {unavailable}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
