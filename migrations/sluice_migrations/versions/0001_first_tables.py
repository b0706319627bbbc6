"""The first tables: the journal, jobs with their specs, attempts and steps, nodes, partitions, and what jobs bring."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_journal()
    _create_jobs()
    _create_steps()
    _create_machines()
    _create_what_jobs_bring()
    op.create_table(
        "config_version",
        _key("version"),
        _text("digest"),
        sa.Column("at", sa.Double, nullable=False),
        _text("text"),
    )
    op.create_table("meta", _text_key("key"), _text("value"))


def downgrade() -> None:
    for table in (
        *("event", "job", "job_attempt", "job_spec", "step", "node", "partition_", "submission_token", "script"),
        *("environment", "stream_tail", "config_version", "meta"),
    ):
        op.drop_table(table)


def _create_journal() -> None:
    op.create_table(
        "event",
        _key("sequence"),
        sa.Column("at", sa.Double, nullable=False),
        _text("actor"),
        _text("kind"),
        sa.Column("job_id", _Number, nullable=True),
        _text("payload"),
    )


def _create_jobs() -> None:
    op.create_table("job", _key("job_id"), _number("attempt"), *_life_columns())
    op.create_index("ix_job_user_name", "job", ["user_name", "ended_at"])
    op.create_index("ix_job_name", "job", ["name"])
    op.create_index("ix_job_ended_at", "job", ["ended_at"])
    is_of_array = sa.column("array_job_id", sa.Integer) != sa.text("0")
    op.create_index(
        "ix_job_array_job_id", "job", ["array_job_id"], sqlite_where=is_of_array, postgresql_where=is_of_array
    )
    is_active = sa.column("is_active", sa.Boolean).is_(sa.true())
    op.create_index("ix_job_is_active", "job", ["is_active"], sqlite_where=is_active, postgresql_where=is_active)
    op.create_table("job_attempt", _key("job_id"), _key("attempt"), *_life_columns())
    op.create_table("job_spec", _key("spec_id"), _text("spec"))


def _life_columns() -> list[sa.Column[Any]]:
    return [
        _number("array_job_id"),
        sa.Column("array_task_id", _Number, nullable=True),
        _text("name"),
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
        sa.Column("limit_s", _Number, nullable=True),
        _text("node_list"),
        _number("node_count"),
        _number("cpu_count"),
        _number("memory_mib"),
        _number("exit_code"),
        _number("exit_signal"),
        sa.Column("is_active", sa.Boolean, nullable=False),
        _number("spec_id"),
        _text("work_dir"),
        _text("command"),
        _text("record"),
    ]


def _create_steps() -> None:
    op.create_table(
        "step",
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
        sa.Column("user_s", sa.Double, nullable=False),
        sa.Column("system_s", sa.Double, nullable=False),
        _number("max_rss_kib"),
        _number("max_vmsize_kib"),
        _number("disk_read_bytes"),
        _number("disk_written_bytes"),
        _text("record"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stream_tail",
        _key("job_id"),
        _key("attempt"),
        _key("step_id"),
        _text_key("node"),
        _text_key("stream"),
        _text("path"),
        sa.Column("tail", sa.LargeBinary, nullable=False),
        sa.Column("is_cut", sa.Boolean, nullable=False),
        _text("error"),
        sqlite_with_rowid=False,
    )


def _create_machines() -> None:
    op.create_table(
        "node",
        _text_key("name"),
        _text("state"),
        sa.Column("is_drained", sa.Boolean, nullable=False),
        sa.Column("is_responding", sa.Boolean, nullable=False),
        _text("reason"),
        _number("cpus"),
        _number("memory_mib"),
        _text("record"),
    )
    op.create_table("partition_", _text_key("name"), _text("record"))


def _create_what_jobs_bring() -> None:
    op.create_table(
        "submission_token",
        _text_key("token"),
        _number("job_id"),
        sa.Column("at", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table("script", _text_key("digest"), sa.Column("text", sa.LargeBinary, nullable=False))
    op.create_table("environment", _text_key("digest"), sa.Column("data", sa.LargeBinary, nullable=False))


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, _Number, nullable=False)


def _time(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Double, nullable=True)


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, _Number, primary_key=True, autoincrement=False)


def _text_key(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, primary_key=True)
