"""scontrol update, create and delete of partitions: one row a key."""

from collections.abc import Callable

from msgspec.structs import replace

from sluice import duration, hostlist
from sluice.config.kinds import Kind
from sluice.config.schema_cluster import PREEMPT_MODE
from sluice.config.schema_objects import OVERSUBSCRIBE
from sluice.errors import InvalidRequest, NotFound, RequestError
from sluice.model.partition import Partition
from sluice.model.states import JobState
from sluice.wire.messages import Done, UpdatePartition
from sluicectld.permissions import Verb
from sluicectld.state.events import PartitionChanged, PartitionDeleted

from .numbers import read_count
from .turn import Turn

_NAME_LENGTH_MAX = 255
_STATES = ("UP", "DOWN", "DRAIN", "INACTIVE")


def handle_update_partition(turn: Turn, command: UpdatePartition) -> Done:
    """Change, make or remove one partition; nothing changes when one of the keys is refused."""
    turn.caller.require(Verb.UPDATE_PARTITION)
    if command.action == "delete":
        _delete(turn, command.name)
        return Done()
    old = turn.cluster.partitions.get(command.name)
    if command.action == "create":
        if old is not None:
            raise InvalidRequest(f"partition {command.name!r} exists", "invalid_partition")
        _check_name(command.name)
        old = Partition(name=command.name, index=len(turn.cluster.partitions))
    if old is None:
        raise NotFound(f"partition {command.name!r} does not exist", "invalid_partition")
    changed = old
    for key, value in command.changes:
        changed = _change(turn, changed, key, value)
    if changed.is_default and not old.is_default:
        for other in list(turn.cluster.partitions.values()):
            if other.is_default and other.name != changed.name:
                turn.emit(PartitionChanged(at=turn.now_at, partition=replace(other, is_default=False)))
    turn.emit(PartitionChanged(at=turn.now_at, partition=changed))
    turn.is_pass_due = True
    return Done()


def _check_name(name: str) -> None:
    if not (0 < len(name) <= _NAME_LENGTH_MAX and name.isprintable() and not set(name) & set(" ,=")):
        raise InvalidRequest(
            f"{name[:40]!r} is no name for a partition: 1 to {_NAME_LENGTH_MAX} printable characters without blank, "
            "comma and equals sign",
            "invalid_partition",
        )


def _delete(turn: Turn, name: str) -> None:
    if name not in turn.cluster.partitions:
        raise NotFound(f"partition {name!r} does not exist", "invalid_partition")
    users = [
        job.id
        for job in turn.cluster.jobs.values()
        if job.state in (JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED)
        and name in (job.partition, *job.spec.partitions)
    ]
    if users:
        raise RequestError(f"partition {name!r} has {len(users)} jobs, job {users[0]} for one", "invalid_partition")
    turn.emit(PartitionDeleted(at=turn.now_at, name=name))


def _change(turn: Turn, partition: Partition, key: str, value: str) -> Partition:
    field_and_reader = _FIELDS.get(key.lower())
    if field_and_reader is None:
        raise InvalidRequest(f"{key!r} of a partition cannot be changed")
    field, read = field_and_reader
    changed = replace(partition, **{field: read(value)})
    if field == "nodes":
        unknown = [name for name in changed.nodes if name not in turn.cluster.nodes]
        if value.upper() == "ALL":
            return replace(changed, nodes=tuple(turn.cluster.nodes))
        if unknown:
            raise InvalidRequest(f"node {hostlist.fold(unknown)} is not in the configuration", "invalid_node")
    return changed


def _state(value: str) -> str:
    if value.upper() not in _STATES:
        raise InvalidRequest(f"{value!r} is no state for a partition: {', '.join(_STATES)}")
    return value.upper()


def _limit(value: str) -> int | None:
    return None if value.upper() in ("UNLIMITED", "INFINITE", "-1") else read_count(value)


def _yes(value: str) -> bool:
    word = value.upper()
    if word not in ("YES", "TRUE", "1", "NO", "FALSE", "0"):
        raise InvalidRequest(f"{value!r} is neither YES nor NO")
    return word in ("YES", "TRUE", "1")


def _kind(kind: Kind) -> Callable[[str], object]:
    """Return the reader of a value that is written as in the configuration."""

    def read(value: str) -> object:
        try:
            return kind.parse(value)
        except ValueError:
            raise InvalidRequest(f"{value!r} is not {kind.expected}") from None

    return read


def _preempt_mode(value: str) -> str:
    read = _kind(PREEMPT_MODE)(value)
    return ",".join(read) if isinstance(read, tuple) else str(read)


def _words(value: str) -> tuple[str, ...]:
    return () if value.upper() == "ALL" else tuple(word for word in value.split(",") if word)


def _nodes(value: str) -> tuple[str, ...]:
    return () if value.upper() == "ALL" else tuple(hostlist.expand(value))


_FIELDS: dict[str, tuple[str, Callable[[str], object]]] = {
    "state": ("state", _state),
    "nodes": ("nodes", _nodes),
    "maxtime": ("max_limit_s", duration.parse),
    "defaulttime": ("default_limit_s", duration.parse),
    "maxnodes": ("max_nodes", _limit),
    "minnodes": ("min_nodes", read_count),
    "maxcpuspernode": ("max_cpus_per_node", _limit),
    "default": ("is_default", _yes),
    "prioritytier": ("priority_tier", read_count),
    "priorityjobfactor": ("priority_job_factor", read_count),
    "oversubscribe": ("oversubscribe", _kind(OVERSUBSCRIBE)),
    "hidden": ("is_hidden", _yes),
    "rootonly": ("root_only", _yes),
    "disablerootjobs": ("disable_root_jobs", _yes),
    "reqresv": ("requires_reservation", _yes),
    "exclusiveuser": ("exclusive_user", _yes),
    "lln": ("least_loaded", _yes),
    "allowgroups": ("allow_groups", _words),
    "allowaccounts": ("allow_accounts", _words),
    "denyaccounts": ("deny_accounts", _words),
    "allowqos": ("allow_qos", _words),
    "denyqos": ("deny_qos", _words),
    "qos": ("qos", str),
    "gracetime": ("grace_s", read_count),
    "preemptmode": ("preempt_mode", _preempt_mode),
    "defmempercpu": ("default_memory_per_cpu_mib", _limit),
    "defmempernode": ("default_memory_per_node_mib", _limit),
    "maxmempercpu": ("max_memory_per_cpu_mib", _limit),
    "maxmempernode": ("max_memory_per_node_mib", _limit),
}
