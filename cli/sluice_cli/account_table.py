"""sacct's tables: columns with a line of dashes, or values between delimiters.

    format = [ field { "," field } ]        field = name [ "%" [ "-" ] width ] | "ALL"

Text wider than its column is cut with a final "+", a header is cut without.  Width 0 leaves a field out.
"""

from __future__ import annotations

from sluice_cli import fields_accounting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sluice_cli.account_line import AccountLine
    from sluice_cli.fields_accounting import AccountField

_HELP_COLUMNS = 4
_HELP_WIDTH = 19


class UnknownField(Exception):
    """A name that no field has."""


class Column:
    """A field and its width, below zero to the left."""

    __slots__ = ("field", "width")

    def __init__(self, field: AccountField, width: int) -> None:
        self.field = field
        self.width = width


def read_columns(text: str) -> list[Column]:
    """Return the columns of a --format value.  Raises UnknownField."""
    columns: list[Column] = []
    for word in text.split(","):
        name, percent, width_text = word.strip().partition("%")
        if not name:
            continue
        if name.lower() == "all":
            columns += [Column(field, field.width) for field in fields_accounting.FIELDS]
            continue
        field = fields_accounting.field_named(name)
        if field is None:
            raise UnknownField(name)
        width = _read_width(width_text) if percent else field.width
        if width:
            columns.append(Column(field, width))
    return columns


def _read_width(text: str) -> int:
    digits = text.removeprefix("-")
    number = int(digits[:6]) if digits.isdecimal() else 0
    return -number if text.startswith("-") else number


def column_lines(columns: list[Column], lines: Iterable[AccountLine], has_header: bool) -> list[str]:
    """Return the table with padded columns."""
    shown = []
    if has_header:
        shown.append("".join(f"{_padded(column.field.name[: abs(column.width)], column.width)} " for column in columns))
        shown.append("".join("-" * abs(column.width) + " " for column in columns))
    shown += ["".join([_cell(column, line) + " " for column in columns]) for line in lines]
    return shown


def _cell(column: Column, line: AccountLine) -> str:
    text = column.field.get(line)
    width = abs(column.width)
    if len(text) > width:
        text = text[: width - 1] + "+"
    return _padded(text, column.width)


def _padded(text: str, width: int) -> str:
    return text.rjust(width) if width > 0 else text.ljust(-width)


def delimited_lines(
    columns: list[Column], lines: Iterable[AccountLine], has_header: bool, delimiter: str, ends_with_one: bool
) -> list[str]:
    """Return the table with whole values between delimiters."""
    end = delimiter if ends_with_one else ""
    shown = [delimiter.join(column.field.name for column in columns) + end] if has_header else []
    shown += [delimiter.join([column.field.get(line) for column in columns]) + end for line in lines]
    return shown


def help_lines() -> list[str]:
    """Return the names of all fields, four a line."""
    names = [field.name for field in fields_accounting.FIELDS]
    rows = [names[start : start + _HELP_COLUMNS] for start in range(0, len(names), _HELP_COLUMNS)]
    return [" ".join(f"{name:<{_HELP_WIDTH}}" for name in row) for row in rows]
