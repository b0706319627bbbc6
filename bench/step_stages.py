"""Where the time of a step goes in the node agent, from its launch until its end is told: medians over real steps.

Steps run one after the other in one job on one node, each a `date` that says when it runs.  Marks are written around
the agent's functions (step_trace.py); writing one takes some 5 us, so that the whole is 0.1 ms longer than without.
Told is what each stage adds; then the launch path as a whole, with one task and with more.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.cluster import BenchCluster, exit_on_sigterm
from bench.machine import headline, print_table, spread
from bench.step_rate import Job
from bench.step_trace import VARIABLE
from sluice.wire import light
from sluice.wire.framing import NOTICE
from sluice.wire.light import LightConnection, new_token

_CPUS = 8
_WARM_UP = 5
_LIMIT_S = 10.0
_BEGIN = "connection is there"
_LAUNCH = "launch is there"
_FORKED = "tasks forked"
_RUNS = "first program runs"
_ALL_RUN = "last program runs"
_TOLD = "exits told to srun"
_SEEN = "end of the last task seen"
_LAST = "result on its way to the controller"

#: label -> when, in nanoseconds.
Marks = dict[str, int]


class TracedCluster(BenchCluster):
    """One whose agents write marks."""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {
            VARIABLE: str(self.marks),
            "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        }

    @property
    def marks(self) -> Path:
        return self.folder / "marks"

    def _spawn(self, module: str, *arguments: str, log: str = "") -> subprocess.Popen[bytes]:
        return super()._spawn("bench.step_trace" if module == "sluiced" else module, *arguments, log=log or module)


def main() -> None:
    exit_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    headline(f"Stages of a step in the agent; medians of {options.steps} steps")
    with TracedCluster(1, _CPUS) as cluster:
        job = Job(cluster.environment)
        alone = [_run(cluster, job, 1) for _ in range(_WARM_UP + options.steps)][_WARM_UP:]
        print_table(("stage, 1 task", "adds ms", "at ms"), _stages(alone))
        rows = [_whole("1 task", alone)]
        for tasks in (8, 64):
            found = [_run(cluster, job, tasks) for _ in range(_WARM_UP + options.steps // 2)][_WARM_UP:]
            rows.append(_whole(f"{tasks} tasks", found))
        job.end()
    titles = (
        "step",
        "launch to first program",
        "to last program",
        "last end seen to told",
        "to result",
        "launch to told",
    )
    print_table((titles[0], *(f"{title}, ms" for title in titles[1:])), rows)


def _stages(steps: Sequence[Marks]) -> list[tuple[str, ...]]:
    """Return the rows in the order of their medians."""
    at_ms = {
        label: statistics.median((marks[label] - marks[_BEGIN]) / 1e6 for marks in steps)
        for label in steps[0]
        if all(label in marks for marks in steps)
    }
    rows, before_ms = [], 0.0
    for label, ms in sorted(at_ms.items(), key=lambda pair: pair[1]):
        rows.append((label, f"{ms - before_ms:.2f}", f"{ms:.2f}"))
        before_ms = ms
    return rows


def _whole(name: str, steps: Sequence[Marks]) -> tuple[str, ...]:
    pairs = ((_LAUNCH, _RUNS), (_LAUNCH, _ALL_RUN), (_SEEN, _TOLD), (_SEEN, _LAST), (_LAUNCH, _TOLD))
    return name, *(spread([(marks[end] - marks[begin]) / 1e6 for marks in steps], 1) for begin, end in pairs)


def _run(cluster: TracedCluster, job: Job, tasks: int) -> Marks:
    """Run a step of so many `date`s; return its marks, the last one of each label."""
    cluster.marks.write_bytes(b"")
    with light.connect_unix(job.agent_socket) as manager:
        ran_at, told_at = _run_step(job, manager, tasks)
    give_up_at = time.monotonic() + _LIMIT_S
    while _LAST not in (text := cluster.marks.read_text()):
        assert time.monotonic() < give_up_at, f"the step's result is not told: {text}"
        time.sleep(0.002)
    marks: Marks = {}
    for line in text.splitlines():
        at, _, label = line.partition(" ")
        marks[label] = int(at)
    return marks | {_RUNS: min(ran_at), _ALL_RUN: max(ran_at), _TOLD: told_at}


def _run_step(job: Job, manager: LightConnection, tasks: int) -> tuple[list[int], int]:
    """Return when each program ran, and when the last exit was told."""
    spec = {"name": "date", "argv": ["date"], "ntasks": tasks, "is_overcommitted": True}
    created: dict[str, Any] = manager.call("CreateStep", {"token": new_token(), "job_id": job.id, "spec": spec})
    (place,) = created["addresses"]
    output, ended, told_at = b"", 0, 0
    with light.connect_tcp(place["address"], place["port"], created["credential"]) as agent:
        launch = {
            "credential": created["credential"],
            "job": created["job"],
            "step": created["step"],
            "node": place["node"]["node"],
            "argv": ["/bin/date", "+%s%N"],
            "environment": [],
            "work_dir": "/",
            "std_in": "none",
        }
        agent.send_request("TaskLaunch", launch)
        while True:
            kind, _, name, body = agent.receive()
            if kind != NOTICE:
                raise RuntimeError(f"the launch was refused: {body}")
            if name == "TaskOutput":
                output += body["data"]
            elif name == "TaskExit":
                ended, told_at = ended + 1, time.time_ns()
            elif name == "StepDone":
                assert ended == tasks, f"{ended} of {tasks} exits were told"
                return [int(word) for word in output.split()], told_at


if __name__ == "__main__":
    main()
