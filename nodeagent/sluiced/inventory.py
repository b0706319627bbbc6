"""What this machine has, measured; and what of it is free, for heartbeats."""

from __future__ import annotations

import os
import platform
import shutil

import psutil  # type: ignore[import-untyped]

import sluice
from sluice.model.node import Inventory
from sluiced import process_id

_MIB = 1024 * 1024
_CPU_ROOT = "/sys/devices/system/cpu"


def measure(spool_id: str, started_at: float, unenforced: str, tmp_fs: str = "/tmp") -> Inventory:
    """Return the inventory of this machine."""
    sockets, cores, threads = _topology()
    return Inventory(
        cpus=os.cpu_count() or 1,
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
    )


def load_and_free_memory() -> tuple[float, int]:
    """Return the load of the last minute and the free memory in MiB."""
    return os.getloadavg()[0], psutil.virtual_memory().available // _MIB


def _topology() -> tuple[int, int, int]:
    """Return (sockets, cores per socket, threads per core) of the online CPUs."""
    cores: set[tuple[int, int]] = set()
    sockets: set[int] = set()
    count = 0
    for name in os.listdir(_CPU_ROOT):
        if not (name.startswith("cpu") and name[3:].isdecimal()):
            continue
        try:
            package, core = (_read_number(name, file) for file in ("physical_package_id", "core_id"))
        except OSError:
            continue
        sockets.add(package)
        cores.add((package, core))
        count += 1
    if not count:
        return 1, os.cpu_count() or 1, 1
    return len(sockets), max(1, len(cores) // len(sockets)), max(1, count // len(cores))


def _read_number(cpu: str, file: str) -> int:
    with open(os.path.join(_CPU_ROOT, cpu, "topology", file)) as opened:
        return int(opened.read())


def _disk_mib(path: str) -> int:
    try:
        return shutil.disk_usage(path).total // _MIB
    except OSError:
        return 0
