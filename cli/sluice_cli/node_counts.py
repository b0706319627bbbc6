"""How many nodes a request is for, and which of the named ones stay: -N, -n, -w and --ntasks-per-node together.

The rule is one for sbatch, salloc and srun but for one line: of a list that is longer than -N allows, srun keeps the
first nodes, while the others refuse it.  What is excluded (-x) does not count here: the controller refuses a node that
is still named afterwards.

Source: Slurm 22.05, observed with 768 combinations of these options for each command, on three nodes.
"""

from __future__ import annotations

from sluice import hostlist
from sluice_cli.draft import REFUSED_EXIT, OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class NodeCounts:
    """At least *low* and at most *high* (0: any number of) nodes, the *named* ones among them."""

    __slots__ = ("high", "low", "named")

    def __init__(self, low: int = 1, high: int = 0, named: Sequence[str] = ()) -> None:
        self.low = low
        self.high = high
        #: In the order of the list; a list for tasks names a node more than once.
        self.named = list(named)


def settle_nodes(
    asked: NodeCounts, ntasks: int = 0, ntasks_per_node: int = 0, *, is_srun: bool = False
) -> tuple[NodeCounts, list[str]]:
    """Return the counts that all options together come to, and the lines that the user gets to see of it.

    asked: as -N and -w say.  ntasks: 0 without -n.  ntasks_per_node: 0 unless it is to tell how many nodes -n needs.
    Raises OptionError for more names than nodes.
    """
    low, high, named, lines = asked.low, asked.high, asked.named, []
    count = len(set(named))
    if high and count > high:
        if not is_srun:
            raise _too_many_names(count, high)
        lines.append(
            f"error: Required nodelist includes more nodes than permitted by max-node count ({count} > {high}). "
            "Eliminating nodes from the nodelist."
        )
        named = list(dict.fromkeys(named))[:high]
        count = high
    low = max(low, count)
    if not ntasks:
        return NodeCounts(low, high, named), lines
    if ntasks_per_node:
        low = max(low, -(-ntasks // ntasks_per_node))
    if low > ntasks:
        lines.append(f"Warning: can't run {ntasks} processes on {low} nodes, setting nnodes to {ntasks}")
        low, high = ntasks, ntasks if high else 0
        named = named if count <= ntasks else hostlist.expand(hostlist.fold(named))[:ntasks]
    return NodeCounts(low, high, named), lines


def _too_many_names(count: int, high: int) -> OptionError:
    words = f"-w names {count} nodes, -N allows {high}"
    # The second line is Slurm's, which shows a range that nobody typed.
    return OptionError(words, f"invalid number of nodes (-N {count}-{high})", exit_code=REFUSED_EXIT)
