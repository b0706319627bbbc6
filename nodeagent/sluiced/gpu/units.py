"""From gres.conf, the node's configured counts and the devices that were found to the units that the node has.

A node has at most what its NodeName line says: configuration may narrow what there is, never widen it.  Units are
numbered by name, through the entries of Gres= in their order and through the lines of gres.conf in theirs; devices that
no line names follow in the order in which they were found.  A GPU belongs to an entry if the entry's type is a part of
the GPU's own (a100 of nvidia_a100-sxm4-40gb).

What stands against a unit is a sentence for the administrator: a file that is not there, a GPU that is ill, a type that
nothing has, with those that there are.  Pure, but for the files that *exists* looks for.

Source: CONTRACT section 16.4; the gres.conf manual's words on File, MultipleFiles, Flags and AutoDetect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from sluice.config.records import GresLine
from sluice.model.base import Record
from sluice.model.node import GresPlace
from sluice.model.request import GresRequest
from sluiced.gpu.device import Device, NodeDevices, Unit
from sluiced.gpu.shards import SHARE_NAMES, compute_shares

#: What gres.conf's AutoDetect asks of.
_READERS = {
    "nvml": ("nvml",),
    "nvidia": ("nvidia_proc",),
    "rsmi": ("amd",),
    "oneapi": ("intel",),
    "full": ("nvml", "amd", "intel"),
}
_ENV_FLAGS = {"nvidia_gpu_env": "nvidia", "amd_gpu_env": "amd", "intel_gpu_env": "intel", "opencl_env": "opencl"}
_ALL_ENV = tuple(_ENV_FLAGS.values())


class Measured(Record, frozen=True, kw_only=True):
    """What of its configured resources a node has.  problems: why it is less than that, or should be looked at."""

    devices: NodeDevices = NodeDevices()
    gres: tuple[GresRequest, ...] = ()
    problems: tuple[str, ...] = ()
    #: Where the units stand, if the devices told it; in the order of their numbers.
    places: tuple[GresPlace, ...] = ()
    #: UUIDs of GPUs that are there and do not count, because they should not be used.
    ill: tuple[str, ...] = ()


def wanted_readers(lines: Iterable[GresLine]) -> tuple[str, ...]:
    """Return which readers gres.conf wants to look for GPUs on this node; the last line that says it counts."""
    word = ""
    for line in lines:
        word = line.auto_detect or word
    return _READERS.get(word, ())


def compute_units(
    configured: Iterable[GresRequest],
    lines: Iterable[GresLine],
    found: Iterable[Device],
    exists: Callable[[str], bool],
    is_detecting: bool = False,
) -> Measured:
    """Return the node's units.  is_detecting: GPUs were looked for, and *found* is all that there are."""
    own = [line for line in lines if line.name]
    problems: list[str] = []
    candidates: dict[str, list[Unit]] = {}
    units: list[Unit] = []
    counts: list[GresRequest] = []
    for entry in configured:
        if entry.name in SHARE_NAMES or not _has_devices(entry.name, own, is_detecting):
            counts.append(entry)
            continue
        if entry.name not in candidates:
            candidates[entry.name] = _candidates(entry.name, own, found if is_detecting else None, exists, problems)
        taken = _claim(candidates[entry.name], entry)
        first = sum(1 for unit in units if unit.name == entry.name)
        units += [replace(unit, number=first + index) for index, unit in enumerate(taken)]
        if len(taken) < entry.count:
            problems.append(_shortage(entry, len(taken), candidates[entry.name]))
        counts.append(replace(entry, count=len(taken)))
    shares = compute_shares(counts, own, units)
    return Measured(
        devices=NodeDevices(units=tuple(units), shares=shares), gres=tuple(counts), problems=tuple(problems)
    )


def _has_devices(name: str, lines: list[GresLine], is_detecting: bool) -> bool:
    """Is a resource more than a number here?"""
    named = [line for line in lines if line.name == name]
    if any("CountOnly" in line.flags for line in named):
        return False
    return (is_detecting and name == "gpu") or any(line.files or line.multiple_files for line in named)


