"""What a device is: found on the machine, and counted as a unit of the node."""

from __future__ import annotations

from sluice.model.base import Record


class Device(Record, frozen=True, kw_only=True):
    """A GPU, or a part of one that is given by itself, as its vendor's library or the kernel tells of it.

    ordinal: its number among the vendor's devices, as CUDA_VISIBLE_DEVICES counts.
    """

    vendor: str
    #: Lower case, blanks as "_": nvidia_a100-sxm4-40gb, with the profile for a MIG instance.
    type: str
    ordinal: int
    uuid: str = ""
    #: Its own device files; the vendor's common ones are the fence's.
    files: tuple[str, ...] = ()
    memory_mib: int = 0
    #: The kernel's CPUs near it as a list, "" where that is not known.
    cpus: str = ""
    #: Connections to the other devices in their order, -1 for itself.
    links: tuple[int, ...] = ()
    is_mig: bool = False
    #: Why it should not be used, "" for a healthy one.
    ailment: str = ""


class Unit(Record, frozen=True, kw_only=True):
    """One unit of a generic resource of the node.

    number: among all units of its name, as grants count.  env: whose variables tell of it (nvidia, amd, intel,
    opencl).
    """

    name: str
    type: str
    number: int
    ordinal: int
    files: tuple[str, ...] = ()
    uuid: str = ""
    is_mig: bool = False
    vendor: str = ""
    env: tuple[str, ...] = ()
    is_named_by_uuid: bool = False
    #: The core numbers near it as a list, "" for all of the node.
    cores: str = ""
    links: tuple[int, ...] = ()


class Share(Record, frozen=True, kw_only=True):
    """Units of shard or mps that are parts of one GPU.  numbers: a list; gpu: the number of that unit."""

    name: str
    numbers: str
    gpu: int


class NodeDevices(Record, frozen=True, kw_only=True):
    """The units of a node's resources that are devices; what is only counted has none."""

    units: tuple[Unit, ...] = ()
    shares: tuple[Share, ...] = ()
