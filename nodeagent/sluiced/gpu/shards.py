"""Which GPU the units of shard and mps are parts of.  Pure; the scheduler's layout counts them alike.

Lines that name files give as many parts to each file; without files the parts go evenly to all GPUs, the first ones
taking what is left over.

Source: CONTRACT section 16.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sluice import cpuset
from sluice.config.records import GresLine
from sluice.model.request import GresRequest
from sluiced.gpu.device import Share, Unit

SHARE_NAMES = ("shard", "mps")


def compute_shares(
    configured: Iterable[GresRequest], lines: Iterable[GresLine], units: Sequence[Unit]
) -> tuple[Share, ...]:
    """Return the parts of each GPU among *units*, for the configured counts of shard and mps."""
    gpus = [unit for unit in units if unit.name == "gpu"]
    known = list(lines)
    shares: list[Share] = []
    for entry in configured:
        if entry.name not in SHARE_NAMES or not gpus:
            continue
        first = 0
        for gpu, count in _counts(entry, [line for line in known if line.name == entry.name], gpus):
            if count:
                numbers = cpuset.format(((1 << count) - 1) << first)
                shares.append(Share(name=entry.name, numbers=numbers, gpu=gpu.number))
            first += count
    return tuple(shares)


def _counts(entry: GresRequest, lines: list[GresLine], gpus: list[Unit]) -> list[tuple[Unit, int]]:
    """Return how many parts each GPU has, in the order of the parts' numbers."""
    by_file = {unit.files[0]: unit for unit in gpus if unit.files}
    placed: list[tuple[Unit, int]] = []
    for line in lines:
        known = [by_file[file] for file in line.files if file in by_file]
        placed += [(unit, (line.count or len(line.files)) // len(line.files)) for unit in known]
    if sum(count for _, count in placed) == entry.count:
        return placed
    base, more = divmod(entry.count, len(gpus))
    return [(unit, base + (index < more)) for index, unit in enumerate(gpus)]


def gpus_of(numbers: str, name: str, shares: Iterable[Share]) -> list[int]:
    """Return the GPUs that the given parts are of, ascending."""
    wanted = cpuset.parse(numbers)
    return sorted({share.gpu for share in shares if share.name == name and cpuset.parse(share.numbers) & wanted})