def _claim(candidates: list[Unit], entry: GresRequest) -> list[Unit]:
    """Take the entry's units from the candidates."""
    fitting = [unit for unit in candidates if _is_of_type(unit.type, entry.type)][: entry.count]
    for unit in fitting:
        candidates.remove(unit)
    return [replace(unit, type=entry.type or unit.type) for unit in fitting]


def _is_of_type(own: str, wanted: str) -> bool:
    return wanted.lower() in own.lower()


def _shortage(entry: GresRequest, count: int, rest: list[Unit]) -> str:
    what = f"gres/{entry.name}:{entry.type}" if entry.type else f"gres/{entry.name}"
    others = sorted({unit.type for unit in rest if unit.type})
    known = f"; of other types there are {', '.join(others)}" if others else ""
    return f"{what}: {count} found, configuration says {entry.count}{known}"


# Candidates.


def _candidates(
    name: str, lines: list[GresLine], found: Iterable[Device] | None, exists: Callable[[str], bool], problems: list[str]
) -> list[Unit]:
    """Return what could be units of a name, in order; found: None where nothing was looked for."""
    devices = list(found or ()) if name == "gpu" else []
    is_detecting = found is not None and name == "gpu"
    units: list[Unit] = []
    for line in lines:
        if line.name != name:
            continue
        for files in _file_groups(line):
            device = next((each for each in devices if files and files[0] in each.files), None)
            if device is not None:
                devices.remove(device)
                units += _healthy(name, device, line, problems)
            elif is_detecting:
                problems.append(f"gres.conf: {files[0]} is none of the GPUs that were found")
            elif missing := [file for file in files if not exists(file)]:
                problems.append(f"gres.conf: {missing[0]} does not exist")
            else:
                units.append(_unit_of_files(name, files, line, len(units)))
        if is_detecting and not line.files and not line.multiple_files and line.type:
            # A line without files says something of the devices of its type.
            for device in [each for each in devices if _is_of_type(each.type, line.type)][: line.count]:
                devices.remove(device)
                units += _healthy(name, device, line, problems)
    for device in devices:
        units += _healthy(name, device, None, problems)
    return units


def _file_groups(line: GresLine) -> list[tuple[str, ...]]:
    """Return the files of each unit of a line."""
    return [line.multiple_files] if line.multiple_files else [(file,) for file in line.files]


def _healthy(name: str, device: Device, line: GresLine | None, problems: list[str]) -> list[Unit]:
    if device.ailment:
        problems.append(f"GPU {device.ordinal} ({device.uuid}): {device.ailment}")
        return []
    env = _env_of(line.flags if line else (), (device.vendor,))
    return [
        Unit(
            name=name,
            type=line.type if line and line.type else device.type,
            number=0,
            ordinal=device.ordinal,
            files=line.multiple_files if line and line.multiple_files else device.files,
            uuid=device.uuid,
            is_mig=device.is_mig,
            vendor=device.vendor,
            env=env,
            is_named_by_uuid=device.is_mig or "env_uuid" in (line.flags if line else ()),
            cores=line.cores if line else "",
            links=device.links,
        )
    ]


def _unit_of_files(name: str, files: tuple[str, ...], line: GresLine, place: int) -> Unit:
    return Unit(
        name=name,
        type=line.type,
        number=0,
        ordinal=_ordinal(files[0], place),
        files=files,
        vendor=_vendor(files[0]) if name == "gpu" else "",
        env=_env_of(line.flags, _ALL_ENV) if name == "gpu" else (),
        cores=line.cores,
        links=tuple(int(link) for link in line.links if link.lstrip("-").isdecimal()),
    )


def _ordinal(file: str, place: int) -> int:
    """Return a device's number as its file says it; its place where the file is not named so."""
    digits = file[len(file.rstrip("0123456789")) :]
    return int(digits) if "nvidia" in file and digits else place


def _vendor(file: str) -> str:
    return "nvidia" if "/nvidia" in file else ""


def _env_of(flags: Iterable[str], default: tuple[str, ...]) -> tuple[str, ...]:
    words = set(flags)
    if "no_gpu_env" in words:
        return ()
    return tuple(env for flag, env in _ENV_FLAGS.items() if flag in words) or default
