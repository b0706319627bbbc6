"""The tests of this folder run in a virtual machine: here they are collected and their reports told.

All that are selected run in one boot, at the first of them.  Inside, this file does nothing but give the fixtures.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.nodeagent.conftest import cluster, make_cluster  # noqa: F401
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
        # Conditions of the file that the test was written for are about this machine, and hold for that one.
        item.own_markers[:] = [mark for mark in item.own_markers if mark.name != "skipif"]
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
