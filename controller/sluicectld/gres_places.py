"""From gres.conf to where a node's units stand: which cores are near which of them, and which are only counted.

Units get their numbers in the order of the lines.  Lines that do not add up to the count of the node's own line tell
nothing about places; the count of the node's line is what counts.

Source: CONTRACT section 16.4; the gres.conf manual's words on Cores, File and Flags.
"""

from collections.abc import Iterable, Iterator

from sluice import hostlist
from sluice.config.records import GresLine
from sluice.errors import InvalidRequest
from sluice.model.node import GresPlace

#: Devices, or parts of them, whose numbers matter to a job even where no file is named.
_NUMBERED_NAMES = frozenset({"gpu", "shard", "mps", "nic"})


def compute_places(gres: Iterable[tuple[str, str, int]], lines: Iterable[GresLine]) -> tuple[GresPlace, ...]:
    """Return the places of a node's resources, (name, type, count) each; none for what nothing is known of."""
    known = list(lines)
    places: list[GresPlace] = []
    for name, kind, count in dict.fromkeys(gres):
        own = [line for line in known if line.name == name and (not kind or line.type in ("", kind))]
        if _is_counted(name, own):
            places.append(GresPlace(name=name, type=kind, count=count, is_counted=True))
            continue
        found = list(_places(name, kind, count, own))
        if any(place.cores for place in found) or (name in ("shard", "mps") and len(found) > 1):
            places += found
    return tuple(places)


def _is_counted(name: str, lines: list[GresLine]) -> bool:
    if any("CountOnly" in line.flags for line in lines):
        return True
    has_files = any(line.files or line.multiple_files for line in lines)
    return bool(lines) and not has_files and name not in _NUMBERED_NAMES


def _places(name: str, kind: str, count: int, lines: list[GresLine]) -> Iterator[GresPlace]:
    left = count
    for line in lines:
        files = _count_files(line)
        if name in ("shard", "mps") and files > 1:
            # Counts of parts are for all the files together, as many on each.
            sizes = [(line.count or files) // files] * files
        else:
            sizes = [line.count or files or 1]
        for size in sizes:
            size = min(size, left)
            left -= size
            if size:
                yield GresPlace(name=name, type=kind, count=size, cores=line.cores)


def _count_files(line: GresLine) -> int:
    files = line.files or line.multiple_files
    try:
        return sum(len(hostlist.expand(each)) if "[" in each else 1 for each in files)
    except InvalidRequest:
        return len(files)
