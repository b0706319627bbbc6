"""What was acknowledged exists, once, and ends once: while the controller and the agents are killed at random moments.

The moments come from a seed, which is in the failure's text; the interleaving with the kernel is not repeatable.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sluice.config.light import read_endpoints
from sluice.testing import LocalCluster
from sluice.wire import light

_PATIENCE_S = 120.0
_KILLS_MAX = 15
_SEED = int(os.environ.get("SLUICE_TEST_SEED", "20261122"))


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=3, cpus=8, settings={"DefMemPerCPU": "10"}) as running:
        yield running


class Client(threading.Thread):
    """Submits jobs one after the other and keeps the ids that it was told.

    is_command: through the sbatch command, else over a connection of its own.
    """

    def __init__(self, cluster: LocalCluster, name: str, count: int, script: str, is_command: bool) -> None:
        super().__init__(daemon=True)
        self.job_ids: list[int] = []
        self.failures: list[str] = []
        self._cluster = cluster
        self._label = name
        self._count = count
        self._script = script
        self._submit = self._by_command if is_command else self._by_connection
        self._endpoints = read_endpoints(cluster.conf_path)

    def run(self) -> None:
        for index in range(self._count):
            try:
                self.job_ids.append(self._submit(f"{self._label}-{index}"))
            except Exception as error:
                self.failures.append(f"{self._label}-{index}: {error}")

    def _by_command(self, name: str) -> int:
        return self._cluster.submit("-J", name, "-o", "/dev/null", "--wrap", self._script, limit_s=_PATIENCE_S)

    def _by_connection(self, name: str) -> int:
        spec = {
            "name": name,
            "uid": os.getuid(),
            "gid": os.getgid(),
            "user": "",
            "work_dir": self._cluster.folder,
            "std_out": "/dev/null",
        }
        request = {
            "token": light.new_token(),
            "spec": spec,
            "script": f"#!/bin/sh\n{self._script}\n".encode(),
            "environment": [b"PATH=/usr/bin:/bin"],
        }
        reply = light.call_with_retry(self._endpoints, "SubmitJob", request, _PATIENCE_S)
        return int(reply["job_id"])


def _accounted(cluster: LocalCluster) -> list[tuple[int, str, str]]:
    lines = cluster.run("sacct", "-a", "-X", "-n", "-P", "-S", "1970-01-01", "-o", "JobID,JobName,State").stdout
    rows = [line.split("|") for line in lines.splitlines()]
    return [(int(job_id), name, state) for job_id, name, state in rows]


def _kill_repeatedly(
    rng: random.Random, clients: list[Client], kill: Callable[[], None], start: Callable[[], None]
) -> int:
    """Kill and start again while any client submits, at most _KILLS_MAX times; return how often."""
    pause = threading.Event()
    kills = 0
    while kills < _KILLS_MAX and any(client.is_alive() for client in clients):
        pause.wait(rng.uniform(0.05, 2.0))
        kill()
        kills += 1
        pause.wait(rng.uniform(0.0, 0.2))
        start()
    for client in clients:
        client.join(_PATIENCE_S)
    return kills


def test_no_job_is_lost_or_doubled_when_the_controller_is_killed(cluster: LocalCluster) -> None:
    """Four clients submit 1,000 jobs while the controller dies again and again."""
    rng = random.Random(_SEED)
    marks = Path(cluster.folder, "ran")
    script = f"echo $SLURM_JOB_ID >> {marks}"
    clients = [Client(cluster, "sbatch", 40, script, is_command=True)]
    clients += [Client(cluster, f"client{number}", 320, script, is_command=False) for number in range(3)]
    for client in clients:
        client.start()

    kills = _kill_repeatedly(rng, clients, cluster.kill_controller, cluster.start_controller)

    cluster.wait_ready()
    cluster.wait_jobs_ended(_PATIENCE_S)
    told = [job_id for client in clients for job_id in client.job_ids]
    rows = _accounted(cluster)
    story = f"seed {_SEED}, {kills} kills"
    assert not [failure for client in clients for failure in client.failures], story
    assert kills > 0, story
    assert sorted(told) == sorted(job_id for job_id, _, _ in rows), story
    assert not [name for name, count in Counter(name for _, name, _ in rows).items() if count > 1], story
    assert {state for _, _, state in rows} == {"COMPLETED"}, story
    assert sorted(map(int, marks.read_text().split())) == sorted(told), story
    assert cluster.run("sluice", "verify", check=False).returncode == 0, story


def test_no_running_job_is_lost_or_doubled_when_agents_are_killed(cluster: LocalCluster) -> None:
    """Jobs run on while their agents die and come back; each runs once, and its result is delivered once."""
    rng = random.Random(_SEED + 1)
    marks = Path(cluster.folder, "ran")
    script = f"echo begin $SLURM_JOB_ID >> {marks}; sleep 0.3; echo end $SLURM_JOB_ID >> {marks}; exit 3"
    clients = [Client(cluster, f"client{number}", 60, script, is_command=False) for number in range(4)]
    for client in clients:
        client.start()
    ends_at = time.monotonic() + 15.0
    kills = 0
    while time.monotonic() < ends_at:
        node = rng.choice(["n1", "n2", "n3"])
        cluster.kill_agent(node)
        kills += 1
        threading.Event().wait(rng.uniform(0.0, 0.4))
        cluster.start_agent(node)
        threading.Event().wait(rng.uniform(0.1, 0.8))
    for client in clients:
        client.join(_PATIENCE_S)

    cluster.wait_ready()
    cluster.wait_jobs_ended(_PATIENCE_S)

    told = [job_id for client in clients for job_id in client.job_ids]
    story = f"seed {_SEED + 1}, {kills} kills"
    rows = _accounted(cluster)
    assert sorted(told) == sorted(job_id for job_id, _, _ in rows), story
    assert {state for _, _, state in rows} == {"FAILED"}, story
    lines = Counter(marks.read_text().splitlines())
    assert lines == Counter({f"{word} {job_id}": 1 for job_id in told for word in ("begin", "end")}), story


def test_a_repeated_submission_gives_the_first_id(cluster: LocalCluster) -> None:
    """The token counts across a restart of the controller too."""
    endpoints = read_endpoints(cluster.conf_path)
    spec = {"name": "once", "uid": os.getuid(), "gid": os.getgid(), "user": "", "work_dir": "/tmp", "is_held": True}
    request = {"token": light.new_token(), "spec": spec, "script": b"#!/bin/sh\ntrue\n"}
    first = light.call_with_retry(endpoints, "SubmitJob", request, _PATIENCE_S)["job_id"]

    cluster.kill_controller()
    cluster.start_controller()

    assert light.call_with_retry(endpoints, "SubmitJob", request, _PATIENCE_S)["job_id"] == first
    assert cluster.run("squeue", "-h", "-o", "%i").stdout.split() == [str(first)]
