"""The health check on a real agent: at its start, when asked, told when the answer changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sluice.wire.messages import NodeTrouble
from tests.nodeagent.conftest import NODE, Cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.system


@pytest.fixture
def checked(make_cluster: Callable[..., Cluster]) -> tuple[Cluster, Path]:
    """A cluster whose check fails while there is a file, with its words, and counts its runs."""
    cluster = make_cluster()
    program, sick = cluster.folder / "check", cluster.folder / "sick"
    program.write_text(f"#!/bin/sh\necho $SLURMD_NODENAME >> {cluster.folder}/runs\n! cat {sick} 2> /dev/null\n")
    program.chmod(0o755)
    cluster.controller.config = msgspec.structs.replace(cluster.controller.config, health_check_program=str(program))
    return cluster, sick


def runs(cluster: Cluster) -> int:
    path = cluster.folder / "runs"
    return path.read_text().count(NODE) if path.exists() else 0


def told(cluster: Cluster) -> list[NodeTrouble]:
    return cluster.controller.troubles


def test_a_sick_node_is_held_and_given_back(checked: tuple[Cluster, Path]) -> None:
    cluster, sick = checked
    sick.write_text("ECC errors on DIMM 3\n")
    cluster.start_agent()
    wait_until(lambda: len(told(cluster)) == 1, 20)
    assert told(cluster)[0].reason == f"Health check failed: {cluster.folder}/check: exit 1: ECC errors on DIMM 3"

    sick.unlink()
    cluster.controller.order(checks=(NODE,))

    wait_until(lambda: len(told(cluster)) == 2, 20)
    assert told(cluster)[1] == NodeTrouble(node=NODE, cause="health")


def test_the_same_answer_is_told_once(checked: tuple[Cluster, Path]) -> None:
    cluster, sick = checked
    sick.write_text("no infiniband\n")
    cluster.start_agent()
    for count in (2, 3):
        wait_until(lambda count=count: runs(cluster) == count - 1 and told(cluster), 20)  # type: ignore[misc]
        # Until the one before has ended, another is not begun.
        wait_until(lambda count=count: _asked(cluster) >= count, 20)  # type: ignore[misc]

    sick.write_text("no disk\n")
    wait_until(lambda: _asked(cluster) and len(told(cluster)) == 2, 20)
    assert ["no infiniband" in told(cluster)[0].reason, "no disk" in told(cluster)[1].reason] == [True, True]


def _asked(cluster: Cluster) -> int:
    cluster.controller.order(checks=(NODE,))
    return runs(cluster)


def test_a_new_agent_takes_back_what_one_before_has_told(checked: tuple[Cluster, Path]) -> None:
    cluster, sick = checked
    sick.write_text("fan\n")
    cluster.start_agent()
    wait_until(lambda: len(told(cluster)) == 1, 20)
    cluster.kill_agent()
    sick.unlink()

    cluster.start_agent()

    wait_until(lambda: told(cluster)[-1].reason == "", 20)
