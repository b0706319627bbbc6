"""--help and --usage, made from a command's table of options."""

from __future__ import annotations

from sluice_cli.getopt import NEXT_WORD, NO_ARGUMENT, OPTIONAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.getopt import Option, OptionTable

_LEFT_WIDTH = 30
_LINE_WIDTH = 80


def long_help(program: str, table: OptionTable, synopsis: str) -> str:
    """Return one line an option, in the order of the table; options without help text are left out."""
    lines = [f"Usage: {program} {synopsis}", "", "Options:"]
    for option in table.options:
        if not option.help:
            continue
        left = _left_column(option)
        if len(left) < _LEFT_WIDTH:
            lines.append(f"{left:<{_LEFT_WIDTH}}{option.help}")
        else:
            lines += [left, " " * _LEFT_WIDTH + option.help]
    return "\n".join(lines) + "\n"


def usage(program: str, table: OptionTable, synopsis: str) -> str:
    """Return the paragraph of all options in brackets."""
    head = f"Usage: {program} "
    words = [_bracketed(option) for option in table.options if option.help]
    words.append(synopsis.removeprefix("[OPTIONS] ").removeprefix("[OPTIONS]"))
    lines = []
    line = head
    for word in words:
        if len(line) + len(word) > _LINE_WIDTH and line.strip():
            lines.append(line.rstrip())
            line = " " * len(head)
        line += word + " "
    lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def _left_column(option: Option) -> str:
    letter = f"-{option.letter}, " if option.letter else "    "
    return f"  {letter}--{option.key}{_value(option)}"


def _value(option: Option) -> str:
    if option.argument == NO_ARGUMENT:
        return ""
    metavar = option.metavar or "value"
    return f"[={metavar}]" if option.argument in (OPTIONAL, NEXT_WORD) else f"={metavar}"


def _bracketed(option: Option) -> str:
    if not option.letter:
        return f"[--{option.key}{_value(option)}]"
    value = "" if option.argument == NO_ARGUMENT else _value(option).replace("=", "" if "[" in _value(option) else " ")
    return f"[-{option.letter}{value}]"
