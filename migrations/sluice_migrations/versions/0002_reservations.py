"""Reservations: one row each, while they are to come or in force."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "reservation",
        sa.Column("name", sa.Text, primary_key=True),
        _number("reservation_id"),
        sa.Column("start_at", sa.Double, nullable=False),
        sa.Column("end_at", sa.Double, nullable=False),
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


def downgrade() -> None:
    op.drop_table("reservation")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, _Number, nullable=False)
