"""--cpu-bind: what the tasks of a step are bound to.

    value  := word { "," word } [ "," list ]         the last word of a kind counts
    word   := "v[erbose]" | "q[uiet]" | "none" | "no" | "rank" | "rank_ldom"
            | "sockets" | "cores" | "threads" | "ldoms" | list
    list   := ("map_cpu:" | "map_ldom:") number { "," number } | ("mask_cpu:" | "mask_ldom:") mask { "," mask }
    number := digits [ "*" repeats ]                 mask := hex digits, with or without 0x, [ "*" repeats ]

Numbers and masks are the kernel's.  A light module.  Source: CONTRACT section 4; spellings tried with Slurm 22.05.
"""

from __future__ import annotations

from typing import NamedTuple

from .errors import InvalidRequest

#: Kinds whose masks are worked out from where the CPUs are.
DEALT_KINDS = ("sockets", "cores", "threads", "ldoms")
_LISTS = {"map_cpu": 10, "mask_cpu": 16, "map_ldom": 10, "mask_ldom": 16}
_PLAIN = ("none", "rank", "rank_ldom", *DEALT_KINDS)
_REPEATS_MAX = 65536


class CpuBind(NamedTuple):
    """kind: "" where nothing is said.  values: of a map or mask, repeats written out.  listed: as written."""

    kind: str = ""
    values: tuple[int, ...] = ()
    listed: str = ""
    is_verbose: bool = False

    @property
    def is_manual(self) -> bool:
        return self.kind not in ("", *DEALT_KINDS)


def parse(text: str) -> CpuBind:
    """Return what *text* says.  Raises InvalidRequest with the word that is wrong."""
    bind = CpuBind()
    words = text.split(",")
    while words:
        word = words.pop(0)
        name, colon, first = word.partition(":")
        lowered = name.lower()
        if lowered in _LISTS:
            listed = ",".join([first, *words])
            bind = bind._replace(kind=lowered, listed=listed, values=_values(lowered, listed))
            break
        if colon:
            raise _unknown(word)
        bind = _with_word(bind, lowered, word)
    return bind


def format(bind: CpuBind) -> str:
    """Return the type with its list as SLURM_CPU_BIND has it: "mask_cpu:0x3,0xC", "none"."""
    return type_of(bind) + bind.listed


def type_of(bind: CpuBind) -> str:
    """Return the type as SLURM_CPU_BIND_TYPE has it: "mask_cpu:", "none"."""
    return f"{bind.kind}:" if bind.kind in _LISTS else bind.kind


def _with_word(bind: CpuBind, word: str, written: str) -> CpuBind:
    if word in ("v", "verbose"):
        return bind._replace(is_verbose=True)
    if word in ("q", "quiet"):
        return bind._replace(is_verbose=False)
    kind = "none" if word == "no" else word
    if kind not in _PLAIN:
        raise _unknown(written)
    return bind._replace(kind=kind, values=(), listed="")


def _values(kind: str, listed: str) -> tuple[int, ...]:
    if not listed:
        raise InvalidRequest(f'missing list for "--cpu-bind={kind}:<list>"', "cpu_bind")
    base = _LISTS[kind]
    values: list[int] = []
    for item in listed.split(","):
        word, star, repeats = item.partition("*")
        digits = word[2:] if base == 16 and word[:2].lower() == "0x" else word
        values += [_number(digits, base)] * (_number(repeats, 10) if star else 1)
        if len(values) > _REPEATS_MAX:
            raise InvalidRequest(f"--cpu-bind={kind}: more than {_REPEATS_MAX} tasks are listed", "cpu_bind")
    return tuple(values)


def _number(digits: str, base: int) -> int:
    allowed = "0123456789abcdef"[:base]
    wrong = next((letter for letter in digits if letter.lower() not in allowed), "")
    if wrong or not digits or (base == 10 and len(digits) > 6) or len(digits) > 1024:
        raise InvalidRequest(
            f"Failed to validate number: {digits[:40]}, the offending character is {wrong}", "cpu_bind"
        )
    return int(digits, base)


def _unknown(word: str) -> InvalidRequest:
    return InvalidRequest(f'unrecognized --cpu-bind argument "{word}"', "cpu_bind")
