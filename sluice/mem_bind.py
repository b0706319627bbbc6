"""--mem-bind: which NUMA domains the memory of a step's tasks comes from.

    value := word { "," word } [ "," list ]
    word  := "v[erbose]" | "q[uiet]" | "none" | "no" | "local" | "rank" | "p[refer]" | "sort" | "nosort" | list
    list  := "map_mem:" number { "," number } | "mask_mem:" mask { "," mask }      each with "*" repeats

A light module.  Source: CONTRACT section 2.2; spellings tried with Slurm 22.05.
"""

from __future__ import annotations

from typing import NamedTuple

from . import cpu_bind
from .errors import InvalidRequest

_PLAIN = {"none": "none", "no": "none", "local": "local", "rank": "rank"}


class MemBind(NamedTuple):
    """kind: "" where nothing is said, else none, local, rank, map_mem or mask_mem."""

    kind: str = ""
    values: tuple[int, ...] = ()
    listed: str = ""
    is_preferred: bool = False
    is_sorted: bool = False
    is_verbose: bool = False


def parse(text: str) -> MemBind:
    """Return what *text* says.  Raises InvalidRequest."""
    bind = MemBind()
    words = text.split(",")
    while words:
        word = words.pop(0)
        name, colon, first = word.partition(":")
        if name.lower() in ("map_mem", "mask_mem"):
            return _with_list(bind, name.lower(), ",".join([first, *words]))
        if colon:
            raise _unknown(text)
        bind = _with_word(bind, word.lower(), text)
    return bind


def _with_list(bind: MemBind, kind: str, listed: str) -> MemBind:
    try:
        values = cpu_bind.parse(f"{kind.replace('_mem', '_ldom')}:{listed}").values
    except InvalidRequest as error:
        raise InvalidRequest(
            error.message.replace("cpu-bind", "mem-bind").replace("_ldom", "_mem"), "mem_bind"
        ) from None
    return bind._replace(kind=kind, listed=listed, values=values)


def type_of(bind: MemBind) -> str:
    """Return the type as SLURM_MEM_BIND_TYPE has it: "map_mem:", "local"."""
    return f"{bind.kind}:" if bind.listed else bind.kind


def format(bind: MemBind) -> str:
    """Return what SLURM_MEM_BIND has: "quiet,prefer,mask_mem:1"."""
    words = ["verbose" if bind.is_verbose else "quiet"] + (["prefer"] if bind.is_preferred else [])
    return ",".join([*words, type_of(bind) + bind.listed])


def _with_word(bind: MemBind, word: str, text: str) -> MemBind:
    if word in ("v", "verbose", "q", "quiet"):
        return bind._replace(is_verbose=word.startswith("v"))
    if word in ("p", "prefer"):
        return bind._replace(is_preferred=True)
    if word in ("sort", "nosort"):
        return bind._replace(is_sorted=word == "sort")
    if word not in _PLAIN:
        raise _unknown(text)
    return bind._replace(kind=_PLAIN[word], values=(), listed="")


def _unknown(text: str) -> InvalidRequest:
    return InvalidRequest(f'unrecognized --mem-bind argument "{text}"', "mem_bind")
