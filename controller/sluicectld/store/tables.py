"""The tables: the journal, and beside it what the journal's events amount to, in columns that one can query.

`record` columns hold the whole record as JSON, as it is on the wire; the columns beside it repeat what queries filter
and sort by.  JSON is kept as text: PostgreSQL's jsonb refuses some strings that JSON allows, and parsing it again would
cost every insert.  Times are seconds since the epoch.  There are no foreign keys: one writer writes both ends in one
transaction, and `sluice verify` compares them with the journal.

Each index costs every insert, so there are few: those of `sacct` (user, name, end) and of a restart (is_active).
A change here needs a migration in sluice_migrations; a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
    true,
)

metadata = MetaData()

#: SQLite keeps a row under its INTEGER PRIMARY KEY; any other type name would cost a second tree.
Number = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str) -> "Column[str]":
    return Column(name, Text, nullable=False)


def _number(name: str) -> "Column[int]":
    return Column(name, Number, nullable=False)


def _key(name: str) -> "Column[int]":
    return Column(name, Number, primary_key=True, autoincrement=False)


def _text_key(name: str) -> "Column[str]":
    return Column(name, Text, primary_key=True)


def _time(name: str) -> "Column[float]":
    return Column(name, Double, nullable=True)


def _life_columns() -> list["Column[int] | Column[str] | Column[float] | Column[bool]"]:
    """Return the columns that job and job_attempt share, after their keys; rows.job_row gives them in this order."""
    return [
        _number("array_job_id"),
        Column("array_task_id", Number, nullable=True),
        _text("name"),
        # Not "user": in PostgreSQL that word is the name of the database's own user.
        _text("user_name"),
        _number("uid"),
        _number("gid"),
        _text("account"),
        _text("qos"),
        _text("partition"),
        _text("state"),
        _text("reason"),
        _number("priority"),
        _time("submitted_at"),
        _time("eligible_at"),
        _time("started_at"),
        _time("ended_at"),
        Column("limit_s", Number, nullable=True),
        _text("node_list"),
        _number("node_count"),
        _number("cpu_count"),
        _number("memory_mib"),
        _number("exit_code"),
        _number("exit_signal"),
        #: Not ended, or ended with processes left on some node: what a restarted controller must know.
        Column("is_active", Boolean, nullable=False),
        _number("spec_id"),
        _text("work_dir"),
        _text("command"),
        _text("record"),
    ]


event = Table(
    "event",
    metadata,
    _key("sequence"),
    Column("at", Double, nullable=False),
    _text("actor"),
    _text("kind"),
    Column("job_id", Number, nullable=True),
    _text("payload"),
)

job = Table("job", metadata, _key("job_id"), _number("attempt"), *_life_columns())
# A user's jobs, mostly of a window of time: the default of sacct.
Index("ix_job_user_name", job.c.user_name, job.c.ended_at)
Index("ix_job_name", job.c.name)
Index("ix_job_ended_at", job.c.ended_at)
# Partial: plain jobs and ended jobs cost these two nothing.  Queries must repeat the condition word by word.
job_is_of_array = job.c.array_job_id != text("0")
job_is_active = job.c.is_active.is_(true())
Index("ix_job_array_job_id", job.c.array_job_id, sqlite_where=job_is_of_array, postgresql_where=job_is_of_array)
Index("ix_job_is_active", job.c.is_active, sqlite_where=job_is_active, postgresql_where=job_is_active)

#: Earlier runs of requeued jobs.
job_attempt = Table("job_attempt", metadata, _key("job_id"), _key("attempt"), *_life_columns())

job_spec = Table("job_spec", metadata, _key("spec_id"), _text("spec"))

step = Table(
    "step",
    metadata,
    _key("job_id"),
    _key("attempt"),
    _key("step_id"),
    _text("state"),
    _text("name"),
    _number("ntasks"),
    _number("cpu_count"),
    _text("node_list"),
    _time("started_at"),
    _time("ended_at"),
    _number("exit_code"),
    _number("exit_signal"),
    Column("user_s", Double, nullable=False),
    Column("system_s", Double, nullable=False),
    _number("max_rss_kib"),
    _number("max_vmsize_kib"),
    _number("disk_read_bytes"),
    _number("disk_written_bytes"),
    _text("record"),
    sqlite_with_rowid=False,
)

node = Table(
    "node",
    metadata,
    _text_key("name"),
    _text("state"),
    Column("is_drained", Boolean, nullable=False),
    Column("is_responding", Boolean, nullable=False),
    _text("reason"),
    _number("cpus"),
    _number("memory_mib"),
    _text("record"),
)

partition_ = Table("partition_", metadata, _text_key("name"), _text("record"))

#: Those that are to come or in force; what became of earlier ones, the journal has.
reservation = Table(
    "reservation",
    metadata,
    _text_key("name"),
    _number("reservation_id"),
    Column("start_at", Double, nullable=False),
    Column("end_at", Double, nullable=False),
    _text("flags"),
    _text("node_list"),
    _number("node_count"),
    _number("core_count"),
    _text("partition"),
    _text("users"),
    _text("accounts"),
    _text("licenses"),
    _text("record"),
)

#: A submission's token, so that one that is repeated returns the first job's id.  No index on `at`: it would double
#: the cost of an insert; old tokens are forgotten at each start (tokens.py), and the table stays short enough to scan.
submission_token = Table(
    "submission_token",
    metadata,
    _text_key("token"),
    _number("job_id"),
    Column("at", Double, nullable=False),
    sqlite_with_rowid=False,
)

script = Table("script", metadata, _text_key("digest"), Column("text", LargeBinary, nullable=False))
environment = Table("environment", metadata, _text_key("digest"), Column("data", LargeBinary, nullable=False))

stream_tail = Table(
    "stream_tail",
    metadata,
    _key("job_id"),
    _key("attempt"),
    _key("step_id"),
    _text_key("node"),
    _text_key("stream"),
    _text("path"),
    Column("tail", LargeBinary, nullable=False),
    Column("is_cut", Boolean, nullable=False),
    _text("error"),
    sqlite_with_rowid=False,
)

config_version = Table(
    "config_version",
    metadata,
    _key("version"),
    _text("digest"),
    Column("at", Double, nullable=False),
    _text("text"),
)

#: cluster, epoch, next_job_id, ...: one word each.
meta = Table("meta", metadata, _text_key("key"), _text("value"))
