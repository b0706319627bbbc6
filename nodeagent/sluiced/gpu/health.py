"""How a node's NVIDIA GPUs are now: one line for each that should not be used, in a process of its own.

    python -m sluiced.gpu.health GPU-6f1c... MIG-2a77...

A GPU that is broken may keep whoever asks it waiting for ever: this process can be given up, the agent cannot.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from sluiced.gpu.ailment import read_ailment
from sluiced.gpu.nvml import load_library
from sluiced.gpu.xids import Place, Xid, read_xids


def read_ailments(uuids: Sequence[str], library: Any = None, xids: Mapping[Place, Xid] | None = None) -> list[str]:
    """Return what is wrong with these GPUs, or those that these MIG instances are parts of; none when all is well."""
    try:
        nvml = library if library is not None else load_library()
        nvml.nvmlInit()
    except Exception as error:
        return [f"NVML: {error}"]
    try:
        found = (_look(nvml, uuid, xids or {}) for uuid in uuids)
        # The instances of one GPU say the same.
        return list(dict.fromkeys(line for line in found if line))
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _look(nvml: Any, uuid: str, xids: Mapping[Place, Xid]) -> str:
    name = f"GPU {uuid}"
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        if uuid.startswith("MIG"):
            handle = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
        index, whole = nvml.nvmlDeviceGetIndex(handle), nvml.nvmlDeviceGetUUID(handle)
        name = f"GPU {index} ({whole.decode() if isinstance(whole, bytes) else whole})"
        # Every GPU that works has an answer to this one.
        nvml.nvmlDeviceGetMemoryInfo(handle)
        ailment = read_ailment(nvml, handle, xids)
    except nvml.NVMLError as error:
        ailment = f"it does not answer: {error}"
    return f"{name}: {ailment}" if ailment else ""


def main() -> None:
    for line in read_ailments(sys.argv[1:], xids=read_xids()):
        print(line)


if __name__ == "__main__":
    main()
