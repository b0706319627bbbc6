"""What is wrong with a configuration, collected: a reader sees every error of a file at once.

Parts of the room report to one Problems; load() raises ConfigErrors when there is an error in it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec

from sluice.errors import ConfigError


class ConfigWarning(msgspec.Struct, frozen=True):
    """Something accepted that an administrator should know: file, line (0: none), key, message."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return str(ConfigError(self.message, self.file, self.line, self.key))


class ConfigErrors(ConfigError):
    """Every error and warning of one configuration; it prints as one line per error."""

    def __init__(self, errors: list[ConfigError], warnings: list[ConfigWarning]) -> None:
        assert errors, "ConfigErrors without an error"
        first = errors[0]
        super().__init__(first.message, first.file, first.line, first.key)
        self.errors = errors
        self.warnings = warnings

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


class Problems:
    """The errors and warnings found so far, at most ERRORS_MAX of the former."""

    #: A file of the wrong kind would yield an error per line.
    ERRORS_MAX = 1000

    def __init__(self) -> None:
        self.errors: list[ConfigError] = []
        self.warnings: list[ConfigWarning] = []

    def error(self, file: str, line: int, key: str, message: str) -> None:
        if len(self.errors) < self.ERRORS_MAX:
            self.errors.append(ConfigError(message, file, line, key))

    def warning(self, file: str, line: int, key: str, message: str) -> None:
        self.warnings.append(ConfigWarning(file, line, key, message))

    def raise_if_any(self) -> None:
        if self.errors:
            raise ConfigErrors(self.errors, self.warnings)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the name in *known* that *word* most likely means, or None; case does not count."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None
