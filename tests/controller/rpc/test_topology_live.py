"""A controller with a topology: what it answers and sends, and that it looks again when a wait for switches ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from sluice.errors import InvalidRequest
from sluice.model.states import JobState
from sluice.wire import messages
from sluice.wire.messages import Done, Submitted, TopologyViews
from tests.live_controller import DEADLINE_S, LiveController, submission

TREE = "SwitchName=s1 Nodes=n1\nSwitchName=s2 Nodes=n2\nSwitchName=top Switches=s[1-2]\n"


async def give_topology(controller: LiveController, text: str = TREE) -> None:
    """Put topology.conf beside the configuration and have the controller read it."""
    (controller.folder / "topology.conf").write_text(text)
    controller.path.write_text(controller.path.read_text() + "TopologyPlugin=topology/tree\n")
    root = await controller.root()
    await root.ask("Reconfigure", messages.Reconfigure(), Done)


def test_the_units_and_each_node_s_address_come_from_the_files(tmp_path: Path) -> None:
    async def scene() -> None:
        async with LiveController(tmp_path) as controller:
            agent = await controller.agent("n1")
            await give_topology(controller)
            ann = await controller.user(1000, "ann")
            views = await ann.ask("QueryTopology", messages.QueryTopology(name="n2"), TopologyViews)

            assert [unit.name for unit in views.units] == ["s2", "top"]
            async with asyncio.timeout(DEADLINE_S):
                while not (orders := [each for each in agent.orders() if each.config is not None]):
                    await asyncio.sleep(0.005)
            assert orders[-1].config is not None
            assert orders[-1].config.topology_addresses == {"n1": ("top.s1.n1", "switch.switch.node")}

    asyncio.run(scene())


def test_a_job_starts_when_its_wait_for_switches_is_over(tmp_path: Path) -> None:
    """Nothing else happens in between: the controller looks again by itself."""

    async def scene() -> None:
        async with LiveController(tmp_path) as controller:
            await give_topology(controller)
            await controller.agent("n1")
            await controller.agent("n2")
            engine = controller.core.engine
            engine.policy = msgspec.structs.replace(engine.policy, switch_wait_max_s=0.3)
            ann = await controller.user(1000, "ann")
            spec = {"min_nodes": 2, "max_nodes": 2, "ntasks": 2, "switches": "1", "memory_per_node_mib": 1}
            job_id = (await ann.ask("SubmitJob", submission(**spec), Submitted)).job_id

            async with asyncio.timeout(DEADLINE_S):
                while controller.core.passes.plan.look_again_at is None:
                    await asyncio.sleep(0.005)
                assert controller.job(job_id).state is JobState.PENDING
                while controller.job(job_id).state is JobState.PENDING:
                    await asyncio.sleep(0.005)

    asyncio.run(scene())


def test_a_topology_that_is_wrong_leaves_the_last_one_in_force(tmp_path: Path) -> None:
    async def scene() -> None:
        async with LiveController(tmp_path) as controller:
            await give_topology(controller)
            with pytest.raises(InvalidRequest, match=r"topology\.conf:1: Nodes: 'n9': no such node"):
                await give_topology(controller, "SwitchName=s1 Nodes=n9\n")
            assert controller.core.engine.policy.networks[""].topology.units[2].name == "top"

    asyncio.run(scene())
