"""A node agent in a process of its own, with a fake controller to order it about."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.job import Job
from sluice.model.request import JobSpec
from sluice.model.states import Ending, JobState
from sluice.wire.keyfile import create_key_file
from sluice.wire.messages import AgentConfig, EndJob, LaunchJob, StepResult
from sluiced.cgroup import detect
from sluiced.spool import Spool
from sluiced.steps import descendants, notice
from tests import open_python
from tests.nodeagent.fake_controller import FakeController
from tests.waiting import wait_until

NODE = "n1"
_MNT_DETACH = 2
CONFIG = AgentConfig(version=1, digest="d", cluster="test", kill_wait_s=5.0, heartbeat_interval_s=60.0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_job(job_id: int, work_dir: Path | str, **fields: Any) -> Job:
    spec: dict[str, Any] = {
        "name": "test",
        "uid": os.getuid(),
        "gid": os.getgid(),
        "user": "root" if os.getuid() == 0 else os.environ.get("USER", "user"),
        "work_dir": str(work_dir),
        "std_out": "out.txt",
    } | fields
    grant = NodeGrant(node=NODE, cpus="0", cpu_count=1, memory_mib=100)
    return Job(
        id=job_id,
        spec=JobSpec(**spec),
        partition="batch",
        state=JobState.RUNNING,
        allocation=Allocation(grants=(grant,), tasks_per_node=(1,)),
    )


class Cluster:
    """One agent process and its controller."""

    def __init__(self, folder: Path, config: AgentConfig = CONFIG) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()
        self.port = free_port()
        self.agent_socket = str(folder / "agent.sock")
        self.controller_port = free_port()
        self.conf = folder / "sluice.conf"
        self.key = create_key_file(str(folder / "sluice.key"))
        self.conf.write_text(
            "ClusterName=test\nSlurmctldHost=localhost(127.0.0.1)\n"
            f"SlurmctldPort={self.controller_port}\nSluiceControllerSocket={folder}/ctl.sock\nSluiceAgentSocket={folder}/agent.sock\n"
            f"SlurmdSpoolDir={folder}/spool\nSluiceKeyFile={folder}/sluice.key\n"
            f"NodeName={NODE} NodeAddr=127.0.0.1 Port={self.port} CPUs=1 RealMemory=100\n"
            f"NodeName=e[1-100] CPUs=4 RealMemory=100\n"
            f"PartitionName=batch Nodes=ALL Default=YES\n"
        )
        self.controller = FakeController(str(folder / "ctl.sock"), config)
        self._log = os.open(folder / "agent.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._ids = itertools.count(1)
        self.agent: subprocess.Popen[bytes] | None = None
        #: What else ends with the test.
        self.closers: list[Callable[[], None]] = []

    @property
    def now_at(self) -> float:
        return time.time()

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def start_agent(self, *arguments: str, uid: int | None = None) -> None:
        """uid: whom the agent runs as, with the group of the same number; None: as the tests."""
        registered = len(self.controller.registrations)
        python = open_python.find() if uid else sys.executable
        command = [python, "-m", "sluiced", "-f", str(self.conf), *(arguments or ("-N", NODE)), "-D"]
        self.agent = subprocess.Popen(command, env=open_python.environment(), stderr=self._log, user=uid, group=uid)
        wait_until(lambda: len(self.controller.registrations) > registered, 20)

    def kill_agent(self) -> None:
        assert self.agent is not None
        self.agent.kill()
        self.agent.wait()

    def submit(self, script: str, **fields: Any) -> int:
        """Launch a batch job in the work folder; return its id."""
        environment = fields.pop("environment", {"PATH": os.environ["PATH"]})
        job = self.new_job(**fields)
        self.launch(job, "#!/bin/sh\n" + script, environment)
        return job.id

    def new_job(self, **fields: Any) -> Job:
        """Return a job that the agent has not seen yet."""
        return make_job(next(self._ids), fields.pop("work_dir", self.work), **fields)

    def launch(self, job: Job, script: str, environment: dict[str, str] | None = None) -> None:
        entries = tuple(f"{name}={value}".encode() for name, value in (environment or {}).items())
        order = LaunchJob(node=NODE, epoch=self.controller.epoch, job=job, script=script.encode(), environment=entries)
        self.controller.order(launches=(order,))

    def end(self, job_id: int, ending: Ending = Ending.CANCEL, kill_wait_s: float = 5.0) -> None:
        order = EndJob(node=NODE, epoch=1, job_id=job_id, attempt=0, ending=ending, kill_wait_s=kill_wait_s)
        self.controller.order(ends=(order,))

    def result(self, job_id: int, step_id: int = -5) -> StepResult:
        """Wait for the result of a step."""
        wait_until(lambda: self.controller.result_of(job_id, step_id), 20)
        found = self.controller.result_of(job_id, step_id)
        assert found is not None
        return found

    def run(self, script: str, **fields: Any) -> StepResult:
        return self.result(self.submit(script, **fields))

    def read(self, name: str = "out.txt") -> str:
        return (self.work / name).read_text()

    def stop(self) -> None:
        for close in self.closers:
            close()
        if self.agent is not None and self.agent.poll() is None:
            self.agent.send_signal(signal.SIGTERM)
            self.agent.wait(20)
        self._kill_leftovers()
        self.controller.stop()
        os.close(self._log)
        print((self.folder / "agent.log").read_text())

    def _kill_leftovers(self) -> None:
        """A test that failed may have left jobs behind; their step daemons end with them."""
        spool = Spool(str(self.spool))
        for job in spool.jobs():
            for step in spool.steps(job):
                if (launch := spool.read_launch(step)) is not None:
                    detect.kill_leftovers(launch)
                descendants.kill_strays(notice.marker(spool.notice_path(step)))
        spool.close()


@pytest.fixture
def make_cluster() -> Iterator[Callable[..., Cluster]]:
    """Give a function that makes a cluster with a configuration, its agent not started."""
    with contextlib.ExitStack() as stack:

        def make(config: AgentConfig = CONFIG) -> Cluster:
            folder = Path(tempfile.mkdtemp(prefix="sluiced-"))
            folder.chmod(0o755)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            cluster = Cluster(folder, config)
            stack.callback(cluster.stop)
            return cluster

        yield make


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Give a cluster whose agent has registered."""
    made = make_cluster()
    made.start_agent()
    return made


@pytest.fixture
def dead_folder() -> Iterator[Path]:
    """A file system whose server is gone for whoever looks at it: the kernel waits for an answer to its first word."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder = Path(tempfile.mkdtemp(prefix="dead-"))
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"fuse", bytes(folder), b"fuse", 0, options):
        pytest.skip(f"no FUSE: {os.strerror(ctypes.get_errno())}")
    yield folder
    libc.umount2(bytes(folder), _MNT_DETACH)
    os.close(server)
    shutil.rmtree(folder)
