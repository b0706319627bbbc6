"""--switches=n[@time]: at most n leaf switches, but no longer waited for than the given time.

The wait counts from when the job became eligible and is bounded by the site (max_switch_wait).  A job whose wait is
over is looked at as one that never asked, so that it shares its shape with those.

Source: the sbatch manual on --switches and slurm.conf's on max_switch_wait.
"""

from msgspec.structs import replace

from sluice import duration
from sluice.errors import InvalidRequest
from sluice.model.job import Job

from .needs import Needs


def parse_switches(text: str) -> tuple[int, float | None]:
    """Return the most leaf switches (0: any) and the seconds to wait for them, None when not said."""
    count, at, wait = text.partition("@")
    if not count.isdecimal():
        return 0, None
    if not at:
        return int(count), None
    try:
        return int(count), float(duration.parse(wait) or 0)
    except InvalidRequest:
        return int(count), None


def wait_until_at(job: Job, wait_max_s: float) -> float | None:
    """Return until when the job waits for its switches, None if it asks for none."""
    count, wait_s = parse_switches(job.spec.switches)
    if not count:
        return None
    since_at = job.submitted_at if job.eligible_at is None else job.eligible_at
    return since_at + (wait_max_s if wait_s is None else min(wait_s, wait_max_s))


def relax(job: Job, now_at: float, wait_max_s: float) -> tuple[Job, float | None]:
    """Return the job as it is to be looked at now, and when to look again because it looks different then.

    A job that waited long enough for its switches is given back without them.
    """
    until_at = wait_until_at(job, wait_max_s)
    if until_at is not None and now_at < until_at:
        return job, until_at
    return replace(job, spec=replace(job.spec, switches="")), None


def describe_topology(needs: Needs) -> list[str]:
    """Return what is asked of the network, in words of a blocker's text."""
    words = []
    if needs.switches_max:
        noun = "leaf switch" if needs.switches_max == 1 else "leaf switches"
        words.append(f"at most {needs.switches_max} {noun} while it waits for that")
    if needs.segment:
        words.append(f"segments of {needs.segment} nodes each in one block")
    return words
