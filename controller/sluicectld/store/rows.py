"""Records as rows: tuples in the order of the tables' columns (the key columns first).

A row never makes its transaction fail, which would fail everybody's: text without the NUL that PostgreSQL refuses, and
numbers that a user chooses within 64 bits.  The record beside the columns has the value as it was.
"""

from functools import lru_cache
from typing import Any

from sluice.hostlist import fold
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.reservation import Reservation
from sluice.model.states import ACTIVE_STATES
from sluice.model.step import Step
from sluice.wire.messages import StreamTail

from . import records
from .batch import StoredEvent

Row = tuple[Any, ...]

_NUMBER_MAX = 2**63 - 1


def event_row(event: StoredEvent) -> Row:
    sequence, at, actor, kind, job_id, payload = event
    return (sequence, at, actor, kind, job_id, payload.decode())


def job_row(job: Job) -> Row:
    """Return the row of job and of job_attempt alike."""
    spec = job.spec
    allocation = job.allocation
    nodes = allocation.nodes if allocation else ()
    return (
        job.id,
        job.attempt,
        job.array_job_id,
        job.array_task_id,
        _plain(spec.name),
        _plain(spec.user),
        spec.uid,
        spec.gid,
        _plain(spec.account),
        _plain(spec.qos),
        _plain(job.partition),
        job.state.value,
        job.reason.value,
        min(job.priority, _NUMBER_MAX),
        job.submitted_at,
        job.eligible_at,
        job.started_at,
        job.ended_at,
        job.limit_s and min(job.limit_s, _NUMBER_MAX),
        node_list(nodes) if nodes else "",
        len(nodes),
        allocation.cpu_count if allocation else 0,
        allocation.memory_mib if allocation else 0,
        job.exit_code,
        job.exit_signal,
        job.state in ACTIVE_STATES or not job.is_over,
        job.spec_id,
        _plain(spec.work_dir),
        _plain(spec.command),
        records.encode_job(job),
    )


def step_row(step: Step) -> Row:
    usage = step.usage
    return (
        step.job_id,
        step.attempt,
        step.step_id,
        step.state.value,
        _plain(step.spec.name),
        step.ntasks,
        step.cpu_count,
        node_list(tuple(node.node for node in step.nodes)),
        step.started_at,
        step.ended_at,
        step.exit_code,
        step.exit_signal,
        usage.user_s,
        usage.system_s,
        usage.max_rss_kib,
        usage.max_vmsize_kib,
        usage.disk_read_bytes,
        usage.disk_written_bytes,
        records.encode(step),
    )


def node_row(node: Node) -> Row:
    return (
        node.name,
        node.state.value,
        node.is_drained,
        node.is_responding,
        _plain(node.reason),
        node.cpus,
        node.memory_mib,
        records.encode(node),
    )


def partition_row(partition: Partition) -> Row:
    return (partition.name, records.encode(partition))


def reservation_row(reservation: Reservation) -> Row:
    return (
        reservation.name,
        reservation.id,
        reservation.start_at,
        reservation.end_at,
        ",".join(reservation.flags),
        fold(reservation.nodes) if reservation.nodes else "",
        len(reservation.nodes),
        reservation.core_count,
        _plain(reservation.partition),
        _names(reservation.users, reservation.is_users_denied),
        _names(reservation.accounts, reservation.is_accounts_denied),
        _plain(",".join(f"{name}:{count}" for name, count in reservation.licenses)),
        records.encode(reservation),
    )


def _names(names: tuple[str, ...], is_denied: bool) -> str:
    return _plain(",".join(f"-{name}" if is_denied else name for name in names))


def tail_row(entry: tuple[int, int, StreamTail]) -> Row:
    job_id, attempt, tail = entry
    return (
        job_id,
        attempt,
        tail.step_id,
        _plain(tail.node),
        _plain(tail.stream),
        _plain(tail.path),
        tail.tail,
        tail.is_cut,
        _plain(tail.error),
    )


def _plain(text: str) -> str:
    return text if "\0" not in text else text.replace("\0", "\N{REPLACEMENT CHARACTER}")


@lru_cache(maxsize=4096)
def node_list(nodes: tuple[str, ...]) -> str:
    """Return the nodes folded; a job's nodes are written several times in its life."""
    return nodes[0] if len(nodes) == 1 else fold(nodes)
