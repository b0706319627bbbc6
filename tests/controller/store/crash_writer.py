"""A controller's writer as a process of its own, to be killed: python crash_writer.py URL LAST POINT COUNT.

Submits the jobs up to LAST that are not yet stored, and writes the id of each to stdout once it is acknowledged.  Kills
itself with SIGKILL when it comes to POINT for the COUNT-th time; POINT "never" leaves the killing to others.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from sluicectld.store import writer as writer_module
from sluicectld.store.batch import Batch
from sluicectld.store.database import open_engine
from sluicectld.store.load import load
from sluicectld.store.writer import Writer
from tests.controller.store.store_records import a_submission

POINTS = ("before the rows", "among the rows", "before the commit", "after the commit", "among the replies")
#: Jobs that wait together; a wave makes one or a few commits.
WAVE = 50


class Killer:
    """Dies at the count-th visit of the point."""

    def __init__(self, point: str, count: int) -> None:
        self._point = point
        self._left = count

    def visit(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, last: int, point: str, count: int) -> None:
    killer = Killer(point, count)
    save: Callable[[Connection, Batch], int] = writer_module.save

    def save_or_die(connection: Connection, batch: Batch) -> int:
        killer.visit("before the rows")
        half = Batch(jobs=dict(list(batch.jobs.items())[: len(batch.jobs) // 2]))
        save(connection, half)
        killer.visit("among the rows")
        rows = save(connection, batch)
        killer.visit("before the commit")
        return rows

    def on_committed(ids: list[int]) -> None:
        killer.visit("after the commit")
        for index, job_id in enumerate(ids):
            if index == len(ids) // 2:
                killer.visit("among the replies")
            os.write(1, b"%d\n" % job_id)
            acknowledged.release()

    def on_failed(ids: list[int], error: Any) -> None:
        os.write(2, f"jobs {ids} failed: {error}\n".encode())
        os._exit(1)

    writer_module.save = save_or_die
    engine = open_engine(url)
    first = load(engine, ended_after_at=0, tokens_after_at=0).next_job_id
    acknowledged = threading.Semaphore(0)
    writer: Writer[int] = Writer(engine, on_committed, on_failed)
    for start in range(first, last + 1, WAVE):
        wave = range(start, min(start + WAVE, last + 1))
        for job_id in wave:
            writer.submit(a_submission(job_id), job_id)
        for _ in wave:
            acknowledged.acquire()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
