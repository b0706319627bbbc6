"""gres.conf and cgroup.conf, which lie beside the main file and may be absent."""

from __future__ import annotations

import re
from typing import Any, cast

from sluice import hostlist
from sluice.config.grammar import Line
from sluice.config.lines import LineReader
from sluice.config.problems import Problems
from sluice.config.records import GresLine
from sluice.config.schema import CGROUP, GRES_LINE
from sluice.errors import InvalidRequest
from sluice.model.confinement import CgroupSettings

#: GRES that stand for shares of a gpu: their Count is of all files together.
_SHARED_NAMES = frozenset({"mps", "shard"})


def build_gres(lines: tuple[Line, ...], problems: Problems) -> tuple[GresLine, ...]:
    """Return one record per line of gres.conf, files expanded."""
    reader = LineReader(GRES_LINE, problems)
    return tuple(each for line in lines if (each := _build_gres_line(line, reader)) is not None)


def build_cgroup(lines: tuple[Line, ...], problems: Problems) -> tuple[CgroupSettings, dict[str, str]]:
    """Return the settings of cgroup.conf and its keys with their texts as written."""
    reader = LineReader(CGROUP, problems)
    values: dict[str, object] = {}
    raw: dict[str, str] = {}
    for line in lines:
        values |= reader.read(line)
        raw |= {key.name: text for name, text in line.pairs if (key := CGROUP.find(name))}
    return CgroupSettings(**cast(Any, values)), raw


def _build_gres_line(line: Line, reader: LineReader) -> GresLine | None:
    problems = reader.problems
    values = reader.read(line)
    for field, key in (("files", "File"), ("multiple_files", "MultipleFiles")):
        if field in values:
            try:
                values[field] = tuple(hostlist.expand(str(values[field])))
            except InvalidRequest as error:
                problems.error(line.file, line.number, key, str(error))
                return None
    gres = GresLine(**cast(Any, values))
    if gres.files and gres.multiple_files:
        problems.error(line.file, line.number, "MultipleFiles", "excludes File; use one of the two")
    if not gres.name and not gres.auto_detect:
        problems.error(line.file, line.number, "Name", "missing; a line needs Name or AutoDetect")
    if gres.files and gres.count is not None and gres.name not in _SHARED_NAMES and gres.count != len(gres.files):
        story = f"{gres.count}, but File names {len(gres.files)}; leave Count out or make them equal"
        problems.error(line.file, line.number, "Count", story)
    if gres.cores and not re.fullmatch(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", gres.cores):
        problems.error(line.file, line.number, "Cores", f"core numbers such as 0-7,16 expected; {gres.cores!r}")
    return gres
