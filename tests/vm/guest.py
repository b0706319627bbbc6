"""The first process of the virtual machine: mounts what is needed, runs the tests, tells their reports, switches off.

Reports go out as lines of JSON through the second serial port; everything else is on the first, the console.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
import traceback
import tty
from pathlib import Path
from typing import Any, TextIO

import pytest

#: Set where tests run inside.
VARIABLE = "SLUICE_TESTS_IN_VM"
#: A line for each node id.
SELECTION = "/etc/sluice-tests"
INI = "/etc/sluice-tests.ini"
_MOUNTS = (
    ("proc", "/proc", "proc"),
    ("sysfs", "/sys", "sysfs"),
    ("devtmpfs", "/dev", "devtmpfs"),
    ("devpts", "/dev/pts", "devpts"),
    ("tmpfs", "/dev/shm", "tmpfs"),
    ("cgroup2", "/sys/fs/cgroup", "cgroup2"),
)
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_POWER_OFF = 0x4321FEDC


def main(root: str) -> None:
    """Never returns: the machine goes off."""
    try:
        _set_up()
        with open("/dev/ttyS1", "w", buffering=1) as reports:
            tty.setraw(reports.fileno())
            _run(root, reports)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os.sync()
        ctypes.CDLL(None).reboot(_POWER_OFF)


def _set_up() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for source, target, kind in _MOUNTS:
        os.makedirs(target, exist_ok=True)
        if libc.mount(source.encode(), target.encode(), kind.encode(), 0, None) != 0:
            raise OSError(ctypes.get_errno(), f"mounting {target}")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    os.environ |= {"PATH": "/usr/bin:/bin", "HOME": "/root", VARIABLE: "1", "SLUICE_TEST_PATIENCE": "4"}


def _run(root: str, reports: TextIO) -> None:
    os.chdir(root)
    selected = Path(SELECTION).read_text().splitlines()
    options = ["-c", INI, "--rootdir", root, "--confcutdir", f"{root}/tests/vm", "--import-mode=importlib"]
    told = pytest.main(
        [*options, "-p", "no:cacheprovider", "-q", "--color=no", "-rs", *selected], plugins=[Teller(reports)]
    )
    print(json.dumps({"exit": int(told)}), file=reports)


class Teller:
    """A plugin that writes each report down as pytest itself makes it portable."""

    def __init__(self, reports: TextIO) -> None:
        self._reports = reports
        self._config: Any = None

    def pytest_configure(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._tell(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._tell(report)

    def _tell(self, report: object) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        print(json.dumps(data, default=str), file=self._reports, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
