"""A live cluster for tests: real daemons, real processes, in a temporary folder of its own.

    with LocalCluster(nodes=2, cpus=4) as cluster:
        cluster.run("sbatch", "--wrap", "hostname")
        cluster.wait_jobs_ended()

or, with `pytest_plugins = ["sluice.testing"]` in the top folder's conftest.py, the fixture `local_cluster`, shared by
the tests of a module.  Daemons can be killed and started again, to see that nothing is lost.  Not a light module.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from sluice.config.load import load
from sluice.errors import SluiceError
from sluice.local import cluster, daemons, process, readiness
from sluice.local.daemons import CONTROLLER, Daemon
from sluice.local.place import Place
from sluice.local.shape import Wish
from sluice.wire import light

WAIT_LIMIT_S = 60.0
_PAUSE_S = 0.02


class LocalCluster:
    """A cluster of n1 to nN.  Use it as a context manager: at the end every process and file of it is gone.

    emulated: one process for so many nodes, whose jobs are timers.  settings: further keys of the configuration.
    files: what lies beside it (gres.conf), by name; %d in them is the folder.
    """

    def __init__(
        self,
        nodes: int = 3,
        *,
        cpus: int = 4,
        memory_mib: int = 4000,
        emulated: int | None = None,
        settings: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        self._wish = Wish(
            nodes=None if emulated else nodes,
            emulated=emulated,
            cpus=cpus,
            memory_mib=memory_mib,
            settings=dict(settings or {}),
        )
        self._files = dict(files or {})
        self._place = Place()
        self._daemons: dict[str, Daemon] = {}

    def __enter__(self) -> LocalCluster:
        folder = tempfile.mkdtemp(prefix="sluice-test-", dir="/tmp")
        # Jobs of other users must get at their scripts in the spool.
        os.chmod(folder, 0o755)
        self._place = Place(folder)
        for name, text in self._files.items():
            with open(os.path.join(folder, name), "w") as file:
                file.write(text.replace("%d", folder))
        try:
            cluster.up(self._place, self._wish)
        except BaseException:
            self.__exit__()
            raise
        self._daemons = {daemon.node or CONTROLLER: daemon for daemon in cluster.wanted_daemons(self._place)}
        self.config = load(self.conf_path)
        return self

    def __exit__(self, *_: object) -> None:
        if self._place.read_setup() is not None:
            cluster.down(self._place, is_forced=True)
        shutil.rmtree(self._place.folder, ignore_errors=True)

    @property
    def folder(self) -> str:
        return str(self._place.folder)

    @property
    def conf_path(self) -> str:
        return str(self._place.conf)

    @property
    def env(self) -> dict[str, str]:
        """The environment for commands: this cluster's configuration, and the commands of this installation first."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_VARIABLES)}
        path = os.pathsep.join([os.path.dirname(sys.executable), kept.get("PATH", os.defpath)])
        return kept | {"SLURM_CONF": self.conf_path, "PATH": path}

    def run(
        self,
        *command: str,
        input: str | None = None,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        limit_s: float = WAIT_LIMIT_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the cluster; env: variables on top.  A failure is an AssertionError with what it said."""
        done = subprocess.run(
            command,
            # Never the terminal of whoever runs the tests.
            input=input or "",
            capture_output=True,
            text=True,
            cwd=cwd or self.folder,
            env=self.env | dict(env or {}),
            timeout=limit_s,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def submit(self, *options: str, **how: Any) -> int:
        """Run sbatch with *options*; return the job's id."""
        return int(self.run("sbatch", "--parsable", *options, **how).stdout.partition(";")[0])

    # The daemons.

    def pid_of(self, name: str) -> int | None:
        """Return the pid of "controller" or of a node's agent; None: it does not run."""
        record = daemons.find(self._place, self._daemons[name])
        return record.process.pid if record is not None else None

    def log_of(self, name: str) -> str:
        """Return what "controller" or a node's agent has logged."""
        with open(self._daemons[name].log, errors="replace") as file:
            return file.read()

    def kill_controller(self) -> None:
        """Kill the controller by SIGKILL, as a crash would."""
        self._kill(CONTROLLER)

    def start_controller(self) -> None:
        """Start the controller and wait until it answers."""
        cluster.start_if_missing(self._place, self._daemons[CONTROLLER])
        self.wait_until(self._is_controller_up, "the controller answers")

    def kill_agent(self, node: str) -> None:
        """Kill a node's agent by SIGKILL; its steps go on."""
        self._kill(node)

    def start_agent(self, node: str) -> None:
        """Start a node's agent; wait_ready() tells when it has registered."""
        cluster.start_if_missing(self._place, self._daemons[node])

    def _kill(self, name: str) -> None:
        record = daemons.find(self._place, self._daemons[name])
        if record is not None:
            process.end([record.process], 0.0, signal.SIGKILL)

    # Waiting.

    def wait_ready(self, limit_s: float = WAIT_LIMIT_S) -> None:
        """Return once every node's agent has registered."""
        self.wait_until(lambda: all(map(readiness.is_ready, self._nodes())), "every node is ready", limit_s)

    def wait_idle(self, limit_s: float = WAIT_LIMIT_S) -> None:
        """Return once every node is idle."""
        self.wait_until(lambda: all(map(_is_idle, self._nodes())), "every node is idle", limit_s)

    def wait_jobs_ended(self, limit_s: float = WAIT_LIMIT_S) -> None:
        """Return once no job is pending, running or completing."""
        self.wait_until(lambda: not self.run("squeue", "-h", check=False).stdout.strip(), "all jobs ended", limit_s)

    def wait_until(self, condition: Callable[[], object], what: str, limit_s: float = WAIT_LIMIT_S) -> None:
        """Return once *condition* holds; a controller that is away does not count against it.

        Raises AssertionError after limit_s, with the end of the controller's log.
        """
        ends_at = time.monotonic() + limit_s
        while not _holds(condition):
            if time.monotonic() > ends_at:
                raise AssertionError(f"not in {limit_s:g} s: {what}; {daemons.log_tail(self._daemons[CONTROLLER])}")
            time.sleep(_PAUSE_S)

    def _nodes(self) -> list[dict[str, Any]]:
        return readiness.read_nodes(self.config)

    def _is_controller_up(self) -> bool:
        with light.connect_unix(self.config.settings.controller_socket) as connection:
            pong: dict[str, Any] = connection.call("Ping", {})
        return bool(pong.get("condition", "up") == "up")


#: Of a job or a cluster in which the tests themselves run.
_FOREIGN_VARIABLES = ("SLURM_", "SBATCH_", "SALLOC_", "SRUN_", "SQUEUE_", "SCANCEL_", "SINFO_", "SACCT_", "SLUICE_")


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except SluiceError:
        return False


def _is_idle(node: dict[str, Any]) -> bool:
    return bool(node["state"] == "idle" and not node.get("flags"))


@pytest.fixture(scope="module")
def local_cluster() -> Iterator[LocalCluster]:
    """A cluster of three nodes with four CPUs each, for the tests of one module."""
    with LocalCluster(nodes=3, cpus=4) as running:
        yield running
