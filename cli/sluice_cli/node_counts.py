"""How many nodes a request is for, and which of the named ones stay: -N, -n, -w and --ntasks-per-node together.

The rule is one for sbatch, salloc and srun but for two lines: of a list that is longer than -N allows, srun keeps the
first nodes, while the others refuse it; and srun passes over a number of tasks per node that does not come out on the
nodes that are asked for, with a warning.  What is excluded (-x) does not count here: the controller refuses a node that
is still named afterwards.

Source: Slurm 22.05, observed with 768 combinations of these options for each command, on three nodes, and srun's number
of tasks per node with 324 more.
"""

from __future__ import annotations

from sluice import hostlist
from sluice_cli.draft import REFUSED_EXIT, OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class NodeCounts:
    """At least *low* and at most *high* (0: -N says nothing) nodes, the *named* ones among them.

    ntasks_per_node: 0 where any number of tasks may be on a node.
    """

    __slots__ = ("high", "low", "named", "ntasks_per_node")

    def __init__(self, low: int = 1, high: int = 0, named: Sequence[str] = (), ntasks_per_node: int = 0) -> None:
        self.low = low
        self.high = high
        #: In the order of the list; a list for tasks names a node more than once.
        self.named = list(named)
        self.ntasks_per_node = ntasks_per_node


def settle_nodes(asked: NodeCounts, ntasks: int = 0, *, is_srun: bool = False) -> tuple[NodeCounts, list[str]]:
    """Return the counts that all options together come to, and the lines that the user gets to see of it.

    asked: as the options say.  ntasks: 0 without -n.  Raises OptionError for more names than nodes.
    """
    low, high, named, lines = asked.low, asked.high, asked.named, []
    per_node = asked.ntasks_per_node
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
        return NodeCounts(low, high, named, per_node), lines
    if low > ntasks:
        lines.append(f"Warning: can't run {ntasks} processes on {low} nodes, setting nnodes to {ntasks}")
        low, high = ntasks, ntasks if high else 0
        named = named if count <= ntasks else hostlist.expand(hostlist.fold(named))[:ntasks]
    is_known = is_srun and bool(high or named)
    if is_known and 0 < per_node < ntasks and ntasks // low != per_node:
        lines.append(_passed_over(ntasks, per_node, low))
        per_node = 0
    if per_node and not high:
        low = max(low, -(-ntasks // per_node))
    return NodeCounts(low, high, named, per_node), lines


def settle_in_job(asked: NodeCounts, ntasks: int, nodes: int) -> tuple[NodeCounts, list[str]]:
    """Return what settle_nodes() does, of a step in a job of that many nodes, which are all there are.

    22.05 puts a task that is over (-n3 --ntasks-per-node=1 on 2 nodes) onto one of them without a word.
    """
    per_node = asked.ntasks_per_node
    nodes = min(nodes, asked.high or nodes)
    if not per_node or ntasks <= per_node * nodes:
        return asked, []
    return NodeCounts(asked.low, asked.high, asked.named), [_passed_over(ntasks, per_node, nodes)]


def _passed_over(ntasks: int, per_node: int, nodes: int) -> str:
    return (
        f"Warning: can't honor --ntasks-per-node set to {per_node} which doesn't match the requested tasks {ntasks} "
        f"with the number of requested nodes {nodes}. Ignoring --ntasks-per-node."
    )


def _too_many_names(count: int, high: int) -> OptionError:
    words = f"-w names {count} nodes, -N allows {high}"
    # The second line is Slurm's, which shows a range that nobody typed.
    return OptionError(words, f"invalid number of nodes (-N {count}-{high})", exit_code=REFUSED_EXIT)
