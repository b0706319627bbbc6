"""The units of this machine: what the configuration asks to be looked for is looked for, and put together."""

from __future__ import annotations

import logging
import os

from msgspec.structs import replace

from sluice import cpuset
from sluice.config.node_setup import NodeSetup
from sluice.model.node import GresPlace
from sluice.model.request import GresRequest
from sluiced.binding.topology import Geometry, Topology, machine, place_cpus
from sluiced.gpu import drm, nvml
from sluiced.gpu.device import Device, NodeDevices, Unit
from sluiced.gpu.nvidia_proc import read_proc
from sluiced.gpu.nvml import Found
from sluiced.gpu.units import Measured, compute_units, wanted_readers

logger = logging.getLogger(__name__)


class Devices:
    """The units of the agent's node, as they were when last looked for."""

    def __init__(self, node: str, setup: NodeSetup | None) -> None:
        self._node = node
        self._setup: NodeSetup | None = None
        self.measured = Measured()
        if setup is not None:
            self.set_up(setup)

    @property
    def watched(self) -> tuple[str, ...]:
        """Return the UUIDs of the GPUs that NVIDIA's library was asked for, those that do not count too."""
        if self._setup is None or "nvml" not in wanted_readers(self._setup.gres_lines):
            return ()
        units = [unit.uuid for unit in self.measured.devices.units if unit.vendor == nvml.VENDOR and unit.uuid]
        return (*units, *self.measured.ill)

    def set_up(self, setup: NodeSetup) -> bool:
        """Look for what the configuration says; return whether the node has something else than before."""
        return setup != self._setup and self._measure(setup)

    def look_again(self) -> bool:
        """Look for the same again, which may give units other numbers; return whether there is something else."""
        return self._setup is not None and self._measure(self._setup)

    def _measure(self, setup: NodeSetup) -> bool:
        self._setup = setup
        before, self.measured = self.measured, measure_units(setup)
        for problem in self.measured.problems:
            logger.warning("node %s: %s", self._node, problem)
        return before != self.measured


def measure_units(setup: NodeSetup) -> Measured:
    """Return what a node has of its configured resources; a node that is believed has them all."""
    geometry = Geometry(setup.cpus, setup.sockets, setup.cores_per_socket, setup.threads_per_core)
    readers = wanted_readers(setup.gres_lines)
    found = [_look(reader) for reader in readers]
    devices = [device for each in found for device in each.devices]
    configured = tuple(GresRequest(name=name, type=kind, count=count) for name, kind, count in setup.gres)
    measured = compute_units(configured, setup.gres_lines, devices, os.path.exists, bool(readers))
    known = _with_cores(measured.devices, devices, place_cpus(machine(), geometry))
    # What a library has to say matters where something is missing, or where it is all that was asked.
    is_short = measured.gres != configured
    reasons = [each.problem for each in found if each.problem and (is_short or len(readers) == 1)]
    return Measured(
        devices=known,
        gres=configured if setup.is_believed else measured.gres,
        problems=(*measured.problems, *reasons),
        places=_places(known) if readers and not is_short else (),
        ill=tuple(device.uuid for device in devices if device.ailment),
    )


def _places(known: NodeDevices) -> tuple[GresPlace, ...]:
    """Return where GPUs stand, if that is known of any."""
    gpus = [unit for unit in known.units if unit.name == "gpu"]
    if not any(unit.cores for unit in gpus):
        return ()
    return tuple(GresPlace(name="gpu", type=unit.type, cores=unit.cores) for unit in gpus)


def _look(reader: str) -> Found:
    if reader == "nvml":
        return nvml.read_nvml(1 + max((cpu.number for cpu in machine()), default=0))
    return read_proc() if reader == "nvidia_proc" else drm.read_drm(reader)


def _with_cores(known: NodeDevices, devices: list[Device], topology: Topology) -> NodeDevices:
    """Return the units with the cores near them where gres.conf says none and the devices know."""
    cpus = {file: device.cpus for device in devices for file in device.files}
    return replace(known, units=tuple(_near(unit, cpus, topology) for unit in known.units))


def _near(unit: Unit, cpus: dict[str, str], topology: Topology) -> Unit:
    near = next((cpus[file] for file in unit.files if file in cpus), "")
    if unit.cores or not near:
        return unit
    mask = cpuset.parse(near)
    cores = sum(1 << core for core in {place.core for place in topology.places if place.mask & mask})
    is_everywhere = cores.bit_count() == len({place.core for place in topology.places})
    return replace(unit, cores="" if is_everywhere else cpuset.format(cores))
