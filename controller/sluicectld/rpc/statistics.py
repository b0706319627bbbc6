"""Counters and seconds by name, for sdiag and the benchmarks."""

import time

from sluice.model.states import JobState
from sluicectld.core import Core


def counters(core: Core) -> dict[str, float]:
    """Return what the controller has counted since it started."""
    passes = core.passes.statistics
    writer = core.committer.writer.statistics
    cluster = core.engine.cluster
    numbers: dict[str, float] = {
        "uptime_s": core.clock.now() - core.started_at,
        "cpu_s": time.process_time(),
        "jobs_in_memory": len(cluster.jobs),
        "events": cluster.next_sequence - 1,
        "passes": passes.passes,
        "pass_starts": passes.starts,
        "pass_stale": passes.stale,
        "pass_total_s": passes.total_s,
        "pass_last_s": passes.last_s,
        "pass_max_s": passes.max_s,
        "pass_last_depth": passes.last_depth,
        "commits": writer.commits,
        "commit_rows": writer.rows,
        "commit_group_max": writer.group_max,
        "commit_failures": writer.failures,
        "transaction_s": writer.transaction_s,
        "commit_s": writer.commit_s,
        "replies_waiting": core.committer.depth,
        "requests_parked": len(core.waiting),
    }
    score = core.passes.forecasts.score()
    if score is not None:
        numbers |= {
            "forecasts_scored": score.count,
            "forecast_wait_ratio_median": score.median,
            "forecast_wait_ratio_ninth_decile": score.ninth,
            "forecast_late_share": score.late_share,
        }
    for state in JobState:
        numbers[f"jobs_{state.value.lower()}"] = cluster.states_count[state]
    return numbers
