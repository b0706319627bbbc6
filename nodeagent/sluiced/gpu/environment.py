"""The variables that tell a program which of the node's GPUs are its own.  Pure.

A vendor's library numbers the devices that it can open, so that inside a fence they count from 0; without one they have
the machine's numbers.  MIG instances, and units whose Flags say so, have UUIDs, which are the same everywhere.

Source: CONTRACT section 3.2; the gres.conf manual's words on Flags.
"""

from __future__ import annotations

from collections.abc import Sequence

from sluiced.gpu.device import Unit

_VARIABLES = {
    "nvidia": "CUDA_VISIBLE_DEVICES",
    "amd": "ROCR_VISIBLE_DEVICES",
    "intel": "ZE_AFFINITY_MASK",
    "opencl": "GPU_DEVICE_ORDINAL",
}


def visible_devices(units: Sequence[Unit], fenced: Sequence[Unit] | None) -> dict[str, str]:
    """Return CUDA_VISIBLE_DEVICES and its relatives for *units*.

    fenced: the units that can be opened, a superset; None where nothing is fenced.
    """
    variables = {}
    for env, variable in _VARIABLES.items():
        own = [unit for unit in units if env in unit.env]
        if own:
            variables[variable] = ",".join(_word(unit, env, fenced) for unit in own)
    return variables


def _word(unit: Unit, env: str, fenced: Sequence[Unit] | None) -> str:
    if unit.is_named_by_uuid and unit.uuid and env == "nvidia":
        return unit.uuid
    if fenced is None:
        return str(unit.ordinal)
    # Libraries count in their own order, whatever the order of the grant is.
    seen = sorted({other.ordinal for other in fenced if env in other.env})
    return str(seen.index(unit.ordinal))
