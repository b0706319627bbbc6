"""What past use counts later: it halves every half-life, but for QOS with NoDecay.

Source: the slurm.conf manual on PriorityDecayHalfLife; the sacctmgr manual on NoDecay.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from sluice.model.qos import Qos, QosFlag
from sluice.model.usage import Holder, Usage


def decay_usage(
    usage: Mapping[Holder, Usage], qos: Mapping[str, Qos], elapsed_s: float, half_life_s: float
) -> dict[Holder, Usage]:
    """Return the use after so many seconds without any new one.  half_life_s: 0 for never."""
    if half_life_s <= 0 or elapsed_s <= 0:
        return dict(usage)
    factor = 0.5 ** (elapsed_s / half_life_s)
    kept = {name for name, each in qos.items() if QosFlag.NO_DECAY in each.flags}
    return {holder: each if holder.qos in kept else _scaled(each, factor) for holder, each in usage.items()}


def _scaled(usage: Usage, factor: float) -> Usage:
    seconds = {name: count * factor for name, count in usage.used_seconds.items()}
    return replace(usage, used_seconds=seconds, wall_s=usage.wall_s * factor)
