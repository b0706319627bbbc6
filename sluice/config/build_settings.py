"""The cluster-wide lines to Settings, and what only makes sense of all of them together."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

from sluice.config.grammar import Line
from sluice.config.lines import LineReader, Values
from sluice.config.problems import Problems
from sluice.config.schema import CLUSTER
from sluice.config.settings import Controller, Settings

#: What PrologEpilogTimeout's default means in Slurm: wait for ever.
_PROLOG_FOR_EVER = 65534
#: Each word and what it brings along (slurm.conf's manual page).
_ENFORCE_BRINGS = {
    "all": ("associations", "limits", "qos", "safe", "wckeys"),
    "safe": ("limits", "associations"),
    "limits": ("associations",),
    "qos": ("associations",),
    "wckeys": ("associations",),
    "nojobs": ("nosteps",),
}
_PROLOG_BRINGS = {
    "Contain": ("Alloc",),
    "NoHold": ("Alloc",),
    "X11": ("Alloc", "Contain"),
    "RunInJob": ("Alloc", "Contain"),
}
#: Groups of keys of which one may have a value (0 and nothing are none).
_EXCLUSIVE_KEYS = (
    ("MaxMemPerCPU", "MaxMemPerNode"),
    ("DefMemPerCPU", "DefMemPerGPU", "DefMemPerNode"),
    ("PropagateResourceLimits", "PropagateResourceLimitsExcept"),
)
_UNIT_OF_ALLOCATION = re.compile(r"CR_(CPU|Core|Socket)(_Memory)?|CR_Memory")
_CONTROLLER = re.compile(r"([^\s()]+)(?:\(([^\s()]+)\))?")


class SettingsBuilder:
    """Collects cluster-wide lines; build() once all were seen."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self.raw: dict[str, str] = {}
        self._path = path
        self._problems = problems
        self._reader = LineReader(CLUSTER, problems)
        self._values: Values = {}
        self._controllers: list[Controller] = []
        self._line_by_key: dict[str, Line] = {}

    def add(self, line: Line) -> None:
        """Take one line of cluster-wide keys."""
        for pair in line.pairs:
            key = CLUSTER.find(pair[0])
            if key is None or key.field != "controllers":
                self._values |= self._reader.read(line, [pair])
            else:
                self._add_controller(line, pair[1])
            if key is None:
                continue
            earlier = self._line_by_key.setdefault(key.name, line)
            if earlier is not line and key.field != "controllers":
                story = f"stands already at {earlier.file}:{earlier.number}; this later value counts"
                self._problems.warning(line.file, line.number, key.name, story)
                self._line_by_key[key.name] = line
            if key.field == "controllers" and key.name in self.raw:
                self.raw[key.name] += "," + pair[1]
            else:
                self.raw[key.name] = pair[1]

    def default_port(self) -> int:
        """Return the port of nodes that name none."""
        return cast(int, self._values.get("slurmd_port", Settings().slurmd_port))

    def build(self, is_read: bool = True) -> Settings:
        """Return the settings; what is missing or contradictory is reported.  is_read: there was a file to read."""
        if is_read:
            self._check_needed()
        self._check_exclusive()
        values = self._values
        settings = Settings(**cast(Any, values))
        limit = settings.prolog_epilog_timeout_s
        enforce = _with_companions(settings.accounting_storage_enforce, _ENFORCE_BRINGS)
        values = values | {
            "controllers": tuple(self._controllers),
            "cluster_name": settings.cluster_name.lower(),
            "prolog_epilog_timeout_s": None if limit == _PROLOG_FOR_EVER else limit,
            "accounting_storage_enforce": tuple(word for word in enforce if word != "all"),
            "track_wckey": settings.track_wckey or "wckeys" in enforce,
            "prolog_flags": _with_companions(settings.prolog_flags, _PROLOG_BRINGS),
            "nodes_max": settings.nodes_max or None,
            "database_url": settings.database_url or f"sqlite:///{settings.state_save_location}/sluice.db",
            "key_file": str(self._path.parent / (settings.key_file or "sluice.key")),
        }
        if "propagate_resource_limits" not in values and settings.propagate_resource_limits_except:
            values["propagate_resource_limits"] = ()
        return Settings(**cast(Any, values))

    def _add_controller(self, line: Line, text: str) -> None:
        match = _CONTROLLER.fullmatch(text)
        if match is None:
            self._problems.error(line.file, line.number, "SlurmctldHost", f"name or name(address) expected; {text!r}")
            return
        self._controllers.append(Controller(match[1], match[2] or match[1]))

    def _check_needed(self) -> None:
        for key in ("ClusterName", "SlurmctldHost"):
            if key not in self._line_by_key:
                self._problems.error(str(self._path), 1, key, "missing; every configuration needs it")

    def _check_exclusive(self) -> None:
        for keys in _EXCLUSIVE_KEYS:
            chosen = [key for key in keys if self._values.get(CLUSTER.get(key).field)]
            if len(chosen) > 1:
                self._error(chosen[1], f"excludes {chosen[0]}; use one of the two")
        flags = cast("tuple[str, ...]", self._values.get("select_type_parameters", ()))
        units = [flag for flag in flags if _UNIT_OF_ALLOCATION.fullmatch(flag)]
        if len(units) > 1:
            self._error("SelectTypeParameters", f"{' and '.join(units)} exclude each other; use one of them")
        mode = cast("tuple[str, ...]", self._values.get("preempt_mode", ()))
        if "SUSPEND" in mode and "GANG" not in mode:
            self._error("PreemptMode", "SUSPEND needs GANG, which resumes what was suspended; use SUSPEND,GANG")

    def _error(self, key: str, message: str) -> None:
        line = self._line_by_key[key]
        self._problems.error(line.file, line.number, key, message)


def _with_companions(words: Collection[str], brings: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return *words* and all that they bring along, in alphabetical order."""
    found = set(words)
    while missing := {each for word in found for each in brings.get(word, ())} - found:
        found |= missing
    return tuple(sorted(found))
