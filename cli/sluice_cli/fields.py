"""A field of a listing: one row says what it is called, how it is headed and how it is got.

One table of fields an entity drives the default listings, the letters of -o, the names of -O, and the keys of --sort.
A name may be written in any case; the first name is the canonical one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Getter = Callable[[Any], str]
    SortKey = Callable[[Any], Any]


class Field:
    """One row.

    names: of -O, separated by blanks; letter: of -o; get: row to text.
    key: row to what --sort compares, the text if there is none; kind: what a listing of groups does with the field.
    """

    __slots__ = ("get", "header", "key", "kind", "letter", "names")

    def __init__(
        self, names: str, letter: str, header: str, get: Getter, key: SortKey | None = None, kind: str = ""
    ) -> None:
        self.names = names.split()
        self.letter = letter
        self.header = header
        self.get = get
        self.key = key or get
        self.kind = kind


class FieldTable:
    """The fields of one entity, found by letter and by name."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self.fields = tuple(fields)
        self.by_letter = {field.letter: field for field in self.fields if field.letter}
        self._by_name: dict[str, Field] = {}

    def named(self, name: str) -> Field | None:
        """Return the field of that name in any case, None if there is none."""
        if not self._by_name:
            self._by_name = {name.lower(): field for field in self.fields for name in field.names}
        return self._by_name.get(name.lower())


def constant(text: str) -> Getter:
    """Return the getter of a field that says the same of everything."""
    return lambda row: text
