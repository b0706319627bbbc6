"""Which ranks run on which node of a step, and how MPI libraries are told.  Pure.

Source: MPICH, "PMI_process_mapping": blocks (first node, nodes, ranks on each), read in the order of ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sluice import cpuset
from sluice.errors import InvalidRequest

if TYPE_CHECKING:
    from sluice.model.step import Step, StepNode
    from sluice.wire.messages import StepPart

#: The longest value that PMI clients have room for.
VALUE_MAX = 1024
#: Of a step over several components, where srun says which there are.
RANKS_MAX = 1 << 18


class Layout(NamedTuple):
    """ranks: of each node, ascending, in the order of the step's nodes; position: which of them is this one.

    nodes: no name twice.  components: of each node, in a step over several components; none: the step has one program.
    """

    nodes: tuple[str, ...]
    ranks: tuple[tuple[int, ...], ...]
    position: int
    components: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return sum(map(len, self.ranks))

    @property
    def own_ranks(self) -> tuple[int, ...]:
        return self.ranks[self.position]

    @property
    def appnum(self) -> int:
        """Return which of the step's programs this node runs."""
        return self.component_of(self.position)

    def component_of(self, index: int) -> int:
        return self.components[index] if self.components else 0

    def index_of(self, rank: int) -> int:
        """Return the node of *rank*.  Raises ValueError when the step has no such rank."""
        for index, ranks in enumerate(self.ranks):
            if rank in ranks:
                return index
        raise ValueError(f"rank {rank} of {self.size}")


def layout_of(step: Step, node: str, parts: Sequence[StepPart] = ()) -> Layout:
    """Return the layout of *step* as *node* sees it; of several *parts*, that of the whole, of which *step* is one.

    A node that has a share in two components has two step daemons: to the programs these are two nodes, the later of
    which is "n1+2" for component 2.  The parts are srun's word: raises InvalidRequest for what cannot be.
    """
    if not parts:
        nodes = tuple(own.node for own in step.nodes)
        return Layout(nodes, tuple(_ranks(own) for own in step.nodes), nodes.index(node))
    places = [(number, own) for number, part in enumerate(parts) for own in part.nodes]
    component = next((number for number, part in enumerate(parts) if part.nodes == step.nodes), None)
    if component is None or parts[component].job_id != step.job_id:
        raise InvalidRequest(f"step {step.job_id}.{step.step_id} is none of the parts that it is said to have")
    _check_ranks([own.ranks for _, own in places])
    position = next(index for index, (number, own) in enumerate(places) if (number, own.node) == (component, node))
    names: list[str] = []
    for number, own in places:
        names.append(own.node if own.node not in names else f"{own.node}+{number}")
    ranks = tuple(_ranks(own) for _, own in places)
    return Layout(tuple(names), ranks, position, tuple(number for number, _ in places))


def _check_ranks(texts: Sequence[str]) -> None:
    """Raise InvalidRequest for more ranks than can be, before they are written out, and for one that is two tasks'."""
    seen = 0
    for text in texts:
        if any(len(number) > len(str(RANKS_MAX)) for number in text.replace("-", ",").split(",")):
            raise InvalidRequest(f"ranks {text[:40]!r}: a step over several components has at most {RANKS_MAX}")
        ranks = cpuset.parse(text)
        if ranks >> RANKS_MAX or ranks & seen:
            raise InvalidRequest(f"ranks {text[:40]!r}: each belongs to one task, at most {RANKS_MAX} in all")
        seen |= ranks


def _ranks(own: StepNode) -> tuple[int, ...]:
    return tuple(cpuset.numbers(cpuset.parse(own.ranks)))


def process_mapping(ranks: Sequence[Sequence[int]]) -> str:
    """Return "(vector,(0,2,4))": nodes 0 and 1 have four ranks each; empty: it does not fit into a value.

    Readers start again at the first block when ranks are left, so a repeated pattern is written once.
    """
    node_by_rank = {rank: node for node, own in enumerate(ranks) for rank in own}
    runs = _runs([node_by_rank[rank] for rank in sorted(node_by_rank)])
    for blocks in (_blocks(runs), _blocks(_pattern(runs))):
        text = f"(vector,{','.join(f'({first},{nodes},{count})' for first, nodes, count in blocks)})"
        if len(text) <= VALUE_MAX:
            return text
    return ""


def _runs(nodes: Sequence[int]) -> list[tuple[int, int]]:
    """Return (node, neighbouring ranks on it)."""
    runs: list[tuple[int, int]] = []
    for node in nodes:
        if runs and runs[-1][0] == node:
            runs[-1] = (node, runs[-1][1] + 1)
        else:
            runs.append((node, 1))
    return runs


def _pattern(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the shortest start of *runs* that, repeated, begins with all of them."""
    return next((runs[:size] for size in range(1, len(runs)) if _is_repeated(runs, size)), runs)


def _is_repeated(runs: list[tuple[int, int]], size: int) -> bool:
    last = len(runs) - 1
    full = all(run == runs[index % size] for index, run in enumerate(runs[:last]))
    node, count = runs[last % size]
    # The last run may be cut short by the last rank.
    return full and runs[last][0] == node and runs[last][1] <= count


def _blocks(runs: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Return (first node, nodes, ranks on each) for neighbouring nodes that have equally many."""
    blocks: list[tuple[int, int, int]] = []
    for node, count in runs:
        if blocks and blocks[-1][2] == count and node == blocks[-1][0] + blocks[-1][1]:
            first, nodes, _ = blocks[-1]
            blocks[-1] = (first, nodes + 1, count)
        else:
            blocks.append((node, 1, count))
    return blocks
