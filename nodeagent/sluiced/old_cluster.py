"""Ending what runs for a cluster that is no more, when its name comes back with another identity.

A controller with a new database counts its job ids from the beginning: what the spool remembers under the same
numbers are other jobs.  Nobody waits for their results, so they get no more time and are told to nobody.
"""

from __future__ import annotations

import logging
import os
import signal

from sluiced import process_id
from sluiced.cgroup import detect
from sluiced.spool import Spool, StepKey
from sluiced.steps import descendants, notice, temp_dir

logger = logging.getLogger(__name__)


def end_old_cluster(spool: Spool) -> None:
    """Kill every step of the spool and forget every job.  No fork server may be at work on it meanwhile."""
    for job in spool.jobs():
        for step in spool.steps(job):
            _kill(spool, step)
        spool.remove_job(job)
        logger.warning("job %s: ended, it belongs to a cluster that is no more", job.job_id)


def _kill(spool: Spool, step: StepKey) -> None:
    claim = spool.read_claim(step)
    daemon = process_id.open_process(*claim) if claim else None
    if claim is not None and daemon is not None:
        # The tasks first: below their step daemon they can all be found.
        descendants.signal_descendants(claim.pid, signal.SIGKILL)
        signal.pidfd_send_signal(daemon, signal.SIGKILL)
        os.close(daemon)
    launch = spool.read_launch(step)
    if launch is not None:
        detect.kill_leftovers(launch)
    descendants.kill_strays(notice.marker(spool.notice_path(step)))
    if launch is not None and claim is not None:
        temp_dir.remove_left(launch.temp_parent, launch.name, claim.pid, launch.job.spec.uid)
