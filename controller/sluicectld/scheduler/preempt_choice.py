"""The cheapest set of victims whose end lets a job start: the cheapest first, and none that could be spared.

The shortest row of victims, cheapest first, that makes room is found by doubling and halving; then those that turn out
unnecessary are spared.  In which order they are tried decides which set is left where several would do: the dearest
first, so that cheap ones go; unless the order is strict also the smallest first, so that few go.

Invariant: without any one of the chosen the job would not fit.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sluice.model.preemption import PreemptSetup

from .preempt_victims import Victim

_Found = TypeVar("_Found")
#: Where the job would start if these were gone; None: nowhere.
Fits = Callable[[Sequence[Victim]], _Found | None]


def choose_victims(victims: Sequence[Victim], fits: Fits[_Found], setup: PreemptSetup) -> list[Victim] | None:
    """Return the victims to preempt; victims: cheapest first.  None: all of them together are not enough."""
    # Few are enough as a rule: the row is doubled until it is long enough, and halved within the last step.
    least, most = 0, 1
    while most < len(victims) and fits(victims[:most]) is None:
        least, most = most + 1, 2 * most
    if most >= len(victims):
        most = len(victims)
        if fits(victims) is None:
            return None
    while least < most:
        middle = (least + most) // 2
        if fits(victims[:middle]) is None:
            least = middle + 1
        else:
            most = middle
    row = list(victims[:most])
    best: list[Victim] | None = None
    for order in _sparing_orders(row, setup):
        spared = _spare(row, order, fits)
        if best is None or len(spared) < len(best):
            best = spared
    return best


def _sparing_orders(row: Sequence[Victim], setup: PreemptSetup) -> list[list[Victim]]:
    """Return in which orders victims are tried to be spared."""
    dearest_first = list(reversed(row))
    if setup.is_strict_order or len(row) < 2:
        return [dearest_first]
    smallest_first = sorted(dearest_first, key=_size_of)
    orders = [dearest_first, smallest_first]
    # Each further attempt begins at another of them.
    orders += [smallest_first[turn:] + smallest_first[:turn] for turn in range(1, setup.reorder_count)]
    return orders[: setup.reorder_count + 1]


def _spare(row: Sequence[Victim], order: Sequence[Victim], fits: Fits[_Found]) -> list[Victim]:
    left = list(row)
    for victim in order:
        without = [each for each in left if each is not victim]
        if fits(without) is not None:
            left = without
    return left


def _size_of(victim: Victim) -> int:
    return victim.cpu_count
