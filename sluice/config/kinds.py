"""Kinds of configuration values: text to value, what was expected, the unit, and how it is shown.

A kind's parse() takes the text of one value and raises ValueError or RequestError when the text is not
of its kind; the message then says only what stands against it, `expected` says what was wanted.
"No limit" is None wherever a kind allows it; an empty text value means "unset".
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from sluice import duration, gres_spec, hostlist, size

_NO_LIMIT_WORDS = frozenset({"UNLIMITED", "INFINITE", "NONE", "-1"})
_YES_WORDS = frozenset({"YES", "Y", "TRUE", "T", "UP", "1"})
_NO_WORDS = frozenset({"NO", "N", "FALSE", "F", "DOWN", "0"})
#: The largest number of a whole-number key: what Slurm's own widest field holds.
_NUMBER_MAX = 2**63 - 1
_COUNT_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}


class Kind(msgspec.Struct, frozen=True):
    """One kind of value.

    shown: how `scontrol show config` prints it; show.py knows the words.
    """

    expected: str
    parse: Callable[[str], object]
    unit: str = ""
    shown: str = "text"


def whole_number(low: int = 0, high: int = _NUMBER_MAX, unit: str = "", shown: str = "number") -> Kind:
    """Return the kind of integers of low to high."""
    return Kind(_bounds(low, high, unit), lambda text: _integer(text, low, high), unit, shown)


def number_or_no_limit(low: int = 0, high: int = _NUMBER_MAX, unit: str = "", shown: str = "number") -> Kind:
    """Return the kind of integers of low to high, where UNLIMITED, INFINITE and -1 are None."""

    def parse(text: str) -> int | None:
        return None if text.upper() in _NO_LIMIT_WORDS else _integer(text, low, high)

    return Kind(f"{_bounds(low, high, unit)}, or UNLIMITED", parse, unit, shown)


def one_of(*words: str, **aliases: str) -> Kind:
    """Return the kind of one word of *words*, any case, kept as written here; aliases are other spellings."""
    known = {word.upper(): word for word in words} | aliases

    def parse(text: str) -> str:
        if text.upper() not in known:
            raise ValueError(f"{text!r} is none of them")
        return known[text.upper()]

    return Kind("one of " + ", ".join(words), parse, shown="canonical")


def some_of(*words: str, empty: str = "NONE", shown: str = "canonical list") -> Kind:
    """Return the kind of a list of *words*, any case, kept in this order; the word *empty* is none of them."""
    known = {word.upper(): word for word in words}

    def parse(text: str) -> tuple[str, ...]:
        wanted = [part.upper() for part in _split_list(text) if part.upper() != empty]
        strange = [part for part in wanted if part not in known]
        if strange:
            raise ValueError(f"{strange[0]!r} is none of them")
        return tuple(word for key, word in known.items() if key in wanted)

    return Kind("some of " + ", ".join(words), parse, shown=shown)


def plugin(prefix: str, *words: str) -> Kind:
    """Return the kind of a plugin name: one of *words* or any other, with or without `prefix/`."""
    start = prefix + "/"

    def parse(text: str) -> str:
        name = text.lower()
        name = name if name.startswith(start) else start + name
        if not re.fullmatch(r"[a-z_]+/[a-z0-9_.+-]+", name):
            raise ValueError(f"{text!r} is no plugin name")
        return name

    return Kind(f"a plugin name such as {', '.join(start + word for word in words)}", parse, shown="canonical")


def plugins(prefix: str) -> Kind:
    """Return the kind of a list of plugin names, with or without `prefix/`, kept without it."""

    def parse(text: str) -> tuple[str, ...]:
        names = (part.removeprefix(prefix + "/") for part in _split_list(text))
        return tuple(name for name in names if name not in ("none", ""))

    return Kind(f"plugin names separated by commas, each {prefix}/NAME or NAME", parse)


def _integer(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise ValueError(f"{text!r} is not a whole number")
    value = int(text)
    if not low <= value <= high:
        raise ValueError(f"{value} is out of range")
    return value


def _bounds(low: int, high: int, unit: str) -> str:
    of = f" of {unit}" if unit else ""
    return f"a whole number{of}, {low} or more" if high == _NUMBER_MAX else f"a whole number{of}, {low} to {high}"


def _split_list(text: str) -> list[str]:
    return [part for part in (part.strip() for part in text.split(",")) if part]


def _parse_bool(text: str) -> bool:
    if text.upper() in _YES_WORDS:
        return True
    if text.upper() in _NO_WORDS:
        return False
    raise ValueError(f"{text!r} is neither")


def _parse_number(text: str) -> float:
    if not re.fullmatch(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)%?", text):
        raise ValueError(f"{text!r} is not a number")
    return float(text.rstrip("%"))


def _parse_path(text: str) -> str:
    if text.lower() in ("none", ""):
        return ""
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not absolute")
    return text


def _parse_paths(text: str) -> tuple[str, ...]:
    return tuple(_parse_path(part) for part in _split_list(text))


def _parse_port(text: str) -> int:
    first, dash, last = text.partition("-")
    low = _integer(first, 1, 65535)
    if dash:
        _integer(last, low, 65535)
    return low


def _parse_port_range(text: str) -> tuple[int, int] | None:
    first, _, last = text.partition("-")
    low, high = _integer(first, 0, 65535), _integer(last or first, 0, 65535)
    if low > high:
        raise ValueError(f"{text!r} runs backwards")
    return (low, high) if high else None


def _parse_parameters(text: str) -> dict[str, str]:
    """Return word -> value ("" for a bare word) of a list such as bf_window=1440,defer; words in lower case."""
    return {name.lower(): value for name, _, value in (part.partition("=") for part in _split_list(text))}


def _parse_weights(text: str) -> dict[str, float]:
    """Return TRES -> number of a list such as CPU=1.0,Mem=0.25G; a suffix divides by powers of 1024 above MiB."""
    weights: dict[str, float] = {}
    for part in _split_list(text):
        name, equals, number = part.partition("=")
        match = re.fullmatch(r"(-?[0-9]*\.?[0-9]+)([KMGTP]?)", number.upper())
        if not equals or match is None:
            raise ValueError(f"{part!r} is not TRES=weight")
        per_unit = _COUNT_UNITS.get(match[2], 1)
        if name.lower() in ("mem", "vmem") and match[2]:
            per_unit = per_unit // _COUNT_UNITS["M"] or 1
        weights[name.lower()] = float(match[1]) / per_unit
    return weights


def _parse_counts(text: str) -> dict[str, int]:
    """Return name -> count of a list such as matlab:10,ansys (1 when no count is written)."""
    counts: dict[str, int] = {}
    for part in _split_list(text):
        name, _, count = part.replace("=", ":").partition(":")
        counts[name] = counts.get(name, 0) + (_integer(count, 0, _NUMBER_MAX) if count else 1)
    return counts


def parse_count_with_unit(text: str) -> int:
    """Return a count such as 100 or 4G (powers of 1024)."""
    unit = _COUNT_UNITS.get(text[-1:].upper(), 1)
    return _integer(text[:-1] if unit > 1 else text, 0, _NUMBER_MAX) * unit


def _parse_exit_codes(text: str) -> tuple[int, ...]:
    """Return the exit codes of a list such as 1-3,9."""
    codes: set[int] = set()
    for part in _split_list(text):
        first, _, last = part.partition("-")
        low = _integer(first, 0, 255)
        codes.update(range(low, _integer(last or first, low, 255) + 1))
    return tuple(sorted(codes))


def _parse_sample_interval(text: str) -> int:
    """Return the task sampling interval of 30 or task=30,energy=60."""
    if "=" not in text:
        return _integer(text, 0, _NUMBER_MAX)
    return _integer(_parse_parameters(text).get("task", "30"), 0, _NUMBER_MAX)


def _parse_minutes(text: str) -> int | None:
    return None if text.upper() in _NO_LIMIT_WORDS else _integer(text, 0, 65533) * 60


def _parse_time_limit(text: str) -> int | None:
    seconds = duration.parse(text)
    return None if seconds is None else duration.round_up_minutes(seconds) * 60


def _parse_memory(text: str) -> int | None:
    """Return MiB; 0 and UNLIMITED are no limit."""
    return None if text.upper() in _NO_LIMIT_WORDS else size.parse_mib(text) or None


def _parse_debug_level(text: str) -> str:
    if text.isdigit() and int(text) < len(DEBUG_LEVELS):
        return DEBUG_LEVELS[int(text)]
    if text.lower() not in DEBUG_LEVELS:
        raise ValueError(f"{text!r} is none of them")
    return text.lower()


#: Levels of SlurmctldDebug and SlurmdDebug; the number that old files hold is the place in this list.
DEBUG_LEVELS = ("quiet", "fatal", "error", "info", "verbose", "debug", "debug2", "debug3", "debug4", "debug5")

TEXT = Kind("text", str)
NAME = Kind("a name without blanks", lambda text: _checked_name(text))
LIST = Kind("words separated by commas", lambda text: tuple(_split_list(text)))
NAMES_OR_ALL = Kind(
    "names separated by commas, or ALL",
    lambda text: () if text.upper() in ("ALL", "ALL,") else tuple(_split_list(text)),
)
HOSTLIST = Kind("a hostlist such as n[01-16],login1", lambda text: tuple(hostlist.expand(text)))
HOSTS_OR_ALL = Kind(
    "a hostlist such as n[01-16], or ALL", lambda text: () if text.upper() == "ALL" else tuple(hostlist.expand(text))
)
GRES = Kind("generic resources such as gpu:a100:4,nic:1", lambda text: _parse_gres(text))
BOOL = Kind("YES or NO", _parse_bool, shown="yes or no")
ZERO_OR_ONE = Kind("1 or 0", _parse_bool, shown="number")
FLOAT = Kind("a number", _parse_number, shown="number")
PERCENT = Kind("a percentage", _parse_number, "percent", shown="fraction percent")
PORT = Kind("a port number, 1 to 65535", _parse_port, shown="number")
PORT_RANGE = Kind("a port range such as 60000-63000, 0-0 for any", _parse_port_range)
PATH = Kind("an absolute path (%n: node name, %h: host name)", _parse_path)
PATHS = Kind("absolute paths separated by commas", _parse_paths)
SECONDS = whole_number(0, 2**31 - 1, "seconds", "seconds")
SECONDS_OR_NO_LIMIT = number_or_no_limit(0, 2**31 - 1, "seconds", "seconds")
MINUTES = Kind("a whole number of minutes, 0 to 65533, or UNLIMITED", _parse_minutes, "minutes", "minutes")
DURATION = Kind(
    "a duration: minutes, [hours:]minutes:seconds or days-[hours[:minutes[:seconds]]]",
    lambda text: duration.parse(text) or 0,
    "duration",
    "duration",
)
TIME_LIMIT = Kind(
    "a time limit: minutes, [hours:]minutes:seconds, days-[hours[:minutes[:seconds]]] or UNLIMITED",
    _parse_time_limit,
    "duration",
    "duration",
)
MIB = Kind("a memory size in MiB, or with K, M, G, T", size.parse_mib, "MiB", "number")
MIB_OR_NO_LIMIT = Kind(
    "a memory size in MiB or with K, M, G, T; 0: no limit", _parse_memory, "MiB", "number or unlimited"
)
#: For a value that may say "no limit" against a limit from elsewhere: 0.
MIB_OR_ZERO = Kind("a memory size in MiB or with K, M, G, T; 0: no limit", lambda text: _parse_memory(text) or 0, "MiB")
PARAMETERS = Kind("words separated by commas, each NAME or NAME=VALUE", _parse_parameters)
WEIGHTS = Kind("weights such as CPU=1.0,Mem=0.25G,GRES/gpu=2", _parse_weights)
COUNTS = Kind("names with counts such as matlab:10,ansys:4", _parse_counts)
COUNT_WITH_UNIT = Kind("a count, or with K, M, G, T, P", parse_count_with_unit)
EXIT_CODES = Kind("exit codes such as 1-3,9", _parse_exit_codes)
SAMPLE_INTERVAL = Kind("seconds, or task=SECONDS", _parse_sample_interval, "seconds", "text")
USER = Kind("a user name or uid", str, shown="user")
DEBUG_LEVEL = Kind("one of " + ", ".join(DEBUG_LEVELS), _parse_debug_level, shown="canonical")
#: Not a key of the file: `scontrol show config` reports it.
REPORTED = Kind("nothing: reported, not configured", str, shown="reported")


def _checked_name(text: str) -> str:
    if not text or re.search(r"[\s,=\[\]/]", text):
        raise ValueError(f"{text!r} is no name")
    return text


def _parse_gres(text: str) -> tuple[tuple[str, str, int], ...]:
    # A "no_consume" resource is counted like any other here.
    if text.lower() == "(null)":
        return ()
    return gres_spec.merge(gres_spec.parse(text.replace(":no_consume", "")))
