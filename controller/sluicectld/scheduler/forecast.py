"""How good planned starts have been: the first one that each job was told, against when it really started.

A wait that lasted as long as the plan said has the ratio 1; jobs mostly end before their limits, so most waits are
shorter.  The ratios of the last starts give the times between which a plan of now is likely to come true.

Invariant: a job is scored once, by the first planned start that it had since it last started.
"""

from collections import deque

import msgspec

from .plan import Plan

#: Starts that count, the last ones.
SCORED_MAX = 1000
#: Fewer starts than this say nothing.
_SCORED_MIN = 20
#: A wait this much longer than planned is late: a pass and its rest lie between.
_LATE_S = 60.0


class Score(msgspec.Struct, frozen=True):
    """Of how many starts; the ratio of real to planned wait that half of them and nine in ten did not exceed.

    late_share: of those that started more than a minute after their plan.
    """

    count: int
    median: float
    ninth: float
    late_share: float

    def likely_at(self, now_at: float, planned_at: float) -> tuple[float, float]:
        """Return by when half, and nine in ten, of such plans have come true."""
        wait_s = max(planned_at - now_at, 0.0)
        return now_at + wait_s * self.median, now_at + wait_s * self.ninth


class Forecasts:
    """The plans that wait for their start, and the last scored ones."""

    def __init__(self) -> None:
        #: job id -> (when it was told, which start).
        self._told: dict[int, tuple[float, float]] = {}
        self._scored: deque[tuple[float, bool]] = deque(maxlen=SCORED_MAX)

    def note(self, plan: Plan, now_at: float) -> None:
        """Take a pass's plan: score what it starts, remember what it plans, forget what waits no more."""
        for start in plan.starts:
            told = self._told.pop(start.job_id, None)
            if told is not None:
                self._score(*told, now_at)
        for job_id in self._told.keys() - plan.blockers.keys():
            del self._told[job_id]
        for job_id, planned in plan.planned.items():
            self._told.setdefault(job_id, (now_at, planned.at))

    def score(self) -> Score | None:
        """Return the score of the last starts; None while there are too few."""
        count = len(self._scored)
        if count < _SCORED_MIN:
            return None
        ratios = sorted(ratio for ratio, _ in self._scored)
        late = sum(is_late for _, is_late in self._scored)
        return Score(count, ratios[(count - 1) // 2], ratios[(count * 9 - 1) // 10], late / count)

    def _score(self, told_at: float, planned_at: float, started_at: float) -> None:
        planned_s = max(planned_at - told_at, 1.0)
        self._scored.append((max(started_at - told_at, 0.0) / planned_s, started_at > planned_at + _LATE_S))
