"""What a local cluster should be like, and the configuration file for it."""

from __future__ import annotations

import os
import pwd

import msgspec

from sluice.errors import ConfigError

NODES_DEFAULT = 3
_NODES_MAX = 1_000
_EMULATED_MAX = 100_000
_EMULATED_CPUS, _EMULATED_MEMORY_MIB = 16, 64_000

_CONF = """\
# Written by `sluice up`.  Once it is changed by hand, it is left as it is.
ClusterName=local
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/sluicectld.pid
SlurmdPidFile={folder}/run/sluiced-%n.pid
SluiceKeyFile={folder}/sluice.key
SluiceControllerSocket={sockets}/sluicectld.sock
SluiceAgentSocket={sockets}/sluiced-%n.sock

# The nodes are this machine several times over: believe the lines below, not what is measured.
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU={memory_per_cpu}
MaxJobCount=1000000
MaxArraySize=4000001
{private_dirs}{settings}
NodeName={names} {where}CPUs={cpus} RealMemory={memory}
PartitionName=debug Nodes=ALL Default=YES DefaultTime=1:00:00 MaxTime=INFINITE
"""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """nodes n1 to nN, all alike.

    is_emulated: one process stands for all of them.  settings: further lines of the configuration, by key.
    """

    nodes: int
    cpus: int
    memory_mib: int
    is_emulated: bool = False
    settings: dict[str, str] = {}

    @property
    def port_count(self) -> int:
        """The controller's, and one for each agent that listens."""
        return 1 if self.is_emulated else 1 + self.nodes


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; None: whatever it is, or the default."""

    nodes: int | None = None
    cpus: int | None = None
    memory_mib: int | None = None
    emulated: int | None = None
    settings: dict[str, str] | None = None


def compute_shape(wish: Wish, known: Shape | None, machine_cpus: int, machine_memory_mib: int) -> Shape:
    """Return what is wished, with the rest as *known* from before or by default.

    Each real node gets all CPUs of the machine, which they share in time, and its part of the memory, which they
    cannot.  Raises ConfigError for numbers that make no sense.
    """
    is_emulated = known.is_emulated if known else False
    if wish.emulated is not None or wish.nodes is not None:
        if wish.emulated is not None and wish.nodes is not None:
            raise ConfigError("nodes and emulated nodes were both given; one of them says how many there are")
        is_emulated = wish.emulated is not None
    if known is not None and known.is_emulated != is_emulated:
        known = None
    nodes = wish.emulated or wish.nodes or (known.nodes if known else NODES_DEFAULT)
    _require(nodes, 1, _EMULATED_MAX if is_emulated else _NODES_MAX, "nodes")
    if known is not None and known.nodes != nodes and wish.memory_mib is None:
        known = msgspec.structs.replace(known, memory_mib=0)
    own_cpus = _EMULATED_CPUS if is_emulated else max(1, machine_cpus)
    own_memory = _EMULATED_MEMORY_MIB if is_emulated else max(1, machine_memory_mib // nodes)
    cpus = wish.cpus or (known.cpus if known else 0) or own_cpus
    memory_mib = wish.memory_mib or (known.memory_mib if known else 0) or own_memory
    _require(cpus, 1, 4096, "CPUs")
    _require(memory_mib, 1, 2**40, "MiB of memory")
    settings = wish.settings if wish.settings is not None else (known.settings if known else {})
    return Shape(nodes=nodes, cpus=cpus, memory_mib=memory_mib, is_emulated=is_emulated, settings=settings)


def render_conf(shape: Shape, folder: str, socket_folder: str, first_port: int) -> str:
    """Return the text of sluice.conf.  Raises ConfigError for a folder whose name does not fit into it."""
    for path in (folder, socket_folder):
        if any(character.isspace() or character in '#"\\%' for character in path):
            raise ConfigError(f"{path!r}: blanks, quotes and the signs # \\ % do not fit into a configuration file")
    # Nobody connects to an emulated node, so it may have the address of none.
    where = "" if shape.is_emulated else f"NodeAddr=127.0.0.1 Port={_span(first_port + 1, first_port + shape.nodes)} "
    # Several nodes of one machine would all bind their tasks to its first CPUs.
    settings = ({"TaskPlugin": "task/cgroup"} if shape.nodes > 1 else {}) | shape.settings
    return _CONF.format(
        folder=folder,
        sockets=socket_folder,
        user=_user(),
        controller_port=first_port,
        names="n1" if shape.nodes == 1 else f"n[1-{shape.nodes}]",
        where=where,
        cpus=shape.cpus,
        memory=shape.memory_mib,
        private_dirs=_private_dirs(shape),
        memory_per_cpu=max(1, shape.memory_mib // shape.cpus),
        settings="".join(f"{key}={value}\n" for key, value in settings.items()),
    )


def _private_dirs(shape: Shape) -> str:
    """MPI's ranks of two nodes would meet in the one host's directories; only root can keep them apart."""
    if os.geteuid() != 0 or shape.is_emulated or "SluicePrivateDirs" in shape.settings:
        return ""
    return "SluicePrivateDirs=/tmp,/dev/shm\n"


def machine() -> tuple[int, int]:
    """Return the CPUs and the MiB of memory that this process may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return len(os.sched_getaffinity(0)), memory // 2**20


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _user() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _require(number: int, least: int, most: int, what: str) -> None:
    if not least <= number <= most:
        raise ConfigError(f"{number} {what}: from {least} to {most} are possible")
