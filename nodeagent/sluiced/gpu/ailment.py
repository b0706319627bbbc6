"""Why an NVIDIA GPU should not be used: a sentence with its evidence.

The driver's own word on what the GPU needs counts first.  Where a driver is too old to have one, an Xid that leaves a
GPU unusable counts until the driver is loaded again; where there is one, the last Xid is evidence alone, for a reset
that mended the GPU leaves the log as it was.

Source: the NVML API reference; NVIDIA's catalog of Xid errors (those that ask for a reset of the GPU, or more).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sluiced.gpu.xids import Place, Xid, place_of

#: By nvmlDeviceGpuRecoveryAction_t; whatever is not here (none, the fabric's domain) does not keep a GPU from work.
_ACTIONS = {
    1: "the driver asks for a reset of the GPU",
    2: "the driver asks for a reboot of the machine",
    3: "the driver asks to stop peer-to-peer traffic and to reset the GPU",
    4: "the driver asks to empty and to reset the GPU",
    6: "the driver asks for a reset of the GPU's bus",
    7: "the driver asks for a reboot of the machine",
}
_FATAL_XIDS = frozenset((48, 62, 64, 74, 79, 95, 119, 120, 140, 143))


def read_ailment(nvml: Any, handle: Any, xids: Mapping[Place, Xid] | None = None) -> str:
    """Return what is wrong with a GPU, "" for nothing.  xids: what the kernel's log has of each."""
    xid = _xid(nvml, handle, xids or {})
    action = _recovery_action(nvml, handle)
    ailment = _ACTIONS.get(action or 0, "") or _of_memory(nvml, handle)
    if not ailment and action is None and xid is not None and xid.number in _FATAL_XIDS:
        ailment = "it needs a reset"
    return ailment + _evidence(nvml, handle, xid) if ailment else ""


def ask(nvml: Any, question: Callable[[], Any], default: Any) -> Any:
    """Return the answer; *default* where this GPU, driver or package has none."""
    try:
        return question()
    except (nvml.NVMLError, AttributeError):
        return default


def _of_memory(nvml: Any, handle: Any) -> str:
    rows = ask(nvml, lambda: nvml.nvmlDeviceGetRemappedRows(handle), (0, 0, 0, 0))
    if rows[3]:
        return "a memory row could not be remapped: the GPU needs to be replaced"
    if rows[2]:
        return f"{rows[1]} memory rows wait to be remapped: the GPU needs a reset"
    if ask(nvml, lambda: nvml.nvmlDeviceGetRetiredPagesPendingStatus(handle), 0):
        return "memory pages wait to be retired: the GPU needs a reset"
    return ""


def _recovery_action(nvml: Any, handle: Any) -> int | None:
    """Return what the driver says the GPU needs; None: it has no word for it."""
    answers = ask(nvml, lambda: nvml.nvmlDeviceGetFieldValues(handle, [nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION]), ())
    known = [answer for answer in answers if answer.nvmlReturn == nvml.NVML_SUCCESS]
    return int(known[0].value.uiVal) if known else None


def _xid(nvml: Any, handle: Any, xids: Mapping[Place, Xid]) -> Xid | None:
    bus = ask(nvml, lambda: nvml.nvmlDeviceGetPciInfo(handle).busId, "") if xids else ""
    place = place_of(bus.decode() if isinstance(bus, bytes) else str(bus))
    return xids.get(place) if place is not None else None


def _evidence(nvml: Any, handle: Any, xid: Xid | None) -> str:
    """Return what goes behind the sentence."""
    kind = (nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
    count = ask(nvml, lambda: nvml.nvmlDeviceGetTotalEccErrors(handle, *kind), 0)
    said = [f"{count} uncorrected memory errors"] if count else []
    said += [f"Xid {xid.number}: {xid.text}" if xid.text else f"Xid {xid.number}"] if xid is not None else []
    return f" ({', '.join(said)})" if said else ""
