"""What a search costs on a large network: arranging, choosing nodes, and a whole pass of many jobs.

Nodes of 20 a leaf, 20 leaves a switch, half of them busy at random; blocks and groups are the leaves; the torus is as
near to a cube as it gets.  "place" is the choice without a topology, for comparison.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence

from bench.machine import headline, print_table, spread
from sluice.model.topology import Topology, TopologyUnit
from sluice_plugins.registry import Network
from sluicectld.scheduler.arrange import Arranger
from sluicectld.scheduler.needs import Needs
from sluicectld.scheduler.place import place

_LEAF = 20
_SWITCH = 20
_PLUGINS = ("tree", "block", "dragonfly", "torus3d")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for count in options.nodes:
        headline(f"one search among {count} nodes, half of them free; ms, median (least-most) of {options.rounds}")
        print_table(("nodes of the job", "place", *_PLUGINS), _rows(count, options.rounds))


def _rows(count: int, rounds: int) -> Iterator[tuple[str, ...]]:
    names = [f"n{number}" for number in range(count)]
    networks = {plugin: Network(_topology(plugin, names), names) for plugin in _PLUGINS}
    rng = random.Random(1)
    offers = [rng.randint(0, 1) for _ in names]
    arrangers = {plugin: Arranger(network, names) for plugin, network in networks.items()}
    candidates = list(range(count))
    for size in (2, 16, 128, 1024):
        needs = Needs(size, 1, size, size, has_task_count=True)
        yield (
            str(size),
            _timed(rounds, lambda needs=needs: place(candidates, offers.__getitem__, needs, frozenset())),
            *(
                _timed(rounds, lambda needs=needs, plugin=plugin: _search(arrangers[plugin], offers, needs))
                for plugin in _PLUGINS
            ),
        )


def _search(arranger: Arranger, offers: Sequence[int], needs: Needs) -> object:
    for near in arranger.lists(range(len(offers)), offers.__getitem__, needs, frozenset()):
        placement = place(near, offers.__getitem__, needs, frozenset())
        if placement is not None:
            return placement
    raise AssertionError(f"{needs.nodes_min} nodes: no placement")


def _timed(rounds: int, work: Callable[[], object]) -> str:
    times = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        work()
        times.append((time.perf_counter() - began_s) * 1000)
    return spread(times, 1)


def _topology(plugin: str, names: Sequence[str]) -> Topology:
    if plugin == "torus3d":
        return Topology(plugin=plugin, units=(_torus(names),))
    kind = "block" if plugin == "block" else "switch"
    leaves = [
        TopologyUnit(name=f"s{first // _LEAF}", kind=kind, nodes=tuple(names[first : first + _LEAF]))
        for first in range(0, len(names), _LEAF)
    ]
    if plugin != "tree":
        return Topology(plugin=plugin, units=tuple(leaves), block_sizes=(_LEAF, 4 * _LEAF, 16 * _LEAF))
    upper = [
        TopologyUnit(name=f"t{first // _SWITCH}", children=tuple(leaf.name for leaf in leaves[first : first + _SWITCH]))
        for first in range(0, len(leaves), _SWITCH)
    ]
    top = TopologyUnit(name="top", children=tuple(unit.name for unit in upper))
    return Topology(plugin=plugin, units=(*leaves, *upper, top))


def _torus(names: Sequence[str]) -> TopologyUnit:
    rows = max(each for each in range(1, round(len(names) ** (1 / 3)) + 1) if len(names) % each == 0)
    rest = len(names) // rows
    columns = max(each for each in range(1, round(rest**0.5) + 1) if rest % each == 0)
    return TopologyUnit(name="t", kind="torus", nodes=tuple(names), dimensions=(rows, columns, rest // columns))


if __name__ == "__main__":
    main()
