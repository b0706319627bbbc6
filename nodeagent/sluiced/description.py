"""What a node tells of itself: measured, and measured anew where the configuration asks for something else."""

from __future__ import annotations

from sluice.wire.messages import AgentConfig, Heartbeat, NodeReport, RunningStep
from sluiced import inventory
from sluiced.cgroup import detect
from sluiced.gpu.device import NodeDevices
from sluiced.gpu.measure import Devices
from sluiced.options import Options


class Description:
    """Of the agent's own node."""

    def __init__(self, options: Options, spool_id: str, started_at: float) -> None:
        self._node = options.node.name
        self._spool_id = spool_id
        self._started_at = started_at
        self._devices = Devices(self._node, options.setup)
        #: What is asked for and cannot be enforced here, and why.
        self.unenforced = ""

    @property
    def devices(self) -> NodeDevices:
        return self._devices.measured.devices

    @property
    def watched_gpus(self) -> tuple[str, ...]:
        """Return the UUIDs of the GPUs whose health can be asked for."""
        return self._devices.watched

    @property
    def has_ill_gpus(self) -> bool:
        """Were there GPUs, when the node was measured, that do not count because they were ill?"""
        return bool(self._devices.measured.ill)

    def look_again(self) -> bool:
        """Measure the devices anew; return whether the node has another description."""
        return self._devices.look_again()

    def prepare(self, config: AgentConfig) -> None:
        """Make the node ready for steps, before the first one starts."""
        self.unenforced = detect.prepare(self._node, config.cgroup)

    def follow(self, config: AgentConfig, old: AgentConfig) -> bool:
        """Measure anew what *config* sees otherwise than *old*; return whether the node has another description."""
        setup = config.nodes.get(self._node)
        has_changed = setup is not None and self._devices.set_up(setup)
        if config.cgroup != old.cgroup:
            told = self.unenforced
            self.prepare(config)
            has_changed = has_changed or self.unenforced != told
        return has_changed

    def report(self, config: AgentConfig, steps: tuple[RunningStep, ...]) -> NodeReport:
        units = self._devices.measured
        measured = inventory.measure(self._spool_id, self._started_at, self.unenforced, config.tmp_fs, units)
        return NodeReport(node=self._node, inventory=measured, steps=steps)

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(nodes=((self._node, *inventory.load_and_free_memory()),))
