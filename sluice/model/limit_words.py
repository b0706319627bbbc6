"""The words for limits that keep a job waiting: one row a pattern of CONTRACT section 14, one column a kind of TRES.

A key is "Assoc" or "QOS" with the limit as sacctmgr calls it ("AssocGrpTRES", "QOSMaxTRESPerUser"); with the TRES it
gives the word that squeue prints.  Memory is Mem in association words and mostly Memory in QOS ones; only the limits
that were there before TRES end in Limit.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

#: Type of TRES -> how words spell it; a type that is none of these is Unknown.
_SPELLINGS = {
    "cpu": "Cpu",
    "mem": "Mem",
    "node": "Node",
    "gres": "GRES",
    "license": "License",
    "billing": "Billing",
    "bb": "BB",
    "energy": "Energy",
    "": "Unknown",
}
_LONG_MEMORY = {"mem": "Memory"}
_OLD_MINUTES = {"cpu": "CPU"}


class _Pattern(NamedTuple):
    """template: with the TRES in braces.  limited: the types whose word ends in Limit.  other: odd spellings."""

    template: str
    limited: tuple[str, ...] = ()
    other: Mapping[str, str] = MappingProxyType({})


_PATTERNS: dict[str, _Pattern] = {
    "AssocGrpTRES": _Pattern("AssocGrp{}", ("cpu", "mem", "node")),
    "AssocGrpTRESMins": _Pattern("AssocGrp{}Minutes", ("cpu",), _OLD_MINUTES),
    "AssocGrpTRESRunMins": _Pattern("AssocGrp{}RunMinutes", ("cpu",), _OLD_MINUTES),
    "AssocMaxTRESPerJob": _Pattern("AssocMax{}PerJob", ("cpu", "node")),
    "AssocMaxTRESMinsPerJob": _Pattern("AssocMax{}MinutesPerJob", ("cpu",)),
    "AssocMaxTRESPerNode": _Pattern("AssocMax{}PerNode"),
    "QOSGrpTRES": _Pattern("QOSGrp{}", ("cpu", "mem", "node")),
    "QOSGrpTRESMins": _Pattern("QOSGrp{}Minutes", ("cpu",), _OLD_MINUTES | _LONG_MEMORY),
    "QOSGrpTRESRunMins": _Pattern("QOSGrp{}RunMinutes", ("cpu",), _OLD_MINUTES | _LONG_MEMORY),
    "QOSMaxTRESPerJob": _Pattern("QOSMax{}PerJob", ("cpu", "node"), _LONG_MEMORY),
    "QOSMaxTRESMinsPerJob": _Pattern("QOSMax{}MinutesPerJob", ("cpu",), _LONG_MEMORY),
    "QOSMaxTRESPerNode": _Pattern("QOSMax{}PerNode", (), _LONG_MEMORY),
    "QOSMaxTRESPerUser": _Pattern("QOSMax{}PerUser", ("cpu", "node"), _LONG_MEMORY),
    "QOSMaxTRESPerAccount": _Pattern("Max{}PerAccount", (), _LONG_MEMORY),
    "QOSMinTRESPerJob": _Pattern("QOSMin{}", (), _LONG_MEMORY | {"cpu": "CpuNotSatisfied"}),
    "MaxTRESRunMinsPerUser": _Pattern("Max{}RunMinsPerUser", (), _LONG_MEMORY),
    "MaxTRESRunMinsPerAccount": _Pattern("Max{}RunMinsPerAccount", (), _LONG_MEMORY),
}

#: Limits that count jobs or time.
_WORDS: dict[str, str] = {
    "AssocGrpJobs": "AssocGrpJobsLimit",
    "AssocGrpSubmitJobs": "AssocGrpSubmitJobsLimit",
    "AssocGrpWall": "AssocGrpWallLimit",
    "AssocMaxJobs": "AssocMaxJobsLimit",
    "AssocMaxSubmitJobs": "AssocMaxSubmitJobLimit",
    "AssocMaxWall": "AssocMaxWallDurationPerJobLimit",
    "QOSGrpJobs": "QOSGrpJobsLimit",
    "QOSGrpSubmitJobs": "QOSGrpSubmitJobsLimit",
    "QOSGrpWall": "QOSGrpWallLimit",
    "QOSMaxJobsPerUser": "QOSMaxJobsPerUserLimit",
    "QOSMaxSubmitJobsPerUser": "QOSMaxSubmitJobPerUserLimit",
    "QOSMaxWall": "QOSMaxWallDurationPerJobLimit",
    "QOSMaxJobsPerAccount": "MaxJobsPerAccount",
    "QOSMaxSubmitJobsPerAccount": "MaxSubmitJobsPerAccount",
}


def limit_word(key: str, tres: str = "") -> str:
    """Return the word for a limit; tres: the name of what is limited ("cpu", "gres/gpu"), if the limit is of TRES."""
    pattern = _PATTERNS.get(key)
    return _WORDS[key] if pattern is None else _spell(pattern, tres.partition("/")[0])


def all_limit_words() -> tuple[str, ...]:
    """Return every word that limit_word() can give."""
    words = [_spell(pattern, kind) for pattern in _PATTERNS.values() for kind in _SPELLINGS]
    return (*_WORDS.values(), *words)


def member_name(word: str) -> str:
    """Return the word as the name of an enum's member: AssocGrpCPUMinutesLimit -> ASSOC_GRP_CPU_MINUTES_LIMIT."""
    letters = []
    for place, letter in enumerate(word):
        before, after = word[place - 1 : place], word[place + 1 : place + 2]
        if letter.isupper() and place and (before.islower() or after.islower()):
            letters.append("_")
        letters.append(letter.upper())
    return "".join(letters)


def _spell(pattern: _Pattern, kind: str) -> str:
    kind = kind if kind in _SPELLINGS else ""
    word = pattern.template.format(pattern.other.get(kind, _SPELLINGS[kind]))
    return f"{word}Limit" if kind in pattern.limited else word
