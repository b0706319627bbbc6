"""The device files of a MIG instance: the driver names a minor number for each right to use one.

    /proc/driver/nvidia/capabilities/gpu0/mig/gi3/access        "DeviceFileMinor: 30"
    /dev/nvidia-caps/nvidia-cap30

Source: NVIDIA's MIG user guide, "Device nodes and capabilities".
"""

from __future__ import annotations

import os


def mig_files(gpu: int, instance: int, compute_instance: int, proc: str = "/proc", dev: str = "/dev") -> list[str]:
    """Return the files that open a compute instance; those that the driver does not tell of are left out.

    gpu: the minor number of its GPU.
    """
    folder = f"{proc}/driver/nvidia/capabilities/gpu{gpu}/mig/gi{instance}"
    minors = [_minor(f"{folder}/access"), _minor(f"{folder}/ci{compute_instance}/access")]
    return [os.path.join(dev, "nvidia-caps", f"nvidia-cap{minor}") for minor in minors if minor is not None]


def _minor(path: str) -> int | None:
    try:
        with open(path) as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() == "DeviceFileMinor" and value.strip().isdecimal():
                    return int(value)
    except OSError:
        pass
    return None
