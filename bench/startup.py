"""How long commands take to start, against a bare interpreter: whole processes, in turn.

The ratio is taken pair by pair, so that a machine whose speed drifts does not move it.  Byte code is cached, as it is
for an installed program.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time

from bench.cluster import BIN_FOLDER, BenchCluster, exit_on_sigterm
from bench.machine import headline, print_table, spread

_BARE = [sys.executable, "-c", "pass"]
_COMMANDS = (
    ("squeue",),
    ("sinfo",),
    ("sbatch", "--version"),
    ("sbatch", "--parsable", "--hold", "-o", "/dev/null", "--wrap", "true"),
    ("scancel", "--version"),
    ("scontrol", "ping"),
    ("sacct",),
    ("srun", "--version"),
    ("sluice", "--version"),
)
_IMPORTTIME = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|(\s+)(\S+)")


def main() -> None:
    exit_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    headline(f"whole commands against `python -c pass`; median (least-most) of {options.rounds} pairs")
    with BenchCluster(1, 2, is_emulated=True) as cluster:
        rows = [row for command in _COMMANDS if (row := _measure(cluster.environment, command, options.rounds))]
        print_table(("command", "ms", "bare interpreter ms", "ratio"), rows)
        print("what `squeue` imports (python -X importtime): the most expensive by themselves")
        print_table(("module", "own us", "with what it imports us"), _imports(cluster.environment, "squeue"))


def _measure(environment: dict[str, str], command: tuple[str, ...], rounds: int) -> tuple[str, str, str, str] | None:
    whole = [str(BIN_FOLDER / command[0]), *command[1:]]
    failure = _failure(environment, whole)
    if failure:
        return " ".join(command), failure, "-", "-"
    times_ms, bare_ms = [], []
    for _ in range(rounds):
        times_ms.append(_wall_ms(environment, whole))
        bare_ms.append(_wall_ms(environment, _BARE))
    ratio = statistics.median(one / bare for one, bare in zip(times_ms, bare_ms, strict=True))
    return " ".join(command[:2]), spread(times_ms, 1), spread(bare_ms, 1), f"{ratio:.2f}"


def _failure(environment: dict[str, str], command: list[str]) -> str:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error.strerror)
    last = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
    return f"fails: {last[0][:60]}" if done.returncode else ""


def _wall_ms(environment: dict[str, str], command: list[str]) -> float:
    began_s = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return (time.perf_counter() - began_s) * 1000


def _imports(environment: dict[str, str], command: str, count: int = 12) -> list[tuple[str, str, str]]:
    """Return the modules that cost most, beyond those that every interpreter imports."""
    ours = _import_times(environment, [sys.executable, "-X", "importtime", str(BIN_FOLDER / command)])
    bare = _import_times(environment, [sys.executable, "-X", "importtime", "-c", "pass"])
    extra = {name: costs for name, costs in ours.items() if name not in bare}
    ordered = sorted(extra.items(), key=lambda item: -item[1][0])[:count]
    total = sum(own for own, _ in extra.values())
    return [(name, str(own), str(whole)) for name, (own, whole) in ordered] + [("all", str(total), "")]


def _import_times(environment: dict[str, str], command: list[str]) -> dict[str, tuple[int, int]]:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=os.sep)
    found = (_IMPORTTIME.match(line) for line in done.stderr.splitlines())
    return {match[4]: (int(match[1]), int(match[2])) for match in found if match}


if __name__ == "__main__":
    main()
