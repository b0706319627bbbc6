"""Directives of other batch systems that sbatch understands: #PBS and #BSUB lines.

Only those with a plain counterpart count; the rest is passed over in silence, as a script written for another system
says much that has no meaning here.
"""

from __future__ import annotations

from sluice.errors import InvalidRequest
from sluice_cli.getopt import PlacedOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.getopt import Found

_PBS = {
    "-A": "account",
    "-a": "begin",
    "-e": "error",
    "-J": "array",
    "-t": "array",
    "-M": "mail-user",
    "-N": "job-name",
    "-o": "output",
    "-p": "nice",
    "-q": "partition",
}
_PBS_RESOURCES = {"walltime": "time", "nodes": "nodes", "select": "nodes", "mem": "mem", "pmem": "mem-per-cpu"}
_BSUB = {
    "-P": "account",
    "-e": "error",
    "-eo": "error",
    "-i": "input",
    "-J": "job-name",
    "-m": "nodelist",
    "-n": "ntasks",
    "-o": "output",
    "-oo": "output",
    "-q": "partition",
    "-W": "time",
}


def read(script: bytes, name: str) -> Found:
    """Return the options that #PBS and #BSUB lines at the head of *script* ask for.  name: for messages."""
    found: Found = []
    for number, line in enumerate(script.split(b"\n"), start=1):
        if line.strip() and not line.lstrip().startswith(b"#"):
            break
        text = line.decode("utf-8", "surrogateescape")
        asked: Found = []
        if text.startswith("#PBS"):
            asked = _read_words(_split(text[4:]), _PBS)
        elif text.startswith("#BSUB"):
            asked = _read_words(_split(text[5:]), _BSUB)
        found += [PlacedOption(*each, f"{name}: line {number}: {text.rstrip()}") for each in asked]
    return found


def _split(text: str) -> list[str]:
    from sluice import shell_words

    try:
        return shell_words.split(text)
    except InvalidRequest:
        return []


def _read_words(words: list[str], keys: dict[str, str]) -> Found:
    found: Found = []
    for flag, value in zip(words, [*words[1:], ""], strict=True):
        if flag == "-l" and keys is _PBS:
            found += _resources(value)
        elif flag in keys and value:
            found.append((keys[flag], value))
        elif flag in ("-h", "-H"):
            found.append(("hold", None))
    return found


def _resources(text: str) -> Found:
    """Return what `-l nodes=2:ppn=4,walltime=1:00:00` asks for."""
    found: Found = []
    for part in text.split(","):
        name, _, value = part.partition("=")
        count, *details = value.split(":") if name in ("nodes", "select") else [value]
        if name in _PBS_RESOURCES and count and (name not in ("nodes", "select") or count.isdigit()):
            memory = count.upper().removesuffix("B") if "mem" in name else count
            found.append((_PBS_RESOURCES[name], memory))
        for detail in details:
            key, _, number = detail.partition("=")
            if key in ("ppn", "mpiprocs") and number.isdigit():
                found.append(("ntasks-per-node", number))
    return found
