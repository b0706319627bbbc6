"""How long a step takes to launch inside an allocation, ours beside Debian's Slurm, in turn.

One `salloc` of all nodes runs a shell loop of `srun`; what is told is the loop's wall time for each srun, from its
start to its exit.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

from bench.cluster import exit_on_sigterm
from bench.machine import headline, print_table, spread
from bench.rivals import CPUS, NODES, OURS, SLURM, Rival
from bench.slurm_peer import PeerUnavailable, check_available

_STEPS = (("1 task", ("-N1", "-n1")), (f"{NODES * CPUS} tasks on {NODES} nodes", (f"-N{NODES}", f"-n{NODES * CPUS}")))
_LIMIT_S = 300.0


def main() -> None:
    exit_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="sruns of a loop")
    options = parser.parse_args()
    try:
        check_available()
    except PeerUnavailable as unavailable:
        sys.exit(f"step_launch: {unavailable}")
    headline(f"`srun true` in a loop of {options.steps} inside an allocation; median (least-most) of {options.rounds}")
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for rival in (OURS, SLURM):
            for name, milliseconds in _measure(rival, options.steps):
                found.setdefault((name, rival.name), []).append(milliseconds)
    print_table(("step", "ours ms", "slurm ms", "ours takes"), [_row(found, name) for name, _ in _STEPS])


def _row(found: dict[tuple[str, str], list[float]], name: str) -> tuple[str, str, str, str]:
    ours, slurm = found[name, OURS.name], found[name, SLURM.name]
    ratio = statistics.median(one / other for one, other in zip(ours, slurm, strict=True))
    return name, spread(ours), spread(slurm), f"{ratio:.2f} x"


def _measure(rival: Rival, steps: int) -> list[tuple[str, float]]:
    with rival.make() as cluster:
        return [(name, _loop(rival, cluster.environment, options, steps)) for name, options in _STEPS]


def _loop(rival: Rival, environment: dict[str, str], options: tuple[str, ...], steps: int) -> float:
    """Return milliseconds a srun, the first one left out."""
    srun = f"{rival.commands}/srun {' '.join(options)} true"
    script = (
        f"{srun} && began=$(date +%s%N); i=0; while [ $i -lt {steps} ]; do {srun} || exit 1; i=$((i+1)); done;"
        " echo $(($(date +%s%N) - began))"
    )
    allocate = [f"{rival.commands}/salloc", f"-N{NODES}", f"-n{NODES * CPUS}", "sh", "-c", script]
    done = subprocess.run(
        allocate, env=environment, cwd="/", capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"{rival.name}: salloc: {done.stderr.strip()[-300:]}")
    return int(done.stdout.split()[-1]) / 1e6 / steps


if __name__ == "__main__":
    main()
