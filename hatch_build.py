"""Compiles the scheduler's inner loops when the package is built or installed from its sources.

A plain shared library, loaded with cffi: no Python headers are needed.  Where there is no C compiler the package is
built without it, and sluicectld uses the same code in Python, slower.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("controller/sluicectld/scheduler/native")
IN_WHEEL = "sluicectld/scheduler/native"


class CompileTracks(BuildHookInterface[Any]):
    """Puts libtracks.so beside its source, and into the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if self.target_name != "wheel" or compiler is None:
            if compiler is None:
                self.app.display_warning("no C compiler: the scheduler will use its slower Python code")
            return
        folder = Path(self.root) / FOLDER
        library = folder / "libtracks.so"
        flags = ["-O2", "-shared", "-fPIC", "-Wall", "-Wextra"]
        subprocess.run([compiler, *flags, "-o", library, folder / "tracks.c", "-lm"], check=True)
        build_data["force_include"][str(library)] = f"{IN_WHEEL}/libtracks.so"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"


def _platform() -> str:
    system, machine = os.uname().sysname.lower(), os.uname().machine
    return f"{system}_{machine}"
