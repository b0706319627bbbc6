"""Short steps of one job as fast as they go, without srun's start: steps a second, and whose CPU each one takes.

One client asks the job's manager, its node's agent, for steps and launches them as srun does, some at a time; a step
runs `true`.  Then a thousand requests wait at once for the same CPUs, which tells what waiting ones cost.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.cluster import BenchCluster, exit_on_sigterm
from bench.machine import headline, print_table
from sluice.config.light import read_endpoints
from sluice.wire import light
from sluice.wire.framing import NOTICE
from sluice.wire.light import LightConnection, new_token

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    exit_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--waiting", type=int, default=200, help="requests that wait for room at once")
    options = parser.parse_args()
    headline(f"{options.steps} steps of `true` in one job on one node")
    rows = []
    with BenchCluster(1, 8) as cluster:
        job = Job(cluster.environment)
        for at_once in (1, options.at_once, options.waiting):
            rows.append(_measure(cluster, job, options.steps, at_once))
        job.end()
    titles = ("asked at once", "steps/s", "controller ms", "agent ms", "step daemon and task ms", "client ms")
    print_table(titles, rows)


class Job:
    """An allocation of all CPUs of the node."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        done = self._run("salloc", "-n8", "--no-shell")
        self.id = int(done.stderr.split("Granted job allocation ")[1].split()[0])
        self.agent_socket = read_endpoints(environment["SLURM_CONF"]).agent_socket.replace("%n", "n1")

    def end(self) -> None:
        self._run("scancel", str(self.id))

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, env=self._environment, capture_output=True, text=True, check=True)


def _measure(cluster: BenchCluster, job: Job, steps: int, at_once: int) -> tuple[str, ...]:
    pids = {"controller": cluster.controller.pid, "agent": cluster.agents[0].pid}
    (fork_server,) = _children(cluster.agents[0].pid)
    before = {name: _cpu_s(pid) for name, pid in pids.items()}
    steps_s, own = _steps_cpu_s(fork_server), time.process_time()
    began = time.monotonic()
    _run_all(job, steps, at_once)
    elapsed_s = time.monotonic() - began
    used = [(_cpu_s(pid) - before[name]) for name, pid in pids.items()]
    used += [_steps_cpu_s(fork_server) - steps_s, time.process_time() - own]
    return str(at_once), f"{steps / elapsed_s:.0f}", *(f"{1000 * each / steps:.2f}" for each in used)


def _run_all(job: Job, steps: int, at_once: int) -> None:
    left = iter(range(steps))
    lock = threading.Lock()

    def work(number: int) -> None:
        with light.connect_unix(job.agent_socket) as manager:
            while True:
                with lock:
                    if next(left, None) is None:
                        return
                _run_step(job, manager)

    with ThreadPoolExecutor(at_once) as pool:
        # A step that is lost ends the measurement.
        list(pool.map(work, range(at_once)))


def _run_step(job: Job, manager: LightConnection) -> None:
    spec = {"name": "true", "argv": ["true"], "ntasks": 1, "is_exact": True}
    created: dict[str, Any] = manager.call("CreateStep", {"token": new_token(), "job_id": job.id, "spec": spec})
    (place,) = created["addresses"]
    with light.connect_tcp(place["address"], place["port"], created["credential"]) as agent:
        launch = {
            "credential": created["credential"],
            "job": created["job"],
            "step": created["step"],
            "node": place["node"]["node"],
            "argv": ["/bin/true"],
            "environment": [],
            "work_dir": "/",
            "std_in": "none",
        }
        agent.send_request("TaskLaunch", launch)
        while True:
            kind, _, name, body = agent.receive()
            if kind == NOTICE and name == "TaskExit":
                assert not body.get("exit_code", 0), body
            if kind == NOTICE and name == "StepDone":
                return


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _steps_cpu_s(fork_server: int) -> float:
    """Return the CPU time of the fork server, of the step daemons that live, and of all that have ended below."""
    return sum(_cpu_s(pid, with_children=True) for pid in (fork_server, *_children(fork_server)))


def _cpu_s(pid: int, with_children: bool = False) -> float:
    """Return the CPU time of a process, and of its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[index]) for index in (11, 12, *((13, 14) if with_children else ()))) * _TICK_S


if __name__ == "__main__":
    main()
