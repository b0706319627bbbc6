"""--gpu-bind: which of a step's GPUs each of its tasks has.

    value := [ ("v[erbose]" | "q[uiet]") "," ] kind
    kind  := "none" | "closest" | "single:" tasks | "per_task:" gpus
           | ("map_gpu:" | "map:") number { "," number } | ("mask_gpu:" | "mask:") mask { "," mask }

Lists may repeat with "*".  Numbers count the job's GPUs on the node, from 0.  A light module.
Source: CONTRACT section 2.3.
"""

from __future__ import annotations

from typing import NamedTuple

from . import cpu_bind
from .errors import InvalidRequest

_LISTS = {"map_gpu": "map_ldom", "map": "map_ldom", "mask_gpu": "mask_ldom", "mask": "mask_ldom"}
_COUNT_DIGITS_MAX = 5


class GpuBind(NamedTuple):
    """kind: "" where nothing is said.  size: of single and per_task; values: of map_gpu and mask_gpu."""

    kind: str = ""
    size: int = 0
    values: tuple[int, ...] = ()
    is_verbose: bool = False


def parse(text: str) -> GpuBind:
    """Return what *text* says.  Raises InvalidRequest."""
    word, comma, rest = text.partition(",")
    is_verbose = word.lower() in ("v", "verbose")
    is_quiet = word.lower() in ("q", "quiet")
    kind, _, value = (rest if is_verbose or is_quiet else text).partition(":")
    kind = kind.lower()
    if (is_verbose or is_quiet) and not comma:
        return GpuBind(is_verbose=is_verbose)
    if kind in ("none", "closest") and not value:
        return GpuBind(kind, is_verbose=is_verbose)
    if kind in ("single", "per_task") and _is_count(value):
        return GpuBind(kind, int(value), is_verbose=is_verbose)
    if kind not in _LISTS:
        raise _refusal(text)
    try:
        values = cpu_bind.parse(f"{_LISTS[kind]}:{value}").values
    except InvalidRequest:
        raise _refusal(text) from None
    return GpuBind("map_gpu" if kind.startswith("map") else "mask_gpu", 0, values, is_verbose)


def _is_count(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= _COUNT_DIGITS_MAX and int(value) > 0


def _refusal(text: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid --gpu-bind argument: gpu:{text[:80]}", "gpu_bind")
