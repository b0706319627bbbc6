"""GRES specifications: generic resources of a node, a job or a step, by name, type and count.

    gres list = "" | "none" | entry { "," entry }
    entry     = [ "gres/" | "gres:" ] name [ ":" type ] [ (":" | "=") count ]
    gpu list  = gpu { "," gpu }                     --gpus: [type:]count
    count     = number [ "K" | "M" | "G" | "T" ]    powers of 1024, default 1

A specification is a tuple of (name, type, count), type "" when none is asked; order is as written.
A last word that reads as a count is one, so gpu:2 is two of any type and gpu:1g.10gb one of that type.
Which names and types exist is the configuration's to say.
"""

from __future__ import annotations

from sluice.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

Gres = tuple[str, str, int]  # name, type, count
GresSpec = tuple[Gres, ...]

_UNITS = "KMGT"
_DIGITS_MAX = 12
_NAME_EXTRAS = "_-.+"


def parse(text: str) -> GresSpec:
    """Return the (name, type, count) entries of *text*; none of them for "" and "none".

    Raises InvalidRequest if an entry has no name or a count that is no number.
    """
    if text.lower() in ("", "none"):
        return ()
    return tuple(_parse_entry(entry, text) for entry in text.split(","))


def parse_gpus(text: str) -> GresSpec:
    """Return the entries of a --gpus value: 2, a100:2, a100:2,v100:1; "gpu:2" is accepted as well."""
    entries = []
    for part in text.split(","):
        has_name = part == "gpu" or part.startswith(("gpu:", "gres/gpu", "gres:gpu"))
        entries.append(_parse_entry(part if has_name or not part else f"gpu:{part}", text))
    return tuple(entries)


def format_spec(spec: Iterable[Gres], prefix: str = "") -> str:
    """Return the notation of *spec*, each entry after *prefix* ("gres:" as scontrol shows TresPerNode)."""
    return ",".join(
        prefix + ":".join((name, kind, str(count)) if kind else (name, str(count))) for name, kind, count in spec
    )


def total(spec: Iterable[Gres], name: str, kind: str = "") -> int:
    """Return the count of *name* over all types, or of one type."""
    return sum(count for its_name, its_kind, count in spec if its_name == name and kind in ("", its_kind))


def merge(spec: Iterable[Gres]) -> GresSpec:
    """Return *spec* with entries of the same name and type added up, in order of first appearance."""
    counts: dict[tuple[str, str], int] = {}
    for name, kind, count in spec:
        counts[name, kind] = counts.get((name, kind), 0) + count
    return tuple((name, kind, count) for (name, kind), count in counts.items())


def scale(spec: Iterable[Gres], factor: int) -> GresSpec:
    """Return *spec* with every count times *factor*: per-node to per-job, per-task to per-node."""
    return tuple((name, kind, count * factor) for name, kind, count in spec)


def to_tres(spec: Iterable[Gres]) -> dict[str, int]:
    """Return the TRES counts of *spec*: gres/gpu over all types, and gres/gpu:a100 for each type named."""
    tres: dict[str, int] = {}
    for name, kind, count in spec:
        for key in (f"gres/{name}", f"gres/{name}:{kind}") if kind else (f"gres/{name}",):
            tres[key] = tres.get(key, 0) + count
    return tres


def _parse_entry(entry: str, text: str) -> Gres:
    bare = entry[5:] if entry.startswith(("gres/", "gres:")) else entry
    words = bare.replace("=", ":").split(":")
    name = words.pop(0)
    count = 1
    if words and (len(words) == 2 or words[-1].rstrip("KMGTkmgt").isdigit()):
        count = _parse_count(words.pop(), text)
    kind = words.pop() if words else ""
    if words or not _is_word(name) or name[0].isdigit() or (kind and not _is_word(kind)) or bare.endswith((":", "=")):
        raise _refusal(text, f"{entry[:40]!r} is not name[:type][:count]")
    return name, kind, count


def _parse_count(word: str, text: str) -> int:
    unit = word[-1:].upper()
    digits = word[:-1] if unit and unit in _UNITS else word
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX):
        raise _refusal(text, f"count {word[:40]!r} is not a number")
    return int(digits) << (10 * (_UNITS.index(unit) + 1) if digits != word else 0)


def _is_word(word: str) -> bool:
    return word.isascii() and word[:1].isalnum() and all(each.isalnum() or each in _NAME_EXTRAS for each in word)


def _refusal(text: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{text[:80]!r} is not a gres list: {problem}", code="invalid_gres")
