"""A virtual machine with cgroup v2: Debian's cloud kernel in qemu, emulated, booted once for all tests in it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.vm import guest
from tests.vm.initramfs import ROOT, write_initramfs

KERNEL = Path(sys.prefix, "vm", "vmlinuz")
_EMULATOR = "qemu-system-x86_64"
_LIMIT_S = 540
_INI = "[pytest]\nfilterwarnings = error\nmarkers =\n    system: x\n    slow: x\n    timeout: x\n    vm: x\n"


def why_not() -> str:
    """Return why there is no virtual machine here, "" where there is one."""
    if platform.machine() != "x86_64":
        return "the virtual machine is for x86_64"
    if shutil.which(_EMULATOR) is None:
        return f"{_EMULATOR} is not installed; as root: tools/vm.sh"
    if not KERNEL.exists():
        return f"there is no kernel at {KERNEL}; run tools/vm.sh"
    return ""


def run_tests(node_ids: Sequence[str]) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """Boot, run the tests, and return their reports by node id, and what the console said."""
    with tempfile.TemporaryDirectory(prefix="sluice-vm-") as folder:
        initramfs, reports, console = (Path(folder, name) for name in ("initramfs", "reports", "console"))
        init = f"#!{sys.executable} -Wignore\nimport sys\nsys.path[:0] = {_paths()!r}\n"
        init += f"from tests.vm import guest\nguest.main({str(ROOT)!r})\n"
        more = {guest.SELECTION: "".join(f"{each}\n" for each in node_ids), guest.INI: _INI}
        write_initramfs(initramfs, init, more)
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                _command(initramfs, console, reports), timeout=_LIMIT_S, check=False, stdin=subprocess.DEVNULL
            )
        said = console.read_text(errors="replace") if console.exists() else "it did not boot"
        return _by_node_id(reports), said


def _paths() -> list[str]:
    return [str(ROOT), *(str(ROOT / name) for name in ("nodeagent", "plugins", "controller", "cli"))]


def _command(initramfs: Path, console: Path, reports: Path) -> list[str]:
    return [
        _EMULATOR, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", str(min(2, os.cpu_count() or 1)), "-m", "1536",
        "-nodefaults", "-display", "none", "-no-reboot",
        "-serial", f"file:{console}", "-serial", f"file:{reports}",
        "-kernel", str(KERNEL), "-initrd", str(initramfs),
        "-append", "console=ttyS0 quiet panic=-1 rdinit=/init random.trust_cpu=on mitigations=off cgroup_no_v1=all",
    ]  # fmt: skip


def _by_node_id(path: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            data = json.loads(line)
        except ValueError:
            # The machine was switched off in the middle of it.
            continue
        if "nodeid" in data:
            found.setdefault(data["nodeid"], []).append(data)
    return found
