"""Upserts of many rows: compiled once by SQLAlchemy, then executed with the rows' values as they are.

Each execution lets go of the interpreter's lock, and gets it back from a busy event loop only after the switch
interval.  A statement for every row (executemany) would do so at each of them: measured on SQLite with a busy thread
beside it, 200 jobs cost 2 s that way and 0.2 s in blocks.  So rows go in few statements:

SQLite      blocks of fixed sizes, the values of all rows as parameters (28 us a job; as one JSON document 120 us)
PostgreSQL  one JSON document of all rows (32 us a job, 3 of them in Python; executemany 48 and 21, COPY 32 and 8)
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import Connection, LargeBinary, Table, Text, bindparam, cast, func, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite

from .rows import Row

#: Rows of one statement, largest first.  64 rows of the widest table stay far below SQLite's bound of 32,766 values.
_BLOCK_SIZES = (64, 16, 4, 1)
#: Rows of one document; PostgreSQL takes documents up to 256 MiB.
_DOCUMENT_ROWS_MAX = 10_000

_compiled: dict[tuple[str, int], str] = {}
_document_encoder = msgspec.json.Encoder()


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> int:
    """Insert *rows*, or overwrite those whose key exists; return their number.  Keys must be distinct."""
    if not rows:
        return 0
    statements = _sqlite_statements if connection.dialect.name == "sqlite" else _postgresql_statements
    for text, values in statements(table, rows):
        connection.exec_driver_sql(text, values)
    return len(rows)


def _sqlite_statements(table: Table, rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    start = 0
    while start < len(rows):
        size = next(size for size in _BLOCK_SIZES if size <= len(rows) - start)
        text = _compiled.get((table.name, size)) or _compile_block(table, size)
        yield text, tuple(chain.from_iterable(rows[start : start + size]))
        start += size


def _postgresql_statements(table: Table, rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    text = _compiled.get((table.name, 0)) or _compile_document(table)
    for start in range(0, len(rows), _DOCUMENT_ROWS_MAX):
        yield text, (_document_encoder.encode(rows[start : start + _DOCUMENT_ROWS_MAX]).decode(),)


def _compile_block(table: Table, size: int) -> str:
    insert = sqlite.insert(table).values([{column.name: "" for column in table.columns}] * size)
    compiled = _with_conflict(insert, table).compile(dialect=sqlite.dialect())
    # Values go by position, in the order of the columns.
    assert len(compiled.positiontup) == size * len(table.columns), f"{table.name}: values out of order"
    return _compiled.setdefault((table.name, size), str(compiled))


def _compile_document(table: Table) -> str:
    dialect: Any = postgresql.psycopg.dialect
    document = cast(bindparam("document", type_=Text), postgresql.JSONB)
    row = func.jsonb_array_elements(document).column_valued("row")
    values = [_value(row.op("->>")(literal_column(str(index))), column) for index, column in enumerate(table.columns)]
    insert = postgresql.insert(table).from_select([column.name for column in table.columns], select(*values))
    compiled = _with_conflict(insert, table).compile(dialect=dialect(paramstyle="format"))
    return _compiled.setdefault((table.name, 0), str(compiled))


def _value(text: Any, column: Any) -> Any:
    """The column's value from the document's text; bytes are base64 there."""
    if isinstance(column.type, LargeBinary):
        return func.decode(text, literal_column("'base64'"))
    return text if isinstance(column.type, Text) else cast(text, column.type)


def _with_conflict(insert: Any, table: Table) -> Any:
    """What exists is overwritten, except where it cannot differ or must not."""
    policy = _CONFLICT.get(table.name, "overwrite")
    if policy == "fail":
        return insert
    keys = [column.name for column in table.primary_key]
    if policy == "keep":
        return insert.on_conflict_do_nothing(index_elements=keys)
    others = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=others)


#: An event's number is given once: a second one means that another controller writes here.  Specs never change,
#: scripts and environments are named by their content; the first use of a token is the one that counts.
_CONFLICT = {
    "event": "fail",
    "job_spec": "keep",
    "script": "keep",
    "environment": "keep",
    "submission_token": "keep",
}
