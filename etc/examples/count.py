"""Counts to N, saves how far it is when the job is about to end, and goes on from there in the next run.

Exit code 75: not done yet, the job should run again.
"""

import os
import signal
import sys
import time

from sluice import job

SAVED = "count.saved"


def load() -> int:
    return int(open(SAVED).read()) if os.path.exists(SAVED) else 0


def save(count: int) -> None:
    with open(SAVED + ".new", "w") as file:
        file.write(str(count))
    # Replaced as a whole: a run that is killed here leaves the old checkpoint.
    os.rename(SAVED + ".new", SAVED)


def main(end: int) -> int:
    # The notice tells everything that the signals would.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    count = load()
    print(f"run {job.restart_count()} begins at {count}", flush=True)
    while count < end:
        notice = job.wait_for_notice(timeout=0)
        if notice is not None and notice.deadline_at is not None:
            save(count)
            print(f"saved {count}: {notice.reason}, {notice.time_left_s:.0f} s left", flush=True)
            return 75
        time.sleep(0.01)  # the work
        count += 1
    print(f"counted to {count}")
    return 0


sys.exit(main(int(sys.argv[1])))
