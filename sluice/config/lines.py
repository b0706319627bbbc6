"""One logical line to typed values by its table: the step that every kind of line shares.

Unknown keys are errors with the nearest known one, wrong values errors with what was expected, keys
without effect warnings, once per key.
"""

from __future__ import annotations

from collections.abc import Sequence

from sluice.config.grammar import Line
from sluice.config.key import Table
from sluice.config.problems import Problems

Values = dict[str, object]
Pair = tuple[str, str]

NO_EFFECT = "known Slurm key without effect here"


class LineReader:
    """Reads lines of one table; equal pairs are parsed once, which is most of a large file."""

    def __init__(self, table: Table, problems: Problems) -> None:
        self.table = table
        self.problems = problems
        self._parsed: dict[Pair, tuple[str, object] | None] = {}
        self._warned: set[str] = set()

    def read(self, line: Line, pairs: Sequence[Pair] | None = None) -> Values:
        """Return field -> value of the line's pairs that are right and have an effect."""
        values: Values = {}
        parsed = self._parsed
        for pair in line.pairs if pairs is None else pairs:
            field_and_value = parsed[pair] if pair in parsed else self._parse(line, pair)
            if field_and_value is None:
                continue
            field, value = field_and_value
            if field in values:
                self.problems.error(line.file, line.number, pair[0], "stands twice on one line")
            values[field] = value
        return values

    def _parse(self, line: Line, pair: Pair) -> tuple[str, object] | None:
        name, text = pair
        key = self.table.find(name)
        if key is None:
            self.problems.error(line.file, line.number, name, self._unknown(name))
            return None
        try:
            value = key.parse(text)
        except ValueError as error:
            self.problems.error(line.file, line.number, key.name, str(error))
            return None
        if not key.has_effect:
            self.warn_no_effect(line, key.name)
            return None
        self._parsed[pair] = (key.field, value)
        return key.field, value

    def warn_no_effect(self, line: Line, name: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            self.problems.warning(line.file, line.number, name, NO_EFFECT)

    def _unknown(self, name: str) -> str:
        near = self.table.nearest(name)
        hint = f"; did you mean {near!r}?" if near else ""
        return f"{name!r} is not a {self.table.what} key{hint}"
