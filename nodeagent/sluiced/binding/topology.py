"""Where the CPUs of a node are: sockets, cores, threads and NUMA domains, read from the kernel's own files.

A Topology has one Place for each CPU that the scheduler counts, in its order: through threads, cores and sockets, as
grants number them.  The kernel may number the same CPUs in any way, so each place knows the kernel's mask.

A node may be configured otherwise than it was measured:

    as many CPUs as cores       a CPU is a core with all of its threads
    fewer CPUs than measured    the first of them in order: configuration may narrow
    more CPUs than measured     as configured, with made-up kernel numbers: nothing is bound there

Source: Documentation/admin-guide/cputopology.rst and numa.rst of the kernel; CONTRACT section 16.2.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import NamedTuple

from sluice import cpuset
from sluice.errors import InvalidRequest

SYSTEM = "/sys/devices/system"


class Cpu(NamedTuple):
    """One CPU of the kernel.  socket and core: numbers of the kernel, which need not be dense."""

    number: int
    socket: int
    core: int
    domain: int


class Geometry(NamedTuple):
    """What the configuration says of a node."""

    cpus: int
    sockets: int = 1
    cores_per_socket: int = 1
    threads_per_core: int = 1


class Place(NamedTuple):
    """One CPU of the scheduler's.  mask: of the kernel's CPUs; socket, core, thread: dense, from 0."""

    mask: int
    socket: int
    core: int
    thread: int
    domain: int


class Topology(NamedTuple):
    """The CPUs of a node.  is_made_up: it is configured with CPUs that the machine does not have."""

    places: tuple[Place, ...]
    is_made_up: bool = False

    def kernel_mask(self, cpus: int) -> int:
        """Return the kernel's CPUs of a mask of the scheduler's; numbers that there are not give none."""
        mask = 0
        for number in cpuset.numbers(cpus & self.all_cpus):
            mask |= self.places[number].mask
        return mask

    @property
    def all_cpus(self) -> int:
        return (1 << len(self.places)) - 1

    @property
    def threads_per_core(self) -> int:
        return 1 + max((place.thread for place in self.places), default=0)

    def domains(self) -> dict[int, int]:
        """Return the scheduler's CPUs of each NUMA domain that has any."""
        found: dict[int, int] = {}
        for number, place in enumerate(self.places):
            found[place.domain] = found.get(place.domain, 0) | 1 << number
        return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def machine() -> tuple[Cpu, ...]:
    """Return the CPUs of this machine, read once: a machine whose CPUs come and go needs the agent started again."""
    return read_cpus()


def read_cpus(system: str = SYSTEM) -> tuple[Cpu, ...]:
    """Return the CPUs that are online below *system*, by socket, core and thread.

    A kernel that does not tell of sockets has one, in which each CPU is a core.
    """
    domains = _read_domains(system)
    cpus = [_read_cpu(os.path.join(system, "cpu", f"cpu{number}"), number, domains) for number in _online(system)]
    return tuple(sorted(cpus, key=lambda cpu: (cpu.socket, cpu.core, cpu.number)))


def place_cpus(cpus: tuple[Cpu, ...], geometry: Geometry | None = None) -> Topology:
    """Return the places of a node's CPUs; geometry: as configured, None as measured."""
    places = _places(cpus)
    if geometry is None or geometry.cpus == len(places):
        return Topology(places)
    if geometry.cpus > len(places):
        return Topology(_made_up(geometry), is_made_up=True)
    cores = _whole_cores(places)
    return Topology(cores if geometry.cpus == len(cores) else places[: geometry.cpus])


def count_levels(cpus: tuple[Cpu, ...]) -> tuple[int, int, int]:
    """Return (sockets, cores per socket, threads per core)."""
    sockets = {cpu.socket for cpu in cpus}
    cores = {(cpu.socket, cpu.core) for cpu in cpus}
    if not cpus:
        return 1, 1, 1
    return len(sockets), max(1, len(cores) // len(sockets)), max(1, len(cpus) // len(cores))


def _places(cpus: tuple[Cpu, ...]) -> tuple[Place, ...]:
    sockets = {socket: index for index, socket in enumerate(dict.fromkeys(cpu.socket for cpu in cpus))}
    cores = {core: index for index, core in enumerate(dict.fromkeys((cpu.socket, cpu.core) for cpu in cpus))}
    threads: dict[tuple[int, int], int] = {}
    places = []
    for cpu in cpus:
        core = (cpu.socket, cpu.core)
        thread = threads[core] = threads.get(core, -1) + 1
        places.append(Place(1 << cpu.number, sockets[cpu.socket], cores[core], thread, cpu.domain))
    return tuple(places)


def _whole_cores(places: tuple[Place, ...]) -> tuple[Place, ...]:
    masks: dict[int, int] = {}
    for place in places:
        masks[place.core] = masks.get(place.core, 0) | place.mask
    return tuple(place._replace(mask=masks[place.core]) for place in places if place.thread == 0)


def _made_up(geometry: Geometry) -> tuple[Place, ...]:
    """As the scheduler sees it: a node whose numbers do not multiply is one socket of single CPUs."""
    cpus, sockets, cores, threads = geometry
    if cpus != sockets * cores * threads:
        sockets, cores, threads = 1, cpus, 1
    return tuple(
        Place(1 << number, number // (cores * threads), number // threads, number % threads, 0)
        for number in range(cpus)
    )


def _online(system: str) -> list[int]:
    try:
        return cpuset.numbers(cpuset.parse(_read(system, "cpu", "online")))
    except (OSError, InvalidRequest):
        return list(range(os.cpu_count() or 1))


def _read_cpu(folder: str, number: int, domains: dict[int, int]) -> Cpu:
    domain = domains.get(number, 0)
    try:
        # Dies and clusters of a package stay together: their cores have numbers of their own in it.
        socket, core = (int(_read(folder, "topology", file)) for file in ("physical_package_id", "core_id"))
    except (OSError, ValueError):
        return Cpu(number, 0, number, domain)
    # Some virtual machines know no package: -1.
    return Cpu(number, max(0, socket), core if core >= 0 else number, domain)


def _read_domains(system: str) -> dict[int, int]:
    """Return the NUMA domain of each CPU."""
    found: dict[int, int] = {}
    try:
        domains = cpuset.numbers(cpuset.parse(_read(system, "node", "online")))
        for domain in domains:
            for number in cpuset.numbers(cpuset.parse(_read(system, "node", f"node{domain}", "cpulist"))):
                found[number] = domain
    except (OSError, InvalidRequest):
        pass
    return found


def _read(*parts: str) -> str:
    with open(os.path.join(*parts)) as file:
        return file.read().strip()
