"""NVIDIA's GPUs from the files that the driver itself shows, for machines whose library should not be asked.

    /proc/driver/nvidia/gpus/0000:07:00.0/information     Model, GPU UUID, Device Minor, GPU Excluded
    /sys/bus/pci/devices/0000:07:00.0/local_cpulist

Neither MIG instances nor links nor health are told there.  Source: the driver's README, "The /proc interface".
"""

from __future__ import annotations

import os

from sluiced.gpu.device import Device
from sluiced.gpu.nvml import VENDOR, Found, type_of


def read_proc(proc: str = "/proc", sys: str = "/sys", dev: str = "/dev") -> Found:
    """Return the GPUs in the order of their buses, as NVIDIA's library counts them."""
    root = os.path.join(proc, "driver", "nvidia", "gpus")
    try:
        buses = sorted(os.listdir(root))
    except OSError:
        return Found(problem=f"nvidia: the driver is not loaded: there is no {root}")
    known = [(bus, facts) for bus in buses if not _is_excluded(facts := _read_facts(root, bus))]
    devices = tuple(_device(bus, facts, ordinal, sys, dev) for ordinal, (bus, facts) in enumerate(known))
    return Found(devices, "" if devices else f"nvidia: the driver shows no GPU in {root}")


def _device(bus: str, facts: dict[str, str], ordinal: int, sys: str, dev: str) -> Device:
    return Device(
        vendor=VENDOR,
        type=type_of(facts.get("model", "unknown")),
        ordinal=ordinal,
        uuid=facts.get("gpu uuid", ""),
        files=(f"{dev}/nvidia{facts.get('device minor', ordinal)}",),
        cpus=_read(os.path.join(sys, "bus", "pci", "devices", bus, "local_cpulist")),
    )


def _read_facts(root: str, bus: str) -> dict[str, str]:
    lines = _read(os.path.join(root, bus, "information")).splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _is_excluded(facts: dict[str, str]) -> bool:
    return "yes" in (facts.get("gpu excluded", "").lower(), facts.get("blacklisted", "").lower())


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
