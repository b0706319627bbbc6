"""-m/--distribution: how tasks go to nodes, and the CPUs of a node to its tasks.

    value  := nodes [ ":" cpus [ ":" cpus ] ] [ "," ("Pack" | "NoPack") ]
    nodes  := "*" | "block" | "cyclic" | "plane=" size | "arbitrary"
    cpus   := "*" | "block" | "cyclic" | "fcyclic"     over sockets, then over the cores of a socket

cyclic deals task by task, fcyclic CPU by CPU.  Sockets are dealt to in turn unless something else is said; with planes,
which keep neighbours together, they are filled.  A light module.  Source: CONTRACT section 4.
"""

from __future__ import annotations

from typing import NamedTuple

from .errors import InvalidRequest

_NODES = ("*", "block", "cyclic", "plane", "arbitrary")
_CPUS = ("*", "block", "cyclic", "fcyclic")
_PLANE_DIGITS_MAX = 6


class Distribution(NamedTuple):
    """nodes: "" where nothing is said.  is_packed: None likewise."""

    nodes: str = ""
    plane_size: int = 0
    sockets: str = "cyclic"
    cores: str = "block"
    is_packed: bool | None = None


def parse(text: str) -> Distribution:
    """Return what *text* says; "" says nothing.  Raises InvalidRequest."""
    layout, _, pack = text.lower().partition(",")
    levels = [*layout.split(":"), "*", "*"]
    name, equals, size = levels[0].partition("=")
    if name == "plane" and not (size.isdecimal() and size.isascii() and int(size[:_PLANE_DIGITS_MAX]) > 0):
        raise InvalidRequest("Invalid plane size or size not specified", "distribution")
    is_known = len(levels) <= 5 and (name in _NODES or not text) and bool(equals) == (name == "plane")
    is_known = is_known and all(level in _CPUS for level in levels[1:-1])
    if not is_known or pack not in ("", "pack", "nopack"):
        raise InvalidRequest(
            f"{text!r} is not a distribution: block, cyclic, plane=SIZE or arbitrary over nodes, then :block, :cyclic "
            "or :fcyclic over sockets and again over cores, then ,Pack or ,NoPack",
            "distribution",
        )
    return Distribution(
        nodes="" if name == "*" else name,
        plane_size=int(size[:_PLANE_DIGITS_MAX]) if size else 0,
        sockets=("block" if name == "plane" else "cyclic") if levels[1] == "*" else levels[1],
        cores="block" if levels[2] == "*" else levels[2],
        is_packed=pack == "pack" if pack else None,
    )
