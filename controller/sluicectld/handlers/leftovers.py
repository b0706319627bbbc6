"""What a node still runs of jobs that were given up while its agent was silent: nothing new starts there meanwhile.

The book has nothing of these jobs on the node any more, so that their CPUs would be given away while their processes
have the time of KillWait to end.  The agent names them when it registers, ends them, and says of each that it is gone.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from sluicectld.state.events import NodeChanged

from .turn import Turn


def note_leftovers(turn: Turn, name: str, jobs: Iterable[tuple[int, int]]) -> None:
    """The node has just registered with these (job_id, attempt), and is told to end them."""
    _set(turn, name, tuple(jobs))


def forget_leftover(turn: Turn, name: str, job: tuple[int, int]) -> None:
    """The node has nothing left of the job."""
    node = turn.cluster.nodes.get(name)
    if node is not None and job in node.leftovers:
        _set(turn, name, tuple(each for each in node.leftovers if each != job))
        turn.is_pass_due = True


def _set(turn: Turn, name: str, jobs: tuple[tuple[int, int], ...]) -> None:
    node = turn.cluster.nodes[name]
    if node.leftovers != jobs:
        turn.emit(NodeChanged(at=turn.now_at, node=replace(node, leftovers=jobs), what="leftovers"))
