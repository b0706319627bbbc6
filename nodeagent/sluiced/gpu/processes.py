"""What NVIDIA's library tells of the processes on a GPU or a MIG instance: their memory, and how much they let it work.

Nothing is set.  What a GPU, a driver or a MIG instance cannot tell is None.

Source: the NVML API reference on running processes, process utilization and utilization rates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sluiced.gpu.ailment import ask

_QUESTIONS = (
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlDeviceGetMPSComputeRunningProcesses_v3",
)
_PERCENT_MAX = 100


class Look(NamedTuple):
    """One look at a GPU.

    memory_bytes: by the pid of each process on it.  util_percent: by pid, since the last look, of those that let it
    work.  whole_*: of all processes together, asked for only where there are no figures of single ones.
    """

    memory_bytes: Mapping[int, int | None]
    util_percent: Mapping[int, float] | None = None
    whole_memory_bytes: int | None = None
    whole_util_percent: float | None = None


class GpuReader:
    """Asks of GPUs again and again.  nvml: initialized, for as long as this is used."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._handles: dict[str, Any] = {}
        #: The last sample of utilization that was read, in microseconds.
        self._seen_us: dict[str, int] = {}

    def look(self, uuid: str) -> Look | None:
        """Return what a GPU tells; None: it does not answer."""
        handle = self._handle(uuid)
        memory = self._memory(handle) if handle is not None else None
        if memory is None:
            # Whatever becomes of it may have another handle.
            self._handles.pop(uuid, None)
            return None
        utils = self._utils(uuid, handle)
        nvml = self._nvml
        is_short = None in memory.values()
        return Look(
            memory,
            utils,
            ask(nvml, lambda: int(nvml.nvmlDeviceGetMemoryInfo(handle).used), None) if is_short else None,
            None if utils else ask(nvml, lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu), None),
        )

    def _handle(self, uuid: str) -> Any:
        if uuid not in self._handles:
            handle = ask(self._nvml, lambda: self._nvml.nvmlDeviceGetHandleByUUID(uuid), None)
            if handle is None:
                return None
            self._handles[uuid] = handle
        return self._handles[uuid]

    def _memory(self, handle: Any) -> dict[int, int | None] | None:
        found: dict[int, int | None] = {}
        lists = [self._running(question, handle) for question in _QUESTIONS]
        if all(each is None for each in lists):
            return None
        for process in (process for each in lists for process in each or ()):
            # One that computes and draws is in both lists, with the same number.
            known = [used for used in (found.get(process.pid), process.usedGpuMemory) if used is not None]
            found[process.pid] = max(known, default=None)
        return found

    def _running(self, question: str, handle: Any) -> list[Any] | None:
        answer: list[Any] | None = ask(self._nvml, lambda: getattr(self._nvml, question)(handle), None)
        return answer

    def _utils(self, uuid: str, handle: Any) -> dict[int, float] | None:
        nvml, since_us = self._nvml, self._seen_us.get(uuid, 0)
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(handle, since_us)
        except nvml.NVMLError as error:
            # Nothing has let it work since then.
            return {} if error.value in (nvml.NVML_ERROR_NOT_FOUND, nvml.NVML_SUCCESS) else None
        # Drivers are known to fill the places of what has just ended with anything.
        good = [each for each in samples if each.pid and each.timeStamp > since_us and each.smUtil <= _PERCENT_MAX]
        self._seen_us[uuid] = max((each.timeStamp for each in good), default=since_us)
        by_pid: dict[int, list[int]] = {}
        for each in good:
            by_pid.setdefault(each.pid, []).append(each.smUtil)
        return {pid: sum(values) / len(values) for pid, values in by_pid.items()}
