"""What holds for all tests: what is left out of the quick run, and that laws are tried on the same examples each time.

With SLUICE_RANDOM_LAWS set, property tests draw other examples in each run; what they find is kept and tried again.
No example has a deadline: machines are busy at times.
"""

import os

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("random", derandomize=False, deadline=None)
settings.load_profile("random" if os.environ.get("SLUICE_RANDOM_LAWS") else "same")

#: Files whose every test starts and kills processes.
_SLOW_FILES = ("test_recovery.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "postgresql" in item.name or item.path.name in _SLOW_FILES:
            item.add_marker(pytest.mark.slow)
