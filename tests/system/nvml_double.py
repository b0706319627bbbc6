"""NVIDIA's library as daemons find it in place of pynvml, for live clusters on machines without a GPU.

Which GPUs there are is in gpus.json beside it, and who uses them in the folder "using": a process that would put BYTES
on a GPU and keep it busy for PERCENT of the time writes both into a file that is called UUID.PID.  While there is a
file "hang", whoever asks for processes waits, as for a GPU that is broken.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pynvml  # type: ignore[import-untyped]
import pytest

_ROOT = Path(__file__).parents[2]
#: pynvml's own names, and over them the double's functions.
_MODULE = f"""
import importlib.util, json, os, pathlib, sys, time
spec = importlib.util.spec_from_file_location("real_pynvml", {pynvml.__file__!r})
sys.modules["real_pynvml"] = real = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real)
globals().update({{name: value for name, value in vars(real).items() if not name.startswith("__")}})
from tests.nodeagent.gpu.fake_nvml import FakeNvml, Gpu, Process
folder = pathlib.Path(__file__).parent

class Live(FakeNvml):
    def processes(self, handle):
        super().processes(handle)
        while (folder / "hang").exists():
            time.sleep(0.05)
        found = []
        for path in (folder / "using").glob(handle.uuid + ".*"):
            words = path.read_text().split()
            if os.path.exists("/proc/" + path.suffix[1:]) and len(words) == 2:
                now_us = time.time_ns() // 1000
                found.append(Process(int(path.suffix[1:]), int(words[0]), False, (int(words[1]),), now_us))
        return found

double = Live(Gpu(**gpu) for gpu in json.loads((folder / "gpus.json").read_text()))
globals().update({{name: getattr(double, name) for name in dir(double) if name.startswith("nvml")}})
"""


class Machine:
    """A machine with two GPUs, GPU-0 and GPU-1, for the daemons that are started from now on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "pynvml.py").write_text(_MODULE)
        monkeypatch.setenv("PYTHONPATH", f"{folder}:{_ROOT}")
        self.using = folder / "using"
        self.using.mkdir()
        self.hang = folder / "hang"
        self._path = folder / "gpus.json"
        self.set_second()

    def set_second(self, **gpu: Any) -> None:
        """Give GPU-1 these fields of the double's Gpu."""
        first = {"uuid": "GPU-0", "recovery_action": 0}
        second = {"uuid": "GPU-1", "minor": 1, "bus": "00000000:08:00.0", "recovery_action": 0}
        whole = self._path.with_suffix(".new")
        whole.write_text(json.dumps([first, second | gpu]))
        whole.replace(self._path)
