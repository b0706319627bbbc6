"""The device files that a job, or a task, may open, and those that it may not.  Pure.

Of a node's devices some files are a unit's own, and some are everybody's who has a unit of that vendor: NVIDIA's
control and memory devices, AMD's kfd.  A GPU of which a job has a part (a shard, a MIG instance) is open to it, another
instance of it is not.  Files that belong to no unit of the node are none of the fence's business.

Invariant: allowed and withheld have nothing in common, and together they are all files of all units.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sluiced.gpu.device import NodeDevices, Unit

#: What every program opens that uses a device of the vendor.
_COMMON = {
    "nvidia": (
        "/dev/nvidiactl",
        "/dev/nvidia-uvm",
        "/dev/nvidia-uvm-tools",
        "/dev/nvidia-modeset",
        "/dev/nvidia-caps/nvidia-cap2",
    ),
    "amd": ("/dev/kfd",),
    "intel": (),
}


class Fence(NamedTuple):
    """allowed: own and common files, some of which a machine may not have.  withheld: of the node's other units."""

    allowed: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()


def compute_fence(devices: NodeDevices, granted: Iterable[Unit]) -> Fence:
    """Return the fence around the granted units."""
    own = list(granted)
    common = [path for vendor in dict.fromkeys(unit.vendor for unit in own) for path in _COMMON.get(vendor, ())]
    allowed = tuple(dict.fromkeys([*(path for unit in own for path in unit.files), *common]))
    every = dict.fromkeys(path for unit in devices.units for path in unit.files)
    return Fence(allowed, tuple(path for path in every if path not in allowed))
