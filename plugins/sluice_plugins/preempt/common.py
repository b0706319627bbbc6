"""What the built-in preempt plugins share: reading modes, exempt times, the order of victims."""

from sluice.model.preemption import PreemptMode, PreemptSetup
from sluice_plugins.interfaces import Contender, PreemptRight, VictimCost

Words = frozenset[str]


def read_words(text: str) -> Words:
    """Return the words of a PreemptMode."""
    return frozenset(word.strip().upper() for word in text.split(",") if word.strip())


def find_right(words: Words, needs_priority: bool = False) -> PreemptRight | None:
    """Return the right that the words of a mode give; the gentlest of several."""
    for mode in (PreemptMode.SUSPEND, PreemptMode.REQUEUE, PreemptMode.CANCEL):
        if mode.value in words:
            return PreemptRight(mode, needs_priority or "PRIORITY" in words)
    return None


def modes_over(words: Words, setup: PreemptSetup) -> Words:
    """Return the words with the cluster's mode where they name none, and with its PRIORITY and WITHIN."""
    own = words & (frozenset(PreemptMode) | {"OFF"})
    inherited = frozenset({"PRIORITY", "WITHIN"}) & setup.modes
    return words | inherited if own else words | setup.modes


def find_exempt_s(victim: Contender, setup: PreemptSetup) -> float:
    """Return the PreemptExemptTime of the first QOS that has one, else the cluster's."""
    for qos in victim.qoses:
        if qos.preempt_exempt_s is not None:
            return float(qos.preempt_exempt_s)
    return setup.exempt_s


def rank_cost(cost: VictimCost, setup: PreemptSetup) -> tuple[float, ...]:
    """Return lowest priority first, then least work lost; with youngest_first the latest start before both."""
    place = (float(cost.priority), cost.work_lost_s, float(-cost.job_id))
    return (-cost.started_at, *place) if setup.is_youngest_first else place
