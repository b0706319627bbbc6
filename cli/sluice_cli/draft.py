"""A request in the making: what the options of sbatch, salloc or srun have said so far.

A draft is filled by the rows of options.py, in rising order of precedence (directives, environment, command line),
and becomes the maps of a JobSpec or a StepSpec.  OptionError is a refusal with the exit status of the recorded case.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.option_row import JobOption

#: The exit status of a value that an option's parser refuses.
VALUE_EXIT = 255
#: The exit status of a refusal of numbers and of combinations.
REFUSED_EXIT = 1
#: Characters of a refused value that are shown.
_SHOWN_MAX = 80


class OptionError(Exception):
    """An option that is refused.

    lines: what stderr gets, each after "error: "; plain: what it gets before that without the program's name;
    is_fatal: "fatal: " instead.
    """

    def __init__(self, *lines: str, exit_code: int = VALUE_EXIT, plain: str = "", is_fatal: bool = False) -> None:
        super().__init__(lines[0])
        self.lines = lines
        self.exit_code = exit_code
        self.plain = plain
        self.is_fatal = is_fatal


class Draft:
    """What was asked, by field of the JobSpec, and what concerns the command alone.

    spec: fields of the JobSpec that were set.  other: accepted options that are only kept and shown.
    own: what the command itself acts on (wrap, parsable, label, ...), by long name.
    given: options by long name, in any spelling, with where the value in force came from.
    remarks: lines for stderr about what was read another way than it was said, or not at all.
    """

    def __init__(self, command: str, now_at: float) -> None:
        self.command = command
        self.now_at = now_at
        self.spec: dict[str, Any] = {}
        self.other: dict[str, str] = {}
        self.own: dict[str, Any] = {}
        self.given: dict[str, int] = {}
        self.remarks: list[str] = []

    def put(self, option: JobOption, value: str | None) -> None:
        """Set what *option* says with *value*.  Raises OptionError."""
        option.setter(self, option, value)

    def warn(self, text: str) -> None:
        """Note a warning."""
        self.remarks.append(f"Warning: {text}")

    def has(self, *keys: str) -> bool:
        """Tell whether any of the options was given."""
        return any(key in self.given for key in keys)


def invalid(option: JobOption, value: str | None, *, exit_code: int = VALUE_EXIT, plain: str = "") -> OptionError:
    """Return the refusal of a value that the option does not take: Slurm's words, the value, what would be taken."""
    from sluice_cli.expected import EXPECTED

    text = f"Invalid --{option.key} specification: {(value or '')[:_SHOWN_MAX]!r}, expected {EXPECTED[option.key]}"
    return OptionError(text, exit_code=exit_code, plain=plain)


def invalid_number(option: JobOption, value: str, detail: str = "") -> OptionError:
    line = f'Invalid numeric value "{value}" for --{option.key}.'
    return OptionError(*([detail] if detail else []), line, exit_code=REFUSED_EXIT)
