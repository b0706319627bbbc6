"""NVIDIA's GPUs as its management library tells of them: types, UUIDs, memory, MIG instances, links, CPUs, health.

The library is loaded at the first question and let go after it.  A machine without it, or without a driver, has no
such GPUs and a sentence that says why.  What a single GPU cannot answer is left out of its record.

Source: the NVML API reference; names of types as Slurm's users know them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from sluice import cpuset
from sluiced.gpu.ailment import ask, read_ailment
from sluiced.gpu.capability import mig_files
from sluiced.gpu.device import Device

VENDOR = "nvidia"
_MIB = 1024 * 1024
_WORD_BITS = 64


class Found(NamedTuple):
    """devices: in the library's order.  problem: why there are none, or fewer than there might be."""

    devices: tuple[Device, ...] = ()
    problem: str = ""


def read_nvml(cpu_count: int, library: Any = None, proc: str = "/proc", dev: str = "/dev") -> Found:
    """Return the GPUs, or the instances in place of those that are divided.

    cpu_count: of the machine, for the size of affinity masks.  library: pynvml, or what stands for it.
    """
    try:
        nvml = library if library is not None else load_library()
        nvml.nvmlInit()
    except ImportError as error:
        return Found(problem=f"NVML: the Python package nvidia-ml-py is not installed ({error})")
    except Exception as error:
        return Found(problem=f"NVML: {error}: the driver's libnvidia-ml.so.1 is needed for AutoDetect=nvml")
    try:
        return _read(nvml, cpu_count, proc, dev)
    except nvml.NVMLError as error:
        return Found(problem=f"NVML: {error}")
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def load_library() -> Any:
    """Return pynvml.  Raises ImportError."""
    import pynvml  # type: ignore[import-untyped]

    return pynvml


def _read(nvml: Any, cpu_count: int, proc: str, dev: str) -> Found:
    devices: list[Device] = []
    problems = []
    handles = {}
    for index in range(nvml.nvmlDeviceGetCount()):
        # A GPU that has fallen off the bus answers nothing; the others are there all the same.
        try:
            handles[index] = nvml.nvmlDeviceGetHandleByIndex(index)
        except nvml.NVMLError as error:
            problems.append(f"GPU {index}: {error}")
    for index, handle in handles.items():
        whole = _read_gpu(nvml, index, handle, cpu_count, dev)
        parts = list(_read_instances(nvml, handle, whole, proc, dev))
        if _is_divided(nvml, handle):
            devices += parts
            problems += [] if parts else [f"GPU {index}: MIG is on, but it has no instances"]
        else:
            whole = _with_links(nvml, handles, index, whole)
            devices.append(whole)
    return Found(tuple(devices), "; ".join(problems))


def _read_gpu(nvml: Any, index: int, handle: Any, cpu_count: int, dev: str) -> Device:
    minor = ask(nvml, lambda: nvml.nvmlDeviceGetMinorNumber(handle), index)
    words = -(-max(1, cpu_count) // _WORD_BITS)
    affinity = ask(nvml, lambda: nvml.nvmlDeviceGetCpuAffinity(handle, words), ())
    mask = sum(int(word) << (_WORD_BITS * place) for place, word in enumerate(affinity))
    return Device(
        vendor=VENDOR,
        type=type_of(_text(nvml.nvmlDeviceGetName(handle))),
        ordinal=index,
        uuid=_text(ask(nvml, lambda: nvml.nvmlDeviceGetUUID(handle), "")),
        files=(f"{dev}/nvidia{minor}",),
        memory_mib=_memory_mib(nvml, handle),
        cpus=cpuset.format(mask & ((1 << cpu_count) - 1)),
        ailment=read_ailment(nvml, handle),
    )


def type_of(name: str) -> str:
    """Return the type that a product name gives: "NVIDIA A100-SXM4-40GB" is nvidia_a100-sxm4-40gb."""
    return "_".join(name.lower().split())


def _is_divided(nvml: Any, handle: Any) -> bool:
    modes = ask(nvml, lambda: nvml.nvmlDeviceGetMigMode(handle), (0, 0))
    return bool(modes[0] == nvml.NVML_DEVICE_MIG_ENABLE)


def _read_instances(nvml: Any, handle: Any, whole: Device, proc: str, dev: str) -> Iterator[Device]:
    """Yield the MIG instances of a GPU: "NVIDIA A100-SXM4-40GB MIG 3g.20gb" is nvidia_a100-sxm4-40gb_3g.20gb."""
    minor = int(whole.files[0].rpartition("nvidia")[2])
    for place in range(ask(nvml, lambda: nvml.nvmlDeviceGetMaxMigDeviceCount(handle), 0)):
        try:
            instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
        except nvml.NVMLError:
            # Places without an instance in them.
            continue
        name = _text(nvml.nvmlDeviceGetName(instance))
        profile = type_of(name.rpartition(" MIG ")[2])
        numbers = (nvml.nvmlDeviceGetGpuInstanceId(instance), nvml.nvmlDeviceGetComputeInstanceId(instance))
        yield Device(
            vendor=VENDOR,
            type=f"{whole.type}_{profile}",
            ordinal=whole.ordinal,
            uuid=_text(nvml.nvmlDeviceGetUUID(instance)),
            files=(*whole.files, *mig_files(minor, *numbers, proc, dev)),
            memory_mib=_memory_mib(nvml, instance),
            cpus=whole.cpus,
            is_mig=True,
            ailment=whole.ailment,
        )


def _with_links(nvml: Any, handles: dict[int, Any], index: int, device: Device) -> Device:
    """Return the device with its number of NVLinks to each other one; links through switches count for all of them."""
    buses = {other: _bus(nvml, handle) for other, handle in handles.items()}
    counts = dict.fromkeys(handles, 0)
    for link in range(nvml.NVML_NVLINK_MAX_LINKS):
        remote = _remote_bus(nvml, handles[index], link)
        if remote is None:
            continue
        ends = [other for other, bus in buses.items() if bus == remote] or [o for o in handles if o != index]
        for other in ends:
            counts[other] += 1
    return replace(device, links=tuple(-1 if other == index else counts[other] for other in handles))


def _remote_bus(nvml: Any, handle: Any, link: int) -> str | None:
    """Return where a link leads to; None where it is not there or not in use."""
    if not ask(nvml, lambda: nvml.nvmlDeviceGetNvLinkState(handle, link), 0):
        return None
    return _text(ask(nvml, lambda: nvml.nvmlDeviceGetNvLinkRemotePciInfo(handle, link).busId, "")).lower()


def _memory_mib(nvml: Any, handle: Any) -> int:
    return int(ask(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total, 0)) // _MIB


def _bus(nvml: Any, handle: Any) -> str:
    return _text(ask(nvml, lambda: nvml.nvmlDeviceGetPciInfo(handle).busId, "")).lower()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
