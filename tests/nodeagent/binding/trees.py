"""Made-up machines: as the model has them, and as the kernel's files tell of them."""

from __future__ import annotations

from pathlib import Path

from sluice import cpuset
from sluiced.binding.topology import Cpu, Topology, place_cpus


def make_cpus(sockets: int, cores: int, threads: int, *, is_interleaved: bool = False) -> tuple[Cpu, ...]:
    """Return a machine with a NUMA domain a socket.

    is_interleaved: numbered as most two-socket servers are, sockets in turn, all first threads before the second ones.
    """
    cpus = []
    for socket in range(sockets):
        for core in range(cores):
            for thread in range(threads):
                number = (socket * cores + core) * threads + thread
                if is_interleaved:
                    number = (thread * cores + core) * sockets + socket
                cpus.append(Cpu(number, socket, core, socket))
    return tuple(cpus)


def make_topology(sockets: int, cores: int, threads: int, *, is_interleaved: bool = False) -> Topology:
    return place_cpus(make_cpus(sockets, cores, threads, is_interleaved=is_interleaved))


def write_tree(system: Path, cpus: tuple[Cpu, ...], *, has_packages: bool = True) -> None:
    """Write what /sys/devices/system says of these CPUs."""
    numbers = sum(1 << cpu.number for cpu in cpus)
    (system / "cpu").mkdir(parents=True)
    (system / "cpu" / "online").write_text(cpuset.format(numbers) + "\n")
    for cpu in cpus:
        folder = system / "cpu" / f"cpu{cpu.number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{cpu.socket if has_packages else -1}\n")
        (folder / "core_id").write_text(f"{cpu.core}\n")
    domains = {cpu.domain for cpu in cpus}
    (system / "node").mkdir()
    (system / "node" / "online").write_text(cpuset.format(sum(1 << domain for domain in domains)) + "\n")
    for domain in domains:
        folder = system / "node" / f"node{domain}"
        folder.mkdir()
        own = sum(1 << cpu.number for cpu in cpus if cpu.domain == domain)
        (folder / "cpulist").write_text(cpuset.format(own) + "\n")
