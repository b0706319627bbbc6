"""Which of the submitter's resource limits and which nice value a task gets.  Pure.

An explicit --propagate is the user's word; otherwise the site says which limits come along (PropagateResourceLimits,
PropagateResourceLimitsExcept), and those that do not stay the agent's.
"""

from __future__ import annotations

from sluice.wire.messages import AgentConfig

#: (name, soft, hard)
Limits = tuple[tuple[str, int, int], ...]

_NICE_MAX = 19


def chosen_limits(limits: Limits, config: AgentConfig, is_asked: bool) -> Limits:
    """Return the limits to set.  is_asked: the user named them."""
    if is_asked:
        return limits
    wanted = _names(config.propagate_limits)
    refused = _names(config.propagate_limits_except)
    if refused:
        return tuple(limit for limit in limits if _name(limit[0]) not in refused)
    if "NONE" in wanted:
        return ()
    return limits if "ALL" in wanted else tuple(limit for limit in limits if _name(limit[0]) in wanted)


def nice_of(environment: dict[str, str], config: AgentConfig, agent_nice: int) -> int | None:
    """Return the nice value to ask for; None: as the agent's.

    The submitting command tells its own in the environment, which is the user's to write: the value is to be set by the
    user's rights.
    """
    text = environment.get("SLURM_PRIO_PROCESS", "")
    if not config.propagate_nice or not text.removeprefix("-").isdecimal():
        return None
    nice = min(int(text), _NICE_MAX)
    # 2: the agent and its step daemons stay ahead of what they run.
    return max(nice, min(agent_nice + 1, _NICE_MAX)) if config.propagate_nice == 2 else nice


def _names(text: str) -> frozenset[str]:
    return frozenset(_name(word) for word in text.split(",") if word)


def _name(word: str) -> str:
    return word.strip().upper().removeprefix("RLIMIT_")
