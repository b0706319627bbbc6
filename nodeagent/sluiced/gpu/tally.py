"""From looks at GPUs to what each step had of them.  Pure.

A process that belongs to no step counts for none.  Where a GPU knows no figures of single processes, those of the whole
are a step's that has it to itself: it was given the whole GPU or MIG instance, and no process of anybody else is on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sluice.model.base import Record
from sluice.model.step import GpuUsage
from sluiced.gpu.processes import Look

_PERCENT_MAX = 100.0
#: So that a first sample, which no time has passed before, is an average too.
_SECONDS_MIN = 0.001


class Sample(NamedTuple):
    """What a step had at one moment, of one GPU or of all of its own; util_percent None: nobody knows."""

    memory_bytes: int = 0
    util_percent: float | None = None


def share_look(look: Look, steps_by_pid: Mapping[int, str], are_whole: Mapping[str, bool]) -> dict[str, Sample]:
    """Return what each step that holds a GPU had of it.

    steps_by_pid: of the processes that belong to steps.  are_whole: by step that holds it, whether it was given the
    whole.
    """
    alone = _alone_on(look, steps_by_pid, are_whole)
    return {step: _sample(look, step, steps_by_pid, step == alone) for step in are_whole}


def _alone_on(look: Look, steps_by_pid: Mapping[int, str], are_whole: Mapping[str, bool]) -> str | None:
    """Return the step that has the GPU to itself."""
    users = {steps_by_pid.get(pid) for pid in look.memory_bytes} or set(are_whole)
    if len(users) != 1:
        return None
    (user,) = users
    return user if user is not None and are_whole.get(user) else None


def _sample(look: Look, step: str, steps_by_pid: Mapping[int, str], is_alone: bool) -> Sample:
    used = [memory for pid, memory in look.memory_bytes.items() if steps_by_pid.get(pid) == step]
    memory = sum(each for each in used if each is not None)
    if is_alone and None in used and look.whole_memory_bytes is not None:
        memory = look.whole_memory_bytes
    own = [percent for pid, percent in (look.util_percent or {}).items() if steps_by_pid.get(pid) == step]
    if own:
        return Sample(memory, min(_PERCENT_MAX, sum(own)))
    if is_alone and look.whole_util_percent is not None:
        return Sample(memory, look.whole_util_percent)
    return Sample(memory, None if look.util_percent is None else 0.0)


def add_samples(samples: list[Sample]) -> Sample:
    """Return what a step had of all of its GPUs."""
    known = [sample.util_percent for sample in samples if sample.util_percent is not None]
    return Sample(sum(sample.memory_bytes for sample in samples), sum(known) if known else None)


class Tally(Record, frozen=True, kw_only=True):
    """A step's samples so far, added up over the seconds that each stands for."""

    memory_peak_bytes: int = 0
    memory_byte_seconds: float = 0.0
    seconds: float = 0.0
    util_peak_percent: float = 0.0
    util_percent_seconds: float = 0.0
    util_seconds: float = 0.0

    def add(self, sample: Sample, elapsed_s: float) -> Tally:
        """elapsed_s: since the sample before it."""
        elapsed_s = max(elapsed_s, _SECONDS_MIN)
        is_known, util = sample.util_percent is not None, sample.util_percent or 0.0
        return Tally(
            memory_peak_bytes=max(self.memory_peak_bytes, sample.memory_bytes),
            memory_byte_seconds=self.memory_byte_seconds + sample.memory_bytes * elapsed_s,
            seconds=self.seconds + elapsed_s,
            util_peak_percent=max(self.util_peak_percent, util),
            util_percent_seconds=self.util_percent_seconds + util * elapsed_s,
            util_seconds=self.util_seconds + (elapsed_s if is_known else 0.0),
        )

    def usage(self) -> GpuUsage:
        """Return the usage on this node; that of nobody without a sample."""
        if not self.seconds:
            return GpuUsage()
        is_util_known = self.util_seconds > 0
        return GpuUsage(
            nodes=1,
            memory_peak_bytes=self.memory_peak_bytes,
            memory_total_bytes=self.memory_peak_bytes,
            memory_mean_bytes=round(self.memory_byte_seconds / self.seconds),
            util_peak_percent=round(self.util_peak_percent, 2) if is_util_known else None,
            util_mean_percent=round(self.util_percent_seconds / self.util_seconds, 2) if is_util_known else None,
        )
