"""Compiles what is written in C when the package is built or installed from its sources.

Plain shared libraries, loaded with cffi or ctypes: no Python headers are needed.  Where there is no C compiler the
package is built without them; sluicectld then uses the same code in Python, slower, and the node agent forks.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Source, the library beside it, the folder of both in the wheel, and what else to link.
LIBRARIES = (
    (Path("controller/sluicectld/scheduler/native/tracks.c"), "libtracks.so", "sluicectld/scheduler/native", ("-lm",)),
    (Path("nodeagent/sluiced/native/spawn.c"), "libspawn.so", "sluiced/native", ()),
)
FLAGS = ("-O2", "-shared", "-fPIC", "-Wall", "-Wextra")


class CompileLibraries(BuildHookInterface[Any]):
    """Puts each library beside its source, and into the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if self.target_name != "wheel" or compiler is None:
            if compiler is None:
                self.app.display_warning("no C compiler: scheduler and node agent will use their slower Python code")
            return
        for source, name, folder, linked in LIBRARIES:
            library = Path(self.root) / source.parent / name
            subprocess.run([compiler, *FLAGS, "-o", library, Path(self.root) / source, *linked], check=True)
            build_data["force_include"][str(library)] = f"{folder}/{name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"


def _platform() -> str:
    system, machine = os.uname().sysname.lower(), os.uname().machine
    return f"{system}_{machine}"
