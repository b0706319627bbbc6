"""Every policy once more, written straight from its rule: integers and lists, one pool, no regard for speed.

What the scheduler decides is compared with this on small traces.  The rules that settle the exact schedule:

    Events go in order of time; at one second first every submission in the order of the file, then every end in the
    order in which the jobs started.  After each event there is one pass.
    A job that ends exactly at its estimate is known to be gone at that second, whatever comes first there; of a job
    that ends early nobody knows before its own event.
    A promised start is kept to the second, also where nothing else happens then.  At every end, early or not, the
    waiting jobs are taken out and put back at their earliest fit, one by one in order of submission.

Sources: Lifka 1995 (EASY); Mu'alem & Feitelson 2001 (conservative, compression); Tsafrir et al. 2007 (SJBF).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Work(NamedTuple):
    """A job of a trace: seconds and processors; it never runs longer than its estimate."""

    submit: int
    run: int
    width: int
    estimate: int


#: serial number of a job -> its expected end; what runs, in the order of the starts.
Ends = dict[int, int]
#: jobs, free processors, now, waiting serials in order of submission, expected ends -> serials to start now.
Pass = Callable[[Sequence[Work], int, int, list[int], Ends], list[int]]


def fcfs(jobs: Sequence[Work], free: int, now: int, queue: list[int], ends: Ends) -> list[int]:
    """Start from the head while it fits."""
    started = []
    for serial in queue:
        if jobs[serial].width > free:
            break
        free -= jobs[serial].width
        started.append(serial)
    return started


def easy(jobs: Sequence[Work], free: int, now: int, queue: list[int], ends: Ends) -> list[int]:
    """Start from the head while it fits; behind the first that does not, whatever does not delay it."""
    return _easy(jobs, free, now, queue, ends, is_shortest_first=False)


def easy_sjbf(jobs: Sequence[Work], free: int, now: int, queue: list[int], ends: Ends) -> list[int]:
    """The same; those behind the head are tried in order of their estimates."""
    return _easy(jobs, free, now, queue, ends, is_shortest_first=True)


def _easy(
    jobs: Sequence[Work], free: int, now: int, queue: list[int], ends: Ends, is_shortest_first: bool
) -> list[int]:
    started = fcfs(jobs, free, now, queue, ends)
    rest = queue[len(started) :]
    if not rest:
        return started
    free -= sum(jobs[serial].width for serial in started)
    ends = ends | {serial: now + jobs[serial].estimate for serial in started}
    shadow, spare = _shadow(jobs, free, jobs[rest[0]].width, ends)
    candidates = sorted(rest[1:], key=lambda serial: jobs[serial].estimate) if is_shortest_first else rest[1:]
    for serial in candidates:
        job = jobs[serial]
        is_over_in_time = now + job.estimate <= shadow
        if job.width <= free and (is_over_in_time or job.width <= spare):
            free -= job.width
            spare -= 0 if is_over_in_time else job.width
            started.append(serial)
    return started


def hybrid(reservations: int) -> Pass:
    """Return the pass that keeps the earliest starts of the first so many jobs that do not fit; with one it is EASY."""

    def decide(jobs: Sequence[Work], free: int, now: int, queue: list[int], ends: Ends) -> list[int]:
        profile = _Profile(free + sum(jobs[serial].width for serial in ends))
        for serial, end in ends.items():
            profile.add(now, end, -jobs[serial].width)
        started: list[int] = []
        kept = 0
        for serial in queue:
            at = profile.earliest(jobs[serial], now)
            if at > now and kept == reservations:
                continue
            profile.add(at, at + jobs[serial].estimate, -jobs[serial].width)
            if at > now:
                kept += 1
            else:
                started.append(serial)
        return started

    return decide


def _shadow(jobs: Sequence[Work], free: int, width: int, ends: Ends) -> tuple[int, int]:
    """Return the first second at which *width* processors are free by the estimates, and what is left over then."""
    by_end = sorted(ends.items(), key=lambda item: item[1])
    for place, (serial, end) in enumerate(by_end):
        free += jobs[serial].width
        if free >= width and (place + 1 == len(by_end) or by_end[place + 1][1] > end):
            return end, free - width
    raise AssertionError(f"{width} processors are wanted, {free} are there")


def replay(jobs: Sequence[Work], processors: int, decide: Pass) -> list[int]:
    """Return the start of every job under a policy that keeps nothing from pass to pass."""
    return _Replay(jobs, processors, decide).run()


class _Replay:
    def __init__(self, jobs: Sequence[Work], processors: int, decide: Pass) -> None:
        self.jobs, self.processors, self.decide = jobs, processors, decide
        self.starts = [-1] * len(jobs)
        self.queue: list[int] = []
        self.ends: Ends = {}

    def run(self) -> list[int]:
        by_submission = sorted(range(len(self.jobs)), key=lambda serial: self.jobs[serial].submit)
        place = 0
        while place < len(by_submission) or self.ends:
            next_submissions = [self.jobs[serial].submit for serial in by_submission[place : place + 1]]
            now = min([*next_submissions, *map(self._end_of, self.ends), *self.promises()])
            first = place
            while place < len(by_submission) and self.jobs[by_submission[place]].submit == now:
                place += 1
            self._live_through(now, by_submission[first:place])
        return self.starts

    def _live_through(self, now: int, submitted: list[int]) -> None:
        # The ends are read before the second's own starts: a job runs for a second at least.
        ended = [serial for serial in self.ends if self._end_of(serial) == now]
        for serial in submitted:
            self.queue.append(serial)
            self.on_submission(serial, now)
            self.make_pass(now)
        for serial in ended:
            end = self.ends.pop(serial)
            self.on_end(serial, end, now)
            self.make_pass(now)
        if now in self.promises():
            self.make_pass(now)

    def _end_of(self, serial: int) -> int:
        return self.starts[serial] + self.jobs[serial].run

    def promises(self) -> list[int]:
        """Return the seconds for which a policy with a memory has promised a start."""
        return []

    def on_submission(self, serial: int, now: int) -> None:
        """A policy with a memory notes the job."""

    def on_end(self, serial: int, expected_end: int, now: int) -> None:
        """A policy with a memory notes the end."""

    def make_pass(self, now: int) -> None:
        held = {serial: end for serial, end in self.ends.items() if end > now}
        free = self.processors - sum(self.jobs[serial].width for serial in held)
        self.start(self.decide(self.jobs, free, now, self.queue, held), now)

    def start(self, started: list[int], now: int) -> None:
        for serial in started:
            self.starts[serial] = now
            self.ends[serial] = now + self.jobs[serial].estimate
        if started:
            gone = set(started)
            self.queue[:] = [serial for serial in self.queue if serial not in gone]


def conservative(jobs: Sequence[Work], processors: int) -> list[int]:
    """Return the start of every job when each is promised one as it comes, and promises only ever move earlier."""
    return _Conservative(jobs, processors).run()


class _Conservative(_Replay):
    def __init__(self, jobs: Sequence[Work], processors: int) -> None:
        super().__init__(jobs, processors, fcfs)
        self.promised: dict[int, int] = {}
        self.profile = _Profile(processors)

    def on_submission(self, serial: int, now: int) -> None:
        self._promise(serial, now)

    def on_end(self, serial: int, expected_end: int, now: int) -> None:
        if expected_end > now:
            self.profile.add(now, expected_end, self.jobs[serial].width)
        # Also after an end to the second: the last compression may have moved a job ahead that others waited for.
        for waiting in self.queue:
            job, at = self.jobs[waiting], self.promised[waiting]
            self.profile.add(at, at + job.estimate, job.width)
            self._promise(waiting, now)
            assert self.promised[waiting] <= at, f"the promise of job {waiting} moved later"

    def promises(self) -> list[int]:
        return [self.promised[serial] for serial in self.queue]

    def make_pass(self, now: int) -> None:
        self.start([serial for serial in self.queue if self.promised[serial] == now], now)

    def _promise(self, serial: int, now: int) -> None:
        job = self.jobs[serial]
        at = self.promised[serial] = self.profile.earliest(job, now)
        self.profile.add(at, at + job.estimate, -job.width)


class _Profile:
    """Free processors as a function of time: free[i] from times[i] on, until times[i + 1]."""

    def __init__(self, processors: int) -> None:
        self.times = [-1]
        self.free = [processors]

    def earliest(self, job: Work, now: int) -> int:
        """Return the first second from which on the job fits for its whole estimate."""
        self._forget_before(now)
        at = now
        for place, free in enumerate(self.free):
            until = self.times[place + 1] if place + 1 < len(self.times) else None
            if free < job.width:
                assert until is not None, f"{job} never fits"
                at = until
            elif until is None or until >= at + job.estimate:
                return at
        raise AssertionError("the last stretch is endless")

    def add(self, begin: int, end: int, width: int) -> None:
        first, last = self._cut(begin), self._cut(end)
        for place in range(first, last):
            self.free[place] += width

    def _cut(self, at: int) -> int:
        """Return the place of the stretch that begins at *at*, made if there is none."""
        for place, time in enumerate(self.times):
            if time == at:
                return place
            if time > at:
                self.times.insert(place, at)
                self.free.insert(place, self.free[place - 1])
                return place
        self.times.append(at)
        self.free.append(self.free[-1])
        return len(self.times) - 1

    def _forget_before(self, now: int) -> None:
        while len(self.times) > 1 and self.times[1] <= now:
            del self.times[0], self.free[0]
