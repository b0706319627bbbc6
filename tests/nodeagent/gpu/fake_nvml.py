"""NVIDIA's management library, as far as its users see it, for machines without a GPU.

It has the names, argument lists, shapes of answers and exceptions of pynvml (test_the_double_has_the_librarys_names
holds it to that); which GPUs there are is told by the test.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pynvml  # type: ignore[import-untyped]


class Instance(NamedTuple):
    """A MIG instance.  gi, ci: its GPU instance and compute instance."""

    profile: str
    uuid: str
    gi: int
    ci: int = 0
    memory_mib: int = 0


class Process(NamedTuple):
    """A process on a GPU or an instance.

    memory_bytes None: the driver does not tell.  draws: it does graphics, too.  util_percent, sampled_us: the samples
    of how much it lets the GPU work; none: it does not.
    """

    pid: int
    memory_bytes: int | None = 0
    draws: bool = False
    util_percent: tuple[int, ...] = ()
    sampled_us: int = 1_000_000


class Gpu(NamedTuple):
    """links: the numbers of the GPUs that its NVLinks lead to, -1 for a switch."""

    name: str = "NVIDIA A100-SXM4-40GB"
    uuid: str = "GPU-0"
    minor: int = 0
    bus: str = "00000000:07:00.0"
    memory_mib: int = 40960
    cpus: int = 0xF
    is_divided: bool = False
    instances: tuple[Instance, ...] = ()
    links: tuple[int, ...] = ()
    remapped_rows: tuple[int, int, int, int] | None = (0, 0, 0, 0)
    is_lost: bool = False
    #: What the driver says that it needs; None: an old driver, which says nothing.
    recovery_action: int | None = None
    uncorrected_errors: int = 0
    #: On it or on an instance of it, by UUID.
    processes: tuple[tuple[str, Process], ...] = ()
    used_bytes: int = 0
    #: Of all processes together; None: it cannot tell.
    util_percent: int | None = 0
    tells_util_of_processes: bool = True


class _Memory(NamedTuple):
    total: int
    used: int


class _Running(NamedTuple):
    pid: int
    usedGpuMemory: int | None


class _Sample(NamedTuple):
    pid: int
    timeStamp: int
    smUtil: int


class _Rates(NamedTuple):
    gpu: int


class _Pci(NamedTuple):
    busId: str


class _Number(NamedTuple):
    uiVal: int


class _Field(NamedTuple):
    nvmlReturn: int
    value: _Number


def error(number: int) -> Exception:
    failure: Exception = pynvml.NVMLError(number)
    return failure


class FakeNvml:
    """pynvml with these GPUs in the machine.  failure: of nvmlInit."""

    NVMLError = pynvml.NVMLError
    NVML_DEVICE_MIG_ENABLE = pynvml.NVML_DEVICE_MIG_ENABLE
    NVML_NVLINK_MAX_LINKS = pynvml.NVML_NVLINK_MAX_LINKS
    NVML_SUCCESS = pynvml.NVML_SUCCESS
    NVML_ERROR_NOT_FOUND = pynvml.NVML_ERROR_NOT_FOUND
    NVML_FI_DEV_GET_GPU_RECOVERY_ACTION = pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
    NVML_VOLATILE_ECC = pynvml.NVML_VOLATILE_ECC

    def __init__(self, gpus: Iterable[Gpu] = (), failure: Exception | None = None) -> None:
        self.gpus = list(gpus)
        self._failure = failure
        self.open_count = 0

    def nvmlInit(self) -> None:
        if self._failure is not None:
            raise self._failure
        self.open_count += 1

    def nvmlShutdown(self) -> None:
        self.open_count -= 1

    def nvmlDeviceGetCount(self) -> int:
        assert self.open_count, "asked before nvmlInit"
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:
        if self.gpus[index].is_lost:
            raise error(pynvml.NVML_ERROR_GPU_IS_LOST)
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Gpu | tuple[Gpu, Instance]:
        for gpu in self.gpus:
            if gpu.uuid == uuid:
                return gpu
            for instance in gpu.instances:
                if instance.uuid == uuid:
                    return gpu, instance
        raise error(pynvml.NVML_ERROR_NOT_FOUND)

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, migDevice: tuple[Gpu, Instance]) -> Gpu:
        return migDevice[0]

    def nvmlDeviceGetIndex(self, handle: Gpu) -> int:
        return self.gpus.index(handle)

    def nvmlDeviceGetFieldValues(self, handle: Gpu, fieldIds: list[int]) -> list[_Field]:
        assert fieldIds == [pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION]
        if handle.recovery_action is None:
            return [_Field(pynvml.NVML_ERROR_NOT_SUPPORTED, _Number(0))]
        return [_Field(pynvml.NVML_SUCCESS, _Number(handle.recovery_action))]

    def nvmlDeviceGetTotalEccErrors(self, handle: Gpu, errorType: int, counterType: int) -> int:
        assert (errorType, counterType) == (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
        return handle.uncorrected_errors

    def nvmlDeviceGetName(self, handle: Gpu | tuple[Gpu, Instance]) -> str:
        if isinstance(handle, Gpu):
            return handle.name
        return f"{handle[0].name} MIG {handle[1].profile}"

    def nvmlDeviceGetUUID(self, handle: Gpu | tuple[Gpu, Instance]) -> str:
        return handle.uuid if isinstance(handle, Gpu) else handle[1].uuid

    def nvmlDeviceGetMinorNumber(self, handle: Gpu) -> int:
        return handle.minor

    def nvmlDeviceGetPciInfo(self, handle: Gpu) -> _Pci:
        return _Pci(handle.bus)

    def nvmlDeviceGetMemoryInfo(self, handle: Gpu | tuple[Gpu, Instance]) -> _Memory:
        if isinstance(handle, Gpu) and handle.is_lost:
            raise error(pynvml.NVML_ERROR_GPU_IS_LOST)
        gpu = handle if isinstance(handle, Gpu) else handle[0]
        mib = handle.memory_mib if isinstance(handle, Gpu) else handle[1].memory_mib
        return _Memory(mib * 1024 * 1024, gpu.used_bytes)

    def nvmlDeviceGetCpuAffinity(self, handle: Gpu, cpuSetSize: int) -> list[int]:
        return [handle.cpus >> (64 * word) & (2**64 - 1) for word in range(cpuSetSize)]

    def nvmlDeviceGetMigMode(self, device: Gpu) -> list[int]:
        if not device.name.startswith("NVIDIA A100"):
            raise error(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [int(device.is_divided), int(device.is_divided)]

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Gpu) -> int:
        return 7 if device.name.startswith("NVIDIA A100") else 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Gpu, index: int) -> tuple[Gpu, Instance]:
        if index >= len(device.instances):
            raise error(pynvml.NVML_ERROR_NOT_FOUND)
        return device, device.instances[index]

    def nvmlDeviceGetGpuInstanceId(self, device: tuple[Gpu, Instance]) -> int:
        return device[1].gi

    def nvmlDeviceGetComputeInstanceId(self, device: tuple[Gpu, Instance]) -> int:
        return device[1].ci

    def nvmlDeviceGetNvLinkState(self, device: Gpu, link: int) -> int:
        if not device.links:
            raise error(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return int(link < len(device.links))

    def nvmlDeviceGetNvLinkRemotePciInfo(self, device: Gpu, link: int) -> _Pci:
        other = device.links[link]
        return _Pci(self.gpus[other].bus if other >= 0 else "00000000:C0:00.0")

    def nvmlDeviceGetRemappedRows(self, device: Gpu) -> tuple[int, int, int, int]:
        if device.remapped_rows is None:
            raise error(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return device.remapped_rows

    def nvmlDeviceGetRetiredPagesPendingStatus(self, device: Gpu) -> int:
        raise error(pynvml.NVML_ERROR_NOT_SUPPORTED)

    def processes(self, handle: Gpu | tuple[Gpu, Instance]) -> list[Process]:
        """Return what runs there now."""
        asked = handle if isinstance(handle, Gpu) else handle[0]
        gpu = next(gpu for gpu in self.gpus if gpu.uuid == asked.uuid)
        if gpu.is_lost:
            raise error(pynvml.NVML_ERROR_GPU_IS_LOST)
        own = self.nvmlDeviceGetUUID(handle)
        return [process for uuid, process in gpu.processes if uuid == own]

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Gpu | tuple[Gpu, Instance]) -> list[_Running]:
        return [_Running(each.pid, each.memory_bytes) for each in self.processes(handle)]

    def nvmlDeviceGetGraphicsRunningProcesses_v3(self, handle: Gpu | tuple[Gpu, Instance]) -> list[_Running]:
        return [_Running(each.pid, each.memory_bytes) for each in self.processes(handle) if each.draws]

    def nvmlDeviceGetMPSComputeRunningProcesses_v3(self, handle: Gpu | tuple[Gpu, Instance]) -> list[_Running]:
        raise error(pynvml.NVML_ERROR_NOT_SUPPORTED)

    def nvmlDeviceGetProcessUtilization(self, handle: Gpu | tuple[Gpu, Instance], timeStamp: int) -> list[_Sample]:
        if not isinstance(handle, Gpu) or not handle.tells_util_of_processes:
            raise error(pynvml.NVML_ERROR_NOT_SUPPORTED)
        samples = [
            _Sample(each.pid, each.sampled_us, percent)
            for each in self.processes(handle)
            for percent in each.util_percent
            if each.sampled_us > timeStamp
        ]
        if not samples:
            raise error(pynvml.NVML_ERROR_NOT_FOUND)
        return samples

    def nvmlDeviceGetUtilizationRates(self, handle: Gpu | tuple[Gpu, Instance]) -> _Rates:
        if not isinstance(handle, Gpu) or handle.util_percent is None:
            raise error(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return _Rates(handle.util_percent)


def functions(library: Any) -> dict[str, Any]:
    return {name: getattr(library, name) for name in dir(FakeNvml) if name.startswith("nvml")}
