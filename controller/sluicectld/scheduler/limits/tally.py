"""What one holder of limits uses, while a pass or the controller adds to it and takes from it.

Invariant: version grows with every change, so that a sum of versions that has not changed tells that nothing has.
"""

from sluice.model.usage import Usage

from .tres import Demand

#: Stands for "until it is ended" in TRES seconds that are still to come: a hundred years, so that sums stay exact.
UNLIMITED_S = 100 * 365 * 86400


class Tally:
    """The numbers of a Usage, changing."""

    __slots__ = ("fair_share_factor", "jobs", "run_seconds", "submitted", "tres", "used_seconds", "version", "wall_s")

    def __init__(self, usage: Usage | None = None) -> None:
        usage = usage or Usage()
        self.jobs = usage.jobs
        self.submitted = usage.submitted
        self.tres = dict(usage.tres)
        self.run_seconds = dict(usage.run_seconds)
        self.used_seconds = usage.used_seconds
        self.wall_s = usage.wall_s
        self.fair_share_factor = usage.fair_share_factor
        self.version = 0

    def add_submitted(self, count: int) -> None:
        self.version += 1
        self.submitted += count

    def add_running(self, demand: Demand, usage_factor: float, ran_s: float) -> None:
        """Count a job that has run so long."""
        self.version += 1
        self.jobs += 1
        self._add(demand, 1, max(left_s(demand) - ran_s, 0.0) * usage_factor)

    def remove_running(self, demand: Demand, usage_factor: float, ran_s: float) -> None:
        """Take such a job out again."""
        self.version += 1
        self.jobs -= 1
        self._add(demand, -1, max(left_s(demand) - ran_s, 0.0) * usage_factor)

    def usage(self) -> Usage:
        """Return the numbers as a record."""
        return Usage(
            jobs=self.jobs,
            submitted=self.submitted,
            tres={name: count for name, count in self.tres.items() if count},
            run_seconds={name: count for name, count in self.run_seconds.items() if count},
            used_seconds=self.used_seconds,
            wall_s=self.wall_s,
            fair_share_factor=self.fair_share_factor,
        )

    def _add(self, demand: Demand, sign: int, seconds: float) -> None:
        for name, count in demand.tres.items():
            self.tres[name] = self.tres.get(name, 0) + sign * count
            self.run_seconds[name] = self.run_seconds.get(name, 0.0) + sign * count * seconds


def left_s(demand: Demand) -> float:
    """Return how long a job may run from its start."""
    return UNLIMITED_S if demand.limit_s is None else demand.limit_s
