"""Options from directives, the environment and the command line, one over the other, into a draft.

Precedence: command line over environment over directives; within one source the last one counts.
Source: CONTRACT.md sections 2.4 and 3.1.
"""

from __future__ import annotations

from sluice.errors import InvalidRequest
from sluice_cli.draft import REFUSED_EXIT, OptionError
from sluice_cli.getopt import NO_ARGUMENT, OPTIONAL, PlacedOption
from sluice_cli.options import rows_for, variables_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sluice_cli.draft import Draft
    from sluice_cli.option_row import JobOption
    from sluice_cli.talk import Voice

    Found = Iterable[tuple[str, str | None]]

#: Where a value came from, in rising order of precedence.
DIRECTIVE = 1
ENVIRONMENT = 2
COMMAND_LINE = 3

#: Characters of a variable's value that a refusal shows.
_SHOWN_MAX = 80
_MEMORY_KEYS = ("mem", "mem-per-cpu", "mem-per-gpu")


def apply_layers(draft: Draft, directives: Found, environment: Mapping[str, str], command_line: Found) -> None:
    """Put every source's options into *draft*.  Raises OptionError, or InvalidRequest for a submission's refusal."""
    rows = rows_for(draft.command)
    by_key = {row.key: row for row in rows}
    _apply(draft, by_key, directives, DIRECTIVE)
    _apply(draft, by_key, found_in_environment(rows, draft.command, environment), ENVIRONMENT)
    _apply(draft, by_key, command_line, COMMAND_LINE)
    _keep_one_memory_option(draft)


def found_in_environment(rows: Iterable[JobOption], command: str, environment: Mapping[str, str]) -> Found:
    """Return the options that variables set, in rising order of precedence."""
    found: list[tuple[str, str | None]] = []
    for row in rows:
        for variable in variables_of(row, command):
            value = environment.get(variable)
            if value is None:
                continue
            if row.argument == NO_ARGUMENT:
                if is_on(value):
                    found.append((row.key, None))
            else:
                given = None if row.argument == OPTIONAL and not value else value
                found.append(PlacedOption(row.key, given, f"in the environment: {variable}={value[:_SHOWN_MAX]}"))
    return found


def is_on(value: str) -> bool:
    """Tell whether a variable switches a plain flag on: empty, yes, or a number that is not zero."""
    return value.lower() in ("", "yes", "y") or (value.isdigit() and int(value) != 0)


def set_loudness(voice: Voice, command_line: Found, environment: Mapping[str, str], command: str) -> None:
    """Set quiet and verbose from the command line and the debug variable.  Raises OptionError."""
    keys = [key for key, _ in command_line]
    voice.is_quiet = "quiet" in keys
    voice.verbosity = keys.count("verbose")
    if voice.is_quiet and voice.verbosity:
        raise OptionError("don't specify both --verbose (-v) and --quiet (-Q)", exit_code=REFUSED_EXIT)
    debug = environment.get({"sbatch": "SBATCH_DEBUG", "salloc": "SALLOC_DEBUG"}.get(command, "SLURM_DEBUG"), "")
    if debug.isdigit() and not voice.verbosity:
        voice.verbosity = int(debug)


def _apply(draft: Draft, by_key: Mapping[str, JobOption], found: Found, source: int) -> None:
    for each in found:
        key, value = each
        try:
            draft.put(by_key[key], value)
        except (OptionError, InvalidRequest) as error:
            if isinstance(each, PlacedOption):
                raise _placed(error, each.where) from None
            raise
        draft.given[key] = source


def _placed(error: OptionError | InvalidRequest, where: str) -> OptionError | InvalidRequest:
    """Return the refusal with a line before it that says where the value is."""
    if isinstance(error, InvalidRequest):
        return InvalidRequest(f"{where}\n{error.message}", code=error.code)
    error.lines = (where, *error.lines)
    return error


def _keep_one_memory_option(draft: Draft) -> None:
    """The setter has kept the last; two from one hand are a contradiction."""
    given = [key for key in _MEMORY_KEYS if key in draft.given]
    strongest = max((draft.given[key] for key in given), default=0)
    if [draft.given[key] for key in given].count(strongest) > 1 and strongest != ENVIRONMENT:
        raise OptionError(
            "--mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.", exit_code=REFUSED_EXIT, is_fatal=True
        )
    for key in given:
        if draft.given[key] < strongest:
            del draft.given[key]
