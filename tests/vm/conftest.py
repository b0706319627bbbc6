"""The tests of this folder run in a virtual machine: here they are collected and their reports told.

All that are selected run in one boot, at the first of them.  Inside, the tests share one agent, whose start takes an
emulated processor seconds; each gets the configuration and the work folder that it asked for.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.wire.messages import AgentConfig
from tests.nodeagent.conftest import CONFIG, Cluster
from tests.vm import guest, machine

_IS_INSIDE = guest.VARIABLE in os.environ
_HERE = os.path.dirname(__file__)
#: Of one boot: reports by node id, and the console's text.
_told: tuple[dict[str, list[dict[str, Any]]], str] | None = None


def _is_ours(item: pytest.Item) -> bool:
    return str(item.path).startswith(_HERE + os.sep)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if _IS_INSIDE:
        return
    why_not = machine.why_not()
    for item in filter(_is_ours, items):
        # Conditions of the file that the test was written for are about this machine, and are asked again inside.
        item.add_marker(pytest.mark.system)
        item.add_marker(pytest.mark.slow)
        item.add_marker(pytest.mark.timeout(600))
        if why_not:
            item.add_marker(pytest.mark.skip(reason=why_not))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Tell what came of *item* inside."""
    global _told
    if _IS_INSIDE or not _is_ours(item) or machine.why_not():
        return None
    if _told is None:
        _told = machine.run_tests([each.nodeid for each in item.session.items if _is_ours(each)])
    reports, console = _told
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for data in reports.get(item.nodeid, ()):
        report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
        item.ihook.pytest_runtest_logreport(report=report)
    if item.nodeid not in reports:
        story = f"the virtual machine told nothing of it; its console:\n{console[-4000:]}"
        lost = pytest.TestReport(item.nodeid, item.location, {}, "failed", story, "call")
        item.ihook.pytest_runtest_logreport(report=lost)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


class SharedCluster(Cluster):
    """One agent for many tests."""

    def start_agent(self, *arguments: str, uid: int | None = None) -> None:
        if self.agent is None or self.agent.poll() is not None:
            super().start_agent(*arguments, uid=uid)

    def configure(self, config: AgentConfig) -> None:
        """Begin anew: another configuration and an empty work folder."""
        self.work = Path(tempfile.mkdtemp(dir=self.folder))
        self.controller.config = config
        if self.agent is not None:
            self.controller.order(config=config)


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[SharedCluster]:
    folder = Path(tempfile.mkdtemp(prefix="sluiced-"))
    made = SharedCluster(folder)
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_cluster(shared_cluster: SharedCluster) -> Callable[..., Cluster]:
    """Give what makes a cluster with a configuration, as the agent's tests on this machine have it."""

    def make(config: AgentConfig = CONFIG) -> Cluster:
        shared_cluster.configure(config)
        return shared_cluster

    return make


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    made = make_cluster()
    made.start_agent()
    return made
