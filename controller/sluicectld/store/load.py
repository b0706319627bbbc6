"""Load what the engine needs at start: what is active, what ended lately, and where the numbers go on."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from sqlalchemy import ColumnElement, Connection, Engine, func, or_, select
from sqlalchemy.exc import SQLAlchemyError

from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import JobSpec
from sluice.model.reservation import Reservation
from sluice.model.step import Step

from . import records, tables
from .batch import StepKey, StoredConfig
from .database import connect, open_engine, storage_error


@dataclass(slots=True)
class Loaded:
    """The state as it was last committed."""

    #: Active jobs (those whose processes are still being ended too) and those that ended lately.
    jobs: dict[int, Job] = field(default_factory=dict)
    #: The specs of these jobs, shared by them.
    specs: dict[int, JobSpec] = field(default_factory=dict)
    #: The steps of the current attempts of the active jobs.
    steps: dict[StepKey, Step] = field(default_factory=dict)
    #: Nodes and partitions in the order of the configuration.
    nodes: dict[str, Node] = field(default_factory=dict)
    partitions: dict[str, Partition] = field(default_factory=dict)
    #: Reservations in the order in which they were made.
    reservations: dict[str, Reservation] = field(default_factory=dict)
    #: Job ids by the tokens of the last days' submissions.
    tokens: dict[str, int] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    config: StoredConfig | None = None
    next_sequence: int = 1
    next_job_id: int = 1
    next_spec_id: int = 1


def load(database: Engine | str, *, ended_after_at: float, tokens_after_at: float) -> Loaded:
    """Return what is stored of the present.

    ended_after_at: ended jobs are loaded when they ended at that time or later; tokens_after_at likewise.
    next_job_id is above every stored id; the meta row of that name may be higher still and is left to the caller.
    Raises StorageError.
    """
    engine = database if isinstance(database, Engine) else open_engine(database, is_read_only=True)
    try:
        with connect(engine) as connection:
            return _load(connection, ended_after_at, tokens_after_at)
    except SQLAlchemyError as error:
        raise storage_error(error, engine) from error
    finally:
        if engine is not database:
            engine.dispose()


def _load(connection: Connection, ended_after_at: float, tokens_after_at: float) -> Loaded:
    loaded = Loaded()
    wanted = or_(tables.job_is_active, tables.job.c.ended_at >= ended_after_at)
    _load_jobs(connection, loaded, wanted)
    # One that ended long ago goes back to the queue with the others.
    missing = _components_of(loaded.jobs.values()) - loaded.jobs.keys()
    if missing:
        _load_jobs(connection, loaded, tables.job.c.job_id.in_(sorted(missing)))
    _load_steps(connection, loaded)
    nodes = map(records.decode_node, connection.scalars(select(tables.node.c.record)))
    loaded.nodes = {node.name: node for node in sorted(nodes, key=attrgetter("index", "name"))}
    partitions = map(records.decode_partition, connection.scalars(select(tables.partition_.c.record)))
    loaded.partitions = {partition.name: partition for partition in sorted(partitions, key=attrgetter("index", "name"))}
    reservations = map(records.decode_reservation, connection.scalars(select(tables.reservation.c.record)))
    loaded.reservations = {each.name: each for each in sorted(reservations, key=attrgetter("id"))}
    token = tables.submission_token.c
    for name, job_id in connection.execute(select(token.token, token.job_id).where(token.at >= tokens_after_at)):
        loaded.tokens[name] = job_id
    for key, value in connection.execute(select(tables.meta)):
        loaded.meta[key] = value
    loaded.config = _latest_config(connection)
    _load_numbers(connection, loaded)
    return loaded


def _load_jobs(connection: Connection, loaded: Loaded, wanted: ColumnElement[bool]) -> None:
    job, spec = tables.job.c, tables.job_spec.c
    specs = select(spec.spec_id, spec.spec).where(spec.spec_id.in_(select(job.spec_id).where(wanted)))
    for spec_id, text in connection.execute(specs):
        loaded.specs[spec_id] = records.decode_spec(text)
    jobs = select(job.job_id, job.spec_id, job.record).where(wanted).order_by(job.job_id)
    for job_id, spec_id, text in connection.execute(jobs):
        loaded.jobs[job_id] = records.decode_job(text, loaded.specs[spec_id])


def _components_of(jobs: Iterable[Job]) -> set[int]:
    """Return the ids of all components of the heterogeneous jobs that any of *jobs* belong to."""
    return {job_id for job in jobs for job_id in range(job.het_job_id, job.het_job_id + job.het_size)}


def _load_steps(connection: Connection, loaded: Loaded) -> None:
    job, step = tables.job.c, tables.step.c
    is_current = (step.job_id == job.job_id) & (step.attempt == job.attempt)
    steps = select(step.record).select_from(tables.job.join(tables.step, is_current)).where(tables.job_is_active)
    for (text,) in connection.execute(steps):
        record = records.decode_step(text)
        loaded.steps[record.job_id, record.attempt, record.step_id] = record


def _latest_config(connection: Connection) -> StoredConfig | None:
    config = tables.config_version
    row = connection.execute(select(config).order_by(config.c.version.desc()).limit(1)).first()
    return StoredConfig(*row) if row else None


def _load_numbers(connection: Connection, loaded: Loaded) -> None:
    """Numbers go on above the highest one in use."""
    loaded.next_sequence = (connection.scalar(select(func.max(tables.event.c.sequence))) or 0) + 1
    loaded.next_job_id = (connection.scalar(select(func.max(tables.job.c.job_id))) or 0) + 1
    loaded.next_spec_id = (connection.scalar(select(func.max(tables.job_spec.c.spec_id))) or 0) + 1
