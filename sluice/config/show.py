"""What `scontrol show config` lists: one (key, value) per line, in the order of the schema's tables.

Values are shown in canonical form: 30 sec, 300 min, 7-00:00:00, Yes, name(uid), (null) for what is unset.
Facts that no file holds (BOOT_TIME, NEXT_JOB_ID ...) come from the caller.
Source: CONTRACT section 8.2, "Config", and samples of Slurm 22.05.
"""

from __future__ import annotations

import pwd
from collections.abc import Mapping

from sluice import duration
from sluice.config.key import Key
from sluice.config.records import ClusterConfig
from sluice.config.schema import CGROUP, CLUSTER

NULL = "(null)"
UNLIMITED = "UNLIMITED"
CGROUP_TITLE = "Cgroup Support Configuration:"
_KEY_WIDTH = 23
#: Keys that are printed in another case than the manual writes them in.
_PRINTED_NAMES = {"UsePAM": "UsePam"}
_UNITS = {
    "seconds": "sec",
    "seconds or infinite": "sec",
    "minutes": "min",
    "microseconds": "usec",
    "percent": "percent",
    "nodes per minute": "nodes/min",
    "megabytes": "MB",
}
#: What an empty list prints as, by the way of showing it.
_EMPTY = {"canonical empty": "", "canonical none": "none", "text or empty": "", "text or null type": "(null type)"}
_NO_LIMIT = {"INFINITE", "UNLIMITED", "-1"}


def config_entries(config: ClusterConfig, reported: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the cluster-wide (key, value) pairs.

    reported: values of BOOT_TIME, HASH_VAL, NEXT_JOB_ID, SLURM_VERSION and others that only the daemon knows;
    SLURM_CONF, JobDefaults and MULTIPLE_SLURMD are told by the configuration unless given here.
    """
    known = _reported_by(config) | dict(reported)
    entries: list[tuple[str, str]] = []
    for key in CLUSTER:
        if key.kind.shown == "reported":
            entries.append((key.name, known.get(key.name, NULL)))
        elif key.shown == "controllers":
            hosts = enumerate(config.settings.controllers)
            entries.extend((f"SlurmctldHost[{i}]", f"{host.name}({host.address})") for i, host in hosts)
        elif key.shown != "hidden" and _is_listed(key, config):
            entries.append((_PRINTED_NAMES.get(key.name, key.name), _cluster_value(key, config)))
    return entries


def cgroup_entries(config: ClusterConfig) -> list[tuple[str, str]]:
    """Return the (key, value) pairs of the section on cgroups."""
    return [(key.name, show_value(key, config.raw_cgroup)) for key in CGROUP if key.shown != "hidden"]


def format_entries(entries: list[tuple[str, str]]) -> str:
    """Return `Key<padding>= Value`, a line each."""
    return "\n".join(f"{key:<{_KEY_WIDTH}} = {value}" for key, value in entries)


def show_value(key: Key, raw: Mapping[str, str]) -> str:
    """Return how the value of *key* is printed; *raw*: key -> text as written."""
    text = raw.get(key.name, key.default)
    way = key.shown or key.kind.shown
    if not text:
        return _EMPTY.get(way, NULL)
    match way:
        case (
            "minutes"
            | "seconds"
            | "seconds or infinite"
            | "nodes per minute"
            | "microseconds"
            | "percent"
            | "megabytes"
        ):
            return text.upper() if text.upper() in _NO_LIMIT - {"-1"} else _with_unit(text, _UNITS[way])
        case "duration":
            seconds = key.parse(text)
            return duration.format_long(seconds if isinstance(seconds, int) else 0)
        case "yes or no":
            return "Yes" if key.parse(text) else "No"
        case "lower yes or no":
            return "yes" if key.parse(text) else "no"
        case "fraction percent":
            return f"{float(text.rstrip('%')):.1f}%"
        case "user":
            return show_user(text)
        case "lower":
            return text.lower()
        case "number or unlimited" | "per node" | "per cpu":
            return str(key.parse(text) or UNLIMITED)
        case "number" if key.kind.parse(text) in (True, False):
            return str(int(bool(key.parse(text))))
        case "canonical":
            return str(key.parse(text))
        case "canonical list" | "canonical none" | "canonical empty" | "upper list":
            return _show_words(key.parse(text), way)
        case _:
            return text


def show_user(text: str) -> str:
    """Return name(uid) of a user name or uid; what is unknown here is printed as given."""
    try:
        entry = pwd.getpwuid(int(text)) if text.isdecimal() else pwd.getpwnam(text)
    except KeyError:
        return text
    return f"{entry.pw_name}({entry.pw_uid})"


def _cluster_value(key: Key, config: ClusterConfig) -> str:
    settings = config.settings
    if key.name == "MaxNodeCount":
        return str(settings.nodes_max or len(config.nodes))
    if key.name == "PropagateResourceLimits" and not settings.propagate_resource_limits:
        return NULL
    if key.name == "AccountingStorageEnforce" and settings.accounting_storage_enforce:
        return ",".join(settings.accounting_storage_enforce)
    if key.name == "PrologFlags" and settings.prolog_flags:
        return ",".join(settings.prolog_flags)
    return show_value(key, config.raw_settings)


def _is_listed(key: Key, config: ClusterConfig) -> bool:
    """Of the per-CPU and per-node memory keys only the one in force is listed."""
    if key.shown not in ("per node", "per cpu"):
        return True
    per_cpu = key.name.replace("Node", "CPU")
    return (per_cpu in config.raw_settings) == (key.shown == "per cpu")


def _reported_by(config: ClusterConfig) -> dict[str, str]:
    raw = config.raw_settings
    defaults = [f"{key}={raw[key]}" for key in ("DefCpuPerGPU", "DefMemPerGPU") if key in raw]
    addresses = [node.address for node in config.nodes]
    return {
        "SLURM_CONF": config.path,
        "JobDefaults": ",".join(defaults) or NULL,
        "MULTIPLE_SLURMD": "Yes" if len(set(addresses)) < len(addresses) else "No",
    }


def _with_unit(text: str, unit: str) -> str:
    number = text.removesuffix(unit).strip()
    return "INFINITE" if number == "-1" else f"{number} {unit}"


def _show_words(words: object, way: str) -> str:
    assert isinstance(words, tuple), f"a list of words parses into a tuple, not {words!r}"
    text = ",".join(words)
    return (text.upper() if way == "upper list" else text) or _EMPTY.get(way, NULL)
