"""How long a step takes, ours beside Debian's Slurm, in turn: inside an allocation, and with one of its own.

Inside, one `salloc` of all nodes runs a shell loop of `srun`; outside, the loop runs on an idle cluster.  Told is the
loop's wall time for each srun, from its start to its exit.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from bench.cluster import exit_on_sigterm
from bench.machine import headline, print_table, spread
from bench.rivals import CPUS, NODES, OURS, SLURM, Rival
from bench.slurm_peer import PeerUnavailable, check_available

_STEPS = (("1 task", ("-N1", "-n1")), (f"{NODES * CPUS} tasks on {NODES} nodes", (f"-N{NODES}", f"-n{NODES * CPUS}")))
#: With an allocation of its own; 64 tasks share the CPUs that there are.
_ALONE = (
    ("srun -n1 true", ("-n1", "true")),
    ("srun -n8 true", ("-n8", "true")),
    (f"srun -N{NODES} -n64 -O hostname", (f"-N{NODES}", "-n64", "-O", "hostname")),
)
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
    headline(f"`srun` in a loop of {options.steps}; median (least-most) of {options.rounds} rounds")
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for rival in (OURS, SLURM):
            for name, milliseconds in _measure(rival, options.steps):
                found.setdefault((name, rival.name), []).append(milliseconds)
    print_table(("step", "ours ms", "slurm ms", "ours takes"), [_row(found, name) for name, _ in (*_STEPS, *_ALONE)])


def _row(found: dict[tuple[str, str], list[float]], name: str) -> tuple[str, str, str, str]:
    ours, slurm = found[name, OURS.name], found[name, SLURM.name]
    ratio = statistics.median(one / other for one, other in zip(ours, slurm, strict=True))
    return name, spread(ours), spread(slurm), f"{ratio:.2f} x"


def _measure(rival: Rival, steps: int) -> list[tuple[str, float]]:
    with rival.make() as cluster:
        inside = [(name, _loop(rival, cluster.environment, options, steps)) for name, options in _STEPS]
        return inside + [(name, _loop_alone(rival, cluster.environment, words, steps)) for name, words in _ALONE]


def _loop_alone(rival: Rival, environment: dict[str, str], words: tuple[str, ...], steps: int) -> float:
    """Return milliseconds a srun that gets an allocation for itself."""
    began = time.perf_counter()
    for _ in range(steps):
        subprocess.run(
            [f"{rival.commands}/srun", *words],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
            check=True,
        )
    return (time.perf_counter() - began) * 1000 / steps


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
