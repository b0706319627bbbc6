"""System tests: real daemons and real processes on loopback; all of them are marked so."""

from pathlib import Path

import pytest

from sluice.testing import local_cluster

__all__ = ["local_cluster"]

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.system)
