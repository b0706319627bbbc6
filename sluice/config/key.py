"""A key of a configuration file as a row of a table, and the lookups that readers of tables need."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sluice.config.kinds import REPORTED, Kind
from sluice.config.problems import nearest
from sluice.errors import RequestError


class Key(msgspec.Struct, frozen=True):
    """One row: what a key is called, what it holds, what it means to us.

    default: as it would be written in the file; "" is unset.
    field: the record's field that it sets; "" for a key that is known and has no effect here.
    shown: how `scontrol show config` prints it: "" as its kind does, "hidden" not at all.
    """

    name: str
    kind: Kind
    default: str = ""
    field: str = ""
    shown: str = ""

    @property
    def has_effect(self) -> bool:
        return self.field != ""

    def parse(self, text: str) -> object:
        """Return the value of *text*; ValueError with what was expected and what stands against it."""
        try:
            return self.kind.parse(text)
        except (RequestError, ValueError) as error:
            problem = str(error)
            shown = problem if repr(text) in problem else f"{text!r}: {problem}"
            raise ValueError(f"{self.kind.expected} expected; {shown}") from error


class Table:
    """The keys of one kind of line, found by name in any case."""

    def __init__(self, what: str, *keys: Key) -> None:
        self.what = what
        self.keys = keys
        self._by_name = {key.name.lower(): key for key in keys if key.kind is not REPORTED}
        assert len({key.name.lower() for key in keys}) == len(keys), f"{what}: a key stands twice"

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)

    def find(self, name: str) -> Key | None:
        return self._by_name.get(name.lower())

    def get(self, name: str) -> Key:
        """Return a key that the table is known to have."""
        return self._by_name[name.lower()]

    def nearest(self, name: str) -> str | None:
        return nearest(name, [key.name for key in self._by_name.values()])

    def settable(self) -> list[Key]:
        """Return the keys that a file may hold, in the table's order."""
        return list(self._by_name.values())

    def defaults(self) -> dict[str, object]:
        """Return field -> value of the defaults of every key with an effect."""
        return {key.field: key.parse(key.default) for key in self._by_name.values() if key.field and key.default}
