"""Heterogeneous jobs on the command line: components apart by a lone ":" or by #SBATCH hetjob, and what they inherit.

Of each source a component's options follow those that its predecessor hands on; so what the first component is told
of its name, account, times and files holds for all, and how large it is holds for itself.

Source: Slurm's heterogeneous job guide for what is handed on, and what release 22.05 was seen to do.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sluice_cli.getopt import Found, OptionTable

SEPARATOR = ":"
#: Options that say the same of the components that follow, unless those say otherwise.
_HANDED_ON = frozenset(
    (
        *("account", "acctg-freq", "begin", "chdir", "cluster", "cluster-constraint", "comment", "deadline"),
        *("delay-boot", "dependency", "distribution", "error", "exclude", "export", "export-file", "get-user-env"),
        *("gid", "hold", "ignore-pbs", "immediate", "input", "job-name", "kill-on-invalid-dep", "mcs-label", "nice"),
        *("launch", "mpi", "no-kill", "no-requeue", "open-mode", "output", "parsable", "priority", "profile"),
        *("propagate", "qos", "quiet", "requeue", "reservation", "resv-ports", "signal", "time", "time-min", "uid"),
        *("verbose", "wait", "wckey"),
    )
)
_GROUP = "_HET_GROUP_"


def parse(table: OptionTable, words: Sequence[str]) -> tuple[list[Found], list[str]]:
    """Return the options of each component, and the words after the last one's.  Raises UsageError."""
    found, positionals = table.parse(words)
    components = [found]
    while positionals[:1] == [SEPARATOR]:
        found, positionals = table.parse(positionals[1:])
        components.append(found)
    return components, positionals


def hand_on(components: Sequence[Found]) -> list[Found]:
    """Return each component's options after those that the one before it hands on."""
    complete: list[Found] = []
    for found in components:
        before = complete[-1] if complete else []
        complete.append([each for each in before if each[0] in _HANDED_ON] + list(found))
    return complete


def pair(directives: Sequence[Found], command_line: Sequence[Found]) -> list[tuple[Found, Found]]:
    """Return (directives, options) of each component; there are as many as the longer of the two has."""
    count = max(len(directives), len(command_line))
    sources = [[*source, *[[] for _ in range(count - len(source))]] for source in (directives, command_line)]
    return list(zip(*map(hand_on, sources), strict=True))


def group_environment(environment: Mapping[str, str], group: int) -> dict[str, str]:
    """Return the environment of a heterogeneous job as if its component of that number were all of it."""
    suffix = f"{_GROUP}{group}"
    described = {name.partition(_GROUP)[0] for name in environment if _GROUP in name}
    kept = {name: value for name, value in environment.items() if name not in described}
    own = {name.removesuffix(suffix): value for name, value in environment.items() if name.endswith(suffix)}
    return kept | own
