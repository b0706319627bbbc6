"""AMD's and Intel's GPUs, from the files that the kernel's own drivers show; no library is asked.

    /sys/class/drm/renderD128/device/vendor              0x1002 is AMD, 0x8086 Intel
    /sys/class/drm/renderD128/device/{product_name,device,unique_id,mem_info_vram_total,local_cpulist}

Source: Documentation/gpu/amdgpu/driver-misc.rst and Documentation/ABI/testing/sysfs-bus-pci of the kernel.
"""

from __future__ import annotations

import os

from sluiced.gpu.device import Device
from sluiced.gpu.nvml import Found, type_of

_VENDORS = {"0x1002": "amd", "0x8086": "intel"}
_MIB = 1024 * 1024


def read_drm(vendor: str, sys: str = "/sys", dev: str = "/dev") -> Found:
    """Return the GPUs of "amd" or "intel" in the order of their render nodes."""
    root = os.path.join(sys, "class", "drm")
    try:
        names = sorted(
            (name for name in os.listdir(root) if name.startswith("renderD")), key=lambda name: int(name[7:])
        )
    except (OSError, ValueError):
        return Found(problem=f"{vendor}: the kernel shows no GPUs in {root}")
    own = [name for name in names if _VENDORS.get(_read(root, name, "vendor")) == vendor]
    devices = tuple(_device(root, name, vendor, ordinal, dev) for ordinal, name in enumerate(own))
    return Found(devices, "" if devices else f"{vendor}: none of the {len(names)} GPUs in {root} is of this vendor")


def _device(root: str, name: str, vendor: str, ordinal: int, dev: str) -> Device:
    product = _read(root, name, "product_name") or _read(root, name, "device").removeprefix("0x")
    memory = _read(root, name, "mem_info_vram_total")
    files = [f"{dev}/dri/{name}", *(f"{dev}/dri/{card}" for card in _cards(root, name))]
    return Device(
        vendor=vendor,
        type=type_of(product if product.lower().startswith(vendor) else f"{vendor} {product}"),
        ordinal=ordinal,
        uuid=_read(root, name, "unique_id"),
        files=tuple(files),
        memory_mib=int(memory) // _MIB if memory.isdecimal() else 0,
        cpus=_read(root, name, "local_cpulist"),
    )


def _cards(root: str, name: str) -> list[str]:
    """Return the other node of the same device: card0 beside renderD128."""
    try:
        return sorted(each for each in os.listdir(os.path.join(root, name, "device", "drm")) if each.startswith("card"))
    except OSError:
        return []


def _read(root: str, name: str, file: str) -> str:
    try:
        with open(os.path.join(root, name, "device", file)) as opened:
            return opened.read().strip()
    except OSError:
        return ""
