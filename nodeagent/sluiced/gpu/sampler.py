"""The process that looks, again and again, at what the steps of a node have of their NVIDIA GPUs.

    python -m sluiced.gpu.sampler

It is the agent's, for all steps: in no step's group and below no step daemon, so that it can open every GPU and is
neither counted nor killed with a job.  A GPU that is broken may keep it waiting for ever; then the agent gives it up.

Standard input has a line of JSON whenever other steps run, a list of all of them (Watched); its end ends the process.
Each round is told by a "." on standard output.  What a step had so far is in its file in the spool, whole at every
moment: the figures outlive this process and the agent, and the next ones go on with them.

The library is held only while there are steps: a GPU that somebody holds can neither rest nor be reset.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from sluice.model.base import Record
from sluiced import process_id
from sluiced.gpu.nvml import load_library
from sluiced.gpu.owners import find_step
from sluiced.gpu.processes import GpuReader
from sluiced.gpu.tally import Sample, Tally, add_samples, share_look

ROUND = b"."
#: As often as the step daemons look at their tasks.
_WAIT_FIRST_S = 0.2
_WAIT_MAX_S = 5.0
_READ_SIZE = 1 << 20


class Watched(Record, frozen=True, kw_only=True):
    """A step that runs.

    path: of its file.  daemon: the pid of its step daemon.  group: the end of the path of its control group.
    gpus: the UUID of each, and whether it was given the whole.
    """

    path: str
    daemon: int
    group: str
    gpus: tuple[tuple[str, bool], ...]


class _Step:
    """What changes of a step that is watched."""

    def __init__(self, watched: Watched, now_at: float) -> None:
        self.watched = watched
        self.tally = read_tally(watched.path)
        self.looked_at = now_at
        self.wait_s = _WAIT_FIRST_S

    @property
    def due_at(self) -> float:
        return self.looked_at + self.wait_s


class _Owner(NamedTuple):
    start_ticks: int | None
    step: str


class Sampler:
    """find: tells which step a pid belongs to."""

    def __init__(self, nvml: Any, find: Callable[..., str | None] = find_step) -> None:
        self._nvml = nvml
        self._find = find
        self._reader: GpuReader | None = None
        self._steps: dict[str, _Step] = {}
        #: When each process of a step on a GPU started, and the step: of this round, and of the one before.
        self._owners: dict[int, _Owner] = {}
        self._known: dict[int, _Owner] = {}

    def watch(self, steps: Sequence[Watched], now_at: float) -> None:
        """Look at these steps and no others.  Raises NVMLError where the driver does not answer."""
        known, self._steps = self._steps, {each.path: _Step(each, now_at) for each in steps}
        for path, step in known.items():
            if path in self._steps:
                # What it had goes on; its step daemon may be another one.
                step.watched = self._steps[path].watched
                self._steps[path] = step
        if self._steps and self._reader is None:
            self._nvml.nvmlInit()
            self._reader = GpuReader(self._nvml)
        elif not self._steps and self._reader is not None:
            self._reader = None
            self._owners = {}
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    def wait_s(self, now_at: float) -> float | None:
        """Return how long nothing is due; None: for ever."""
        due = min((step.due_at for step in self._steps.values()), default=None)
        return None if due is None else max(0.0, due - now_at)

    def do_round(self, now_at: float) -> None:
        """Look at all GPUs of all steps, and write down what each step had."""
        self._known, self._owners = self._owners, {}
        samples: dict[str, list[Sample]] = {path: [] for path in self._steps}
        for uuid in dict.fromkeys(uuid for step in self._steps.values() for uuid, _ in step.watched.gpus):
            for path, sample in self._look(uuid).items():
                samples[path].append(sample)
        for path, found in samples.items():
            step = self._steps[path]
            if found:
                step.tally = step.tally.add(add_samples(found), now_at - step.looked_at)
                write_tally(path, step.tally)
            step.looked_at = now_at
            step.wait_s = min(_WAIT_MAX_S, step.wait_s * 2)

    def _look(self, uuid: str) -> dict[str, Sample]:
        assert self._reader is not None, "steps are watched"
        look = self._reader.look(uuid)
        if look is None:
            return {}
        steps_by_pid = {}
        for pid in {*look.memory_bytes, *(look.util_percent or ())}:
            step = self._step_of(pid)
            if step is not None:
                steps_by_pid[pid] = step
        holders = {
            path: is_whole for path, step in self._steps.items() for own, is_whole in step.watched.gpus if own == uuid
        }
        return share_look(look, steps_by_pid, holders)

    def _step_of(self, pid: int) -> str | None:
        """Return the step, of a process that has ended meanwhile the one that was known."""
        ticks = process_id.start_ticks(pid)
        owner = self._owners.get(pid) or self._known.get(pid)
        if owner is None or ticks not in (None, owner.start_ticks):
            daemons = {step.watched.daemon: path for path, step in self._steps.items()}
            groups = {step.watched.group: path for path, step in self._steps.items()}
            found = self._find(pid, daemons, groups)
            if found is None:
                # A step may adopt it yet.
                return None
            owner = _Owner(ticks, found)
        self._owners[pid] = owner
        return owner.step


def read_tally(path: str) -> Tally:
    """Return what is in a step's file; an empty tally where there is none."""
    try:
        with open(path, "rb") as file:
            return msgspec.msgpack.decode(file.read(), type=Tally)
    except (OSError, msgspec.DecodeError):
        return Tally()


def write_tally(path: str, tally: Tally) -> None:
    """A step whose files are gone, or that finds no room, does without."""
    with contextlib.suppress(OSError):
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(msgspec.msgpack.encode(tally))
        os.rename(path + ".new", path)


def main() -> None:
    sampler = Sampler(load_library())
    unread = b""
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], sampler.wait_s(time.monotonic()))
        if readable:
            data = os.read(sys.stdin.fileno(), _READ_SIZE)
            if not data:
                return
            *lines, unread = (unread + data).split(b"\n")
            if lines:
                sampler.watch(msgspec.json.decode(lines[-1], type=tuple[Watched, ...]), time.monotonic())
        elif sampler.wait_s(time.monotonic()) == 0:
            sampler.do_round(time.monotonic())
        os.write(sys.stdout.fileno(), ROUND)


if __name__ == "__main__":
    main()
