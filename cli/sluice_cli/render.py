"""Formats of listings, read once into a layout that makes each line with one formatting operation.

    short = { text | "%" ["."] [ width ] letter | "%all" }
                                                        -o: a dot right-justifies, without a width nothing is cut
    long  = name [ ":" [ ["."] width ] [ suffix ] ] { "," ... }      -O: 20 wide unless said, or as wide as the value
                                                                     when there is only a suffix

Text longer than its width is cut.  What is no field is kept as text (-o) or left out (-O) and told to *complain*.
Source: CONTRACT section 5; CLIENTS section 1, facts 3 and 4.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from sluice_cli.fields import Field, FieldTable, Getter

    Complain = Callable[[str], None]

LONG_WIDTH = 20
#: Digits of a width; a terminal is narrower.
_WIDTH_DIGITS_MAX = 6
_DIGITS = "0123456789"


class Layout:
    """Where each field of a line goes."""

    __slots__ = ("_getters", "_template", "fields")

    def __init__(self, template: str, fields: list[Field]) -> None:
        #: A %-format: cutting and padding are then one operation in C for a whole line.
        self._template = template
        self.fields = fields
        self._getters: list[Getter] = [field.get for field in fields]

    def header(self) -> str:
        return self._template % tuple([field.header for field in self.fields])

    def line(self, row: Any) -> str:
        return self._template % tuple([get(row) for get in self._getters])

    def lines(self, rows: Iterable[Any]) -> list[str]:
        """Return a line for each of *rows*."""
        template, getters = self._template, self._getters
        return [template % tuple([get(row) for get in getters]) for row in rows]


def parse_short(text: str, table: FieldTable, complain: Complain) -> Layout:
    """Return the layout of a -o format."""
    parts: list[str] = []
    fields: list[Field] = []
    position = 0
    while (percent := text.find("%", position)) >= 0:
        parts.append(_escaped(text[position:percent]))
        if text[percent : percent + 4].lower() == "%all":
            parts.append("|".join(["%s"] * len(table.by_letter)))
            fields += table.by_letter.values()
            position = percent + 4
            continue
        start = percent + 1
        while text[start : start + 1] == "%":
            start += 1
        is_right = text[start : start + 1] == "."
        digits_at = start + is_right
        end = _digits_end(text, digits_at)
        letter = text[end : end + 1]
        field = table.by_letter.get(letter)
        if field is None:
            parts.append(_escaped(text[percent : end + 1]))
            if letter:
                complain(letter)
        else:
            parts.append(_place(_width(text[digits_at:end]), is_right))
            fields.append(field)
        position = end + 1
    parts.append(_escaped(text[position:]))
    return Layout("".join(parts), fields)


def parse_long(text: str, table: FieldTable, complain: Complain) -> Layout:
    """Return the layout of a -O format."""
    parts: list[str] = []
    fields: list[Field] = []
    for word in text.split(","):
        name, colon, rest = word.partition(":")
        name = name.strip()
        if not name:
            continue
        field = table.named(name)
        if field is None:
            complain(name)
            continue
        parts.append(_long_place(rest) if colon else _place(LONG_WIDTH, False))
        fields.append(field)
    return Layout("".join(parts), fields)


def _long_place(rest: str) -> str:
    is_right = rest.startswith(".")
    end = _digits_end(rest, int(is_right))
    digits = rest[int(is_right) : end]
    if not digits:
        return "%s" + _escaped(rest)
    return _place(_width(digits), is_right) + _escaped(rest[end:])


def _place(width: int, is_right: bool) -> str:
    if not width:
        return "%s"
    return f"%{width}.{width}s" if is_right else f"%-{width}.{width}s"


def _width(digits: str) -> int:
    return int(digits[:_WIDTH_DIGITS_MAX] or 0)


def _digits_end(text: str, start: int) -> int:
    end = start
    while text[end : end + 1] and text[end] in _DIGITS:
        end += 1
    return end


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
