"""A real agent that is told to restart its machine runs the site's program, which here only leaves a note."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from sluice.wire.messages import NodeTrouble
from tests.nodeagent.conftest import NODE, Cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def start(cluster: Cluster, last_line: str) -> None:
    program = cluster.folder / "reboot"
    note = f"echo $SLURMD_NODENAME: $SLURM_REBOOT_REASON >> {cluster.folder}/note"
    program.write_text(f"#!/bin/sh\n{note}\n{last_line}\n")
    program.chmod(0o755)
    cluster.controller.config = msgspec.structs.replace(cluster.controller.config, reboot_program=str(program))
    cluster.start_agent()
    # The answer of a health check that nobody asked for: the agent is registered.
    wait_until(lambda: cluster.controller.troubles, 20)


def test_the_program_sees_the_node_and_the_reason(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    start(cluster, "exit 0")

    cluster.controller.order(reboots=(("another", "not meant"), (NODE, "new kernel")))

    note = cluster.folder / "note"
    wait_until(lambda: note.exists() and note.read_text() == f"{NODE}: new kernel\n", 20)


def test_a_program_that_fails_is_told(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    start(cluster, "echo no privilege; exit 3")

    cluster.controller.order(reboots=((NODE, ""),))

    wait_until(lambda: len(cluster.controller.troubles) == 2, 20)
    program = cluster.folder / "reboot"
    assert cluster.controller.troubles[-1] == NodeTrouble(
        node=NODE, cause="reboot failed", reason=f"Reboot failed: {program}: exit 3: no privilege"
    )
