"""Task rows: what one, two, ... tasks of a request take on a node of each kind, as rows that the tracks compare.

Tasks that take the same are one row.  Where what is taken depends on what is free (units of any of several types, or a
share of the job's units), or where counts do not add up (shared CPUs, parts of GPUs), the rows leave it out: they then
never ask for too much, and search.py looks at such nodes again.

Invariant: rows of a kind ascend in every number; the last one belongs to the most tasks that an idle node holds.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .levels import Kind, LevelTable, take_row
from .needs import Needs
from .offer import compute_take, count_tasks

Row = tuple[int, ...]


class TaskRows:
    """By a kind's number: the rows, and the tasks of each; empty: nodes of that kind are of no use."""

    __slots__ = ("is_alone", "least", "native", "rows", "tasks")

    def __init__(self, rows: list[list[Row]], tasks: list[list[int]], least: int = 1, is_alone: bool = False) -> None:
        self.rows = rows
        self.tasks = tasks
        #: A node that offers fewer tasks is of no use.
        self.least = least
        #: Only nodes where nobody is.
        self.is_alone = is_alone
        #: The same for the compiled tracks, made by them.
        self.native: Any = None

    def offer(self, kind: int, free: Sequence[int]) -> int:
        """Return how many tasks fit where so much is free."""
        if self.is_alone and free[2] > 0:
            return 0
        best = 0
        for row, tasks in zip(self.rows[kind], self.tasks[kind], strict=True):
            # How many jobs are there is no resource: a row has none.
            if any(have < wanted for index, (have, wanted) in enumerate(zip(free, row, strict=True)) if index != 2):
                break
            best = tasks
        return best if best >= self.least else 0


def compute_task_rows(
    needs: Needs, table: LevelTable, suits: Callable[[Kind], bool], has_choice: Callable[[Kind], bool]
) -> TaskRows:
    """Return the rows of a request on the kinds that suit it.

    has_choice: are there units of several types that would do?
    """
    known: dict[tuple[object, ...], tuple[list[Row], list[int]]] = {}
    rows: list[list[Row]] = []
    tasks: list[list[int]] = []
    for kind in table.kinds:
        found: tuple[list[Row], list[int]] = ([], [])
        if suits(kind):
            # Kinds that differ in features or partitions only have the same rows.
            key = (kind.full, kind.gres, kind.unit, kind.charge_unit, kind.layout, kind.is_exact, kind.is_sharing)
            found = known.get(key) or _compute_rows(needs, table, kind, has_choice(kind))
            known[key] = found
        rows.append(found[0])
        tasks.append(found[1])
    return TaskRows(rows, tasks, needs.node_tasks_min, needs.is_exclusive)


def _compute_rows(needs: Needs, table: LevelTable, kind: Kind, has_choice: bool) -> tuple[list[Row], list[int]]:
    idle, width = table.idle(kind), table.width

    def row_for(count: int) -> Row:
        cpus, memory_mib, _, *units = take_row(compute_take(idle, needs, count), width)
        if kind.is_sharing:
            cpus = 0
        if has_choice or kind.layout.sharing_rows:
            units = [0] * len(units)
        return (cpus, memory_mib, 0, *units)

    most = count_tasks(idle, needs)
    if most and row_for(1) == row_for(most):
        return [row_for(1)], [most]
    rows: list[Row] = []
    tasks: list[int] = []
    for count in range(1, most + 1):
        row = row_for(count)
        if rows and rows[-1] == row:
            tasks[-1] = count
        else:
            rows.append(row)
            tasks.append(count)
    return rows, tasks
