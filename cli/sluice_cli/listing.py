"""What the looking commands have in common: the command line, the clusters asked for, dates, sorting, failures."""

from __future__ import annotations

import time

from sluice_cli import talk
from sluice_cli.getopt import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sluice.errors import SluiceError
    from sluice_cli.fields import Field, FieldTable, SortKey
    from sluice_cli.getopt import Found, OptionTable
    from sluice_cli.talk import Voice

    Comparison = tuple[SortKey, bool]  # key, is descending

#: The exit status of a wrong command line or value of the commands that look.
REFUSED_EXIT = 1


def read_command_line(
    voice: Voice, table: OptionTable, words: Sequence[str], synopsis: str, has_hint: bool = True
) -> tuple[Found, list[str]] | int:
    """Return options and positionals, or the exit status when there is nothing left to do.

    has_hint: a wrong command line points to --help.
    """
    try:
        found, positionals = table.parse(words)
    except UsageError as error:
        if has_hint:
            voice.usage_error(error)
        else:
            voice.lines(str(error))
        return REFUSED_EXIT
    for key, _ in found:
        if talk.put_standard_answer(voice.program, key, table, synopsis):
            return 0
    return found, positionals


def check_clusters(voice: Voice, value: str | None) -> bool:
    """Tell whether the clusters asked for are this one; say which is not."""
    if not value:
        return True
    own = cluster_name()
    for name in value.split(","):
        if name.strip().lower() not in (own, "all", ""):
            voice.error(
                f"'{name}' can't be reached now, or it is an invalid entry for --cluster.  "
                "Use 'sacctmgr list clusters' to see available clusters."
            )
            return False
    return True


def cluster_name() -> str:
    """Return the cluster's name as the configuration has it.  Raises ConfigError."""
    from sluice_cli import client

    return client.find_endpoints().cluster_name


def is_structured(values: dict[str, str]) -> bool:
    """Is JSON or YAML asked for?"""
    return "json" in values or "yaml" in values


def put_date() -> None:
    talk.put(time.ctime() + "\n")


def tell_load_failure(voice: Voice, function: str, error: SluiceError) -> int:
    """Say on stderr why a listing could not be loaded, as Slurm does; return the exit status."""
    from sluice.errors import ConfigError
    from sluice.wire.faults import is_passing
    from sluice_cli import client

    if isinstance(error, ConfigError):
        voice.fatal(str(error))
        return REFUSED_EXIT
    if is_passing(error) and (text := client.detail(error)):
        talk.plain(f"{function}: {text}")
    talk.plain(f"{function}: {client.sentence(error)}")
    return REFUSED_EXIT


def iterate(listing: Callable[[], int], interval_s: int) -> int:
    """Print the listing again and again, a date before and an empty line after each."""
    while True:
        put_date()
        status = listing()
        if status:
            return status
        talk.put("\n")
        time.sleep(interval_s)


def read_interval(voice: Voice, text: str) -> int:
    """Return the seconds of --iterate, 0 after saying that it is none."""
    if text.isascii() and text.isdigit() and int(text[:9]):
        return int(text[:9])
    voice.error(f"--iterate={text}\n")
    return 0


def read_sort(text: str, table: FieldTable, unsorted: str = "") -> tuple[list[Comparison], str]:
    """Return the comparisons of a --sort value, the most important first, and the first word that is no field.

    A word is a letter or a name with + or - before it; letters may follow each other without a comma.
    unsorted: letters of fields that are sorted by under their names alone, so that a misspelt name is told.
    """
    comparisons: list[Comparison] = []
    for word in text.split(","):
        sign, name = (word[0], word[1:]) if word[:1] in ("+", "-") else ("+", word)
        name = name.strip("#")
        named = table.named(name) if len(name) > 1 else None
        if named is not None:
            comparisons.append((named.key, sign == "-"))
            continue
        unknown = _read_letters(word, table, comparisons, unsorted)
        if unknown:
            return comparisons, unknown
    return comparisons, ""


def _read_letters(word: str, table: FieldTable, comparisons: list[Comparison], unsorted: str) -> str:
    is_descending = False
    for character in word:
        if character in "+-#":
            is_descending = character == "-" or (character == "#" and is_descending)
            continue
        field: Field | None = table.by_letter.get(character)
        if field is None or character in unsorted:
            return character
        comparisons.append((field.key, is_descending))
        is_descending = False
    return ""


def sort_rows(rows: list[Any], comparisons: Sequence[Comparison]) -> None:
    """Sort in place; equal rows keep their order."""
    for key, is_descending in reversed(comparisons):
        rows.sort(key=key, reverse=is_descending)
