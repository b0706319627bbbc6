"""What this machine has, measured; and what of it is free, for heartbeats."""

from __future__ import annotations

import os
import platform
import shutil

import psutil  # type: ignore[import-untyped]

import sluice
from sluice.model.node import Inventory
from sluiced import process_id
from sluiced.binding import topology
from sluiced.gpu.units import Measured

_MIB = 1024 * 1024


def measure(
    spool_id: str, started_at: float, unenforced: str, tmp_fs: str = "/tmp", units: Measured | None = None
) -> Inventory:
    """Return the inventory of this machine; units: of its generic resources."""
    cpus = topology.machine()
    sockets, cores, threads = topology.count_levels(cpus)
    units = units or Measured()
    return Inventory(
        cpus=len(cpus),
        memory_mib=psutil.virtual_memory().total // _MIB,
        sockets=sockets,
        cores_per_socket=cores,
        threads_per_core=threads,
        tmp_disk_mib=_disk_mib(tmp_fs),
        hostname=platform.node(),
        arch=platform.machine(),
        os=f"{platform.system()} {platform.release()} {platform.version()}",
        version=sluice.SLURM_VERSION,
        boot_id=process_id.boot_id(),
        booted_at=psutil.boot_time(),
        agent_started_at=started_at,
        spool_id=spool_id,
        unenforced=unenforced,
        gres=units.gres,
        gres_problems=units.problems,
        gres_places=units.places,
    )


def load_and_free_memory() -> tuple[float, int]:
    """Return the load of the last minute and the free memory in MiB."""
    return os.getloadavg()[0], psutil.virtual_memory().available // _MIB


def _disk_mib(path: str) -> int:
    try:
        return shutil.disk_usage(path).total // _MIB
    except OSError:
        return 0
