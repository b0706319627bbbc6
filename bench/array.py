"""An array of a million tasks: how long until it is accepted, and what it costs in the database.

Held, so that no task starts meanwhile; then released on a few emulated nodes, to see tasks start from it.
"""

from __future__ import annotations

import argparse
import time

from bench.cluster import BenchCluster, exit_on_sigterm
from bench.machine import ProcessUse, headline, print_table, spread
from bench.submit_client import submission

_STARTED_WATCH_S = 5.0


def main() -> None:
    exit_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    headline(f"an array of {options.tasks} tasks; median (least-most) of {options.rounds}")
    rounds = [_round(options.tasks) for _ in range(options.rounds)]
    accepted, memory, rows, events, seen, started = zip(*rounds, strict=True)
    print_table(
        ("what", "figure"),
        (
            ("accepted and on disk, ms", spread([value * 1000 for value in accepted], 1)),
            ("rows of table job", spread(rows)),
            ("events", spread(events)),
            ("controller's memory grew by, MiB", spread(memory, 1)),
            ("one look at the queue, ms", spread([value * 1000 for value in seen], 1)),
            ("tasks started and ended a second once released", spread(started)),
        ),
    )


def _round(tasks: int) -> tuple[float, float, int, int, float, float]:
    with BenchCluster(100, 8, is_emulated=True) as cluster, cluster.connect() as connection:
        use = ProcessUse(cluster.controller.pid)
        memory_before, _ = use.memory_mib()
        events_before = cluster.sql("SELECT count(*) FROM event")[0][0]
        body = submission(array=[[0, tasks - 1, 1]], is_held=True)
        began_s = time.perf_counter()
        job_id = connection.call("SubmitJob", body)["job_id"]
        accepted_s = time.perf_counter() - began_s
        grown_mib = use.memory_mib()[0] - memory_before
        rows = cluster.sql("SELECT count(*) FROM job")[0][0]
        events = cluster.sql("SELECT count(*) FROM event")[0][0] - events_before
        began_s = time.perf_counter()
        for _ in connection.stream("QueryJobs", {}):
            pass
        seen_s = time.perf_counter() - began_s
        connection.call("ChangeJobs", {"action": "release", "ids": [str(job_id)]})
        time.sleep(_STARTED_WATCH_S)
        ended = connection.call("QueryStatistics", {})["counters"]["jobs_completed"]
        return accepted_s, grown_mib, rows, events, seen_s, ended / _STARTED_WATCH_S


if __name__ == "__main__":
    main()
