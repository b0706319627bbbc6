"""Dependency specifications: on which other jobs a job waits, afterok:12:13,singleton.

    dependencies = "" | entry { "," entry }     all must hold
                 | entry { "?" entry }          any one is enough
    entry        = [ kind ":" ] id { ":" id } | "singleton"
    kind         = "after" | "afterany" | "afterok" | "afternotok" | "aftercorr" | "afterburstbuffer" | "expand"
    id           = job [ "_" task | "_*" ] [ "+" minutes ]

The default kind is afterany; only after takes minutes.  A job number alone means the job, or all tasks of
the array of that number.  What an entry demands of the other job is the controller's to know.
"""

from __future__ import annotations

from sluice.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: kind, job id (0 for singleton), array task or None for the whole job, minutes to wait after the event
Dependency = tuple[str, int, int | None, int]

SINGLETON: Dependency = ("singleton", 0, None, 0)
KINDS = frozenset(["after", "afterany", "afterok", "afternotok", "aftercorr", "afterburstbuffer", "expand"])
#: Ids that one specification may name.
IDS_MAX = 10_000
_DIGITS_MAX = 10


def parse(text: str) -> tuple[tuple[Dependency, ...], bool]:
    """Return (dependencies, is_any) of *text*: one dependency per id, in written order.

    is_any: one of them is enough; otherwise all must hold.  No dependencies for "".
    Raises InvalidRequest, with the word that is wrong, if *text* is malformed or mixes "," and "?".
    """
    if not text:
        return (), False
    is_any = "?" in text
    if is_any and "," in text:
        raise _refusal(text, "',' (all of them) and '?' (any of them) do not go together")
    if text.count(":") > IDS_MAX:
        raise _refusal(text, f"{text.count(':')} jobs named, at most {IDS_MAX} are taken")
    dependencies: list[Dependency] = []
    for entry in text.split("?" if is_any else ","):
        dependencies.extend(_parse_entry(entry.strip()))
    return tuple(dependencies), is_any


def format_dependencies(dependencies: Iterable[Dependency], is_any: bool = False, states: Sequence[str] = ()) -> str:
    """Return the notation of *dependencies*, one entry per id: afterok:12,after:13_4+10.

    states: what squeue adds to each in parentheses, "unfulfilled" or "failed"; "" adds nothing.
    """
    entries = [_format_one(each) for each in dependencies]
    for place, state in enumerate(states):
        if state:
            entries[place] += f"({state})"
    return ("?" if is_any else ",").join(entries)


def job_ids(dependencies: Iterable[Dependency]) -> set[int]:
    """Return the jobs that *dependencies* name."""
    return {job_id for _, job_id, _, _ in dependencies if job_id}


def _parse_entry(entry: str) -> list[Dependency]:
    if entry.lower() == "singleton":
        return [SINGLETON]
    kind, *ids = entry.split(":")
    if kind[:1].isdigit():
        kind, ids = "afterany", [kind, *ids]
    kind = kind.lower()
    if kind not in KINDS:
        raise _refusal(entry, f"{kind[:20]!r} is none of {', '.join(sorted(KINDS))}, singleton")
    if not ids:
        raise _refusal(entry, f"{kind} of which job: {kind}:JOBID")
    return [_parse_id(kind, each, entry) for each in ids]


def _parse_id(kind: str, text: str, entry: str) -> Dependency:
    shown = text or entry
    name, plus, minutes = text.partition("+")
    job, underscore, task = name.partition("_")
    job_id = _number(job, shown, "a job id")
    if not job_id:
        raise _refusal(shown, "no job has the id 0")
    if plus and kind != "after":
        raise _refusal(shown, f"minutes (+{minutes[:20]}) go with after, not with {kind}")
    is_whole = not underscore or task == "*"
    task_id = None if is_whole else _number(task, shown, "the index of an array task")
    return kind, job_id, task_id, _number(minutes, shown, "a number of minutes") if plus else 0


def _number(digits: str, text: str, wanted: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX):
        raise _refusal(text, f"{digits[:20]!r} is not {wanted}")
    return int(digits)


def _format_one(dependency: Dependency) -> str:
    kind, job_id, task, minutes = dependency
    if dependency == SINGLETON:
        return kind
    name = str(job_id) if task is None else f"{job_id}_{task}"
    return f"{kind}:{name}+{minutes}" if minutes else f"{kind}:{name}"


def _refusal(text: str, problem: str) -> InvalidRequest:
    # The code's text is the one that users and tools know; CONTRACT section 15.
    return InvalidRequest(f"dependency {text[:80]!r}: {problem}", code="dependency")
