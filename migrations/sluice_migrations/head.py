"""The newest version: a daemon compares it at each start, and imports Alembic (half a second) only when it differs."""

#: Versions are numbers of four digits, so that text order is their order.
HEAD = "0002"
