"""Write a batch: all of it inside the caller's transaction, a few statements a table.

Writing a batch twice gives the same rows, but for its events: their numbers are given once.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, delete

from . import records, rows, tables
from .batch import Batch
from .statements import upsert


def save(connection: Connection, batch: Batch) -> int:
    """Write *batch* and return the number of rows; the caller commits.

    Raises the driver's errors as SQLAlchemy wraps them.
    """
    count = upsert(connection, tables.event, [rows.event_row(event) for event in batch.events])
    count += _save_jobs(connection, batch)
    count += upsert(connection, tables.step, [rows.step_row(step) for step in batch.steps.values()])
    count += upsert(connection, tables.submission_token, _token_rows(batch))
    if batch.tails:
        count += upsert(connection, tables.stream_tail, _latest(map(rows.tail_row, batch.tails), key_length=5))
    if batch.nodes or batch.partitions or batch.removed_nodes or batch.removed_partitions:
        count += _save_machines(connection, batch)
    if batch.reservations or batch.removed_reservations:
        _remove(connection, tables.reservation, batch.removed_reservations)
        reservations = [rows.reservation_row(reservation) for reservation in batch.reservations.values()]
        count += upsert(connection, tables.reservation, reservations)
    if batch.configs:
        count += upsert(connection, tables.config_version, _latest(batch.configs, key_length=1))
    return count + upsert(connection, tables.meta, list(batch.meta.items()))


def _save_jobs(connection: Connection, batch: Batch) -> int:
    specs = [(spec_id, records.encode(spec)) for spec_id, spec in batch.specs.items()]
    attempts = [rows.job_row(job) for job in batch.attempts]
    return (
        upsert(connection, tables.job_spec, specs)
        + upsert(connection, tables.script, list(batch.scripts.items()))
        + upsert(connection, tables.environment, list(batch.environments.items()))
        + upsert(connection, tables.job, [rows.job_row(job) for job in batch.jobs.values()])
        + upsert(connection, tables.job_attempt, _latest(attempts, key_length=2))
    )


def _save_machines(connection: Connection, batch: Batch) -> int:
    _remove(connection, tables.node, batch.removed_nodes)
    _remove(connection, tables.partition_, batch.removed_partitions)
    return upsert(connection, tables.node, [rows.node_row(node) for node in batch.nodes.values()]) + upsert(
        connection, tables.partition_, [rows.partition_row(partition) for partition in batch.partitions.values()]
    )


def _remove(connection: Connection, table: Table, names: Iterable[str]) -> None:
    for name in names:
        connection.execute(delete(table).where(table.c.name == name))


def _token_rows(batch: Batch) -> list[rows.Row]:
    at = batch.events[-1].at if batch.events else 0.0
    return [(token, job_id, at) for token, job_id in batch.tokens.items()]


def _latest(entries: Iterable[tuple[Any, ...]], key_length: int) -> list[rows.Row]:
    """Of rows with one key the last: a statement may touch a row once."""
    return list({entry[:key_length]: entry for entry in entries}.values())
