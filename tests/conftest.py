"""What is left out of the quick run, beyond the tests that say so themselves."""

import pytest

#: Files whose every test starts and kills processes.
_SLOW_FILES = ("test_recovery.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "postgresql" in item.name or item.path.name in _SLOW_FILES:
            item.add_marker(pytest.mark.slow)
