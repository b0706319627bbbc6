"""What reservations mean to one job: where and when it may run inside one, and what is closed to it outside.

A View is how the cluster looks to a job.  Jobs that run in the same reservation (or in none) and borrow the same ones
share one view, told by its key: what is found out for a shape under a key holds for all of them.  A job that may
choose (several named reservations, magnetic ones) has one view for each choice, first choice first.

Whoever runs inside a reservation is closed out only by those of higher rank (MAINT above OVERLAP above the others):
what was put over a reservation on purpose wins over it.

Invariant: a job whose [start, start + limit) meets no closure of its view leaves every reservation whole.
Source: scontrol's manual, RESERVATIONS; Slurm 22.05, observed.
"""

from collections.abc import Iterable, Mapping

import msgspec

from sluice.model.job import Job
from sluice.model.reason import Blocker, Reason
from sluice.model.reservation import Reservation

from .recurrence import Window, compute_windows
from .reservation_access import find_denial, gives_way, may_use
from .snapshot import Snapshot

#: The reservation that the job runs in ("" for none), and those whose nodes it may borrow.
ViewKey = tuple[str, tuple[str, ...]]
_NEVER = float("inf")
#: A start with less than this left of the reservation would only be killed.
_LEAST_LEFT_S = 60.0


class Closure(msgspec.Struct, frozen=True):
    """During [from_at, until_at) so many CPUs of each of the nodes are kept for others; cpus 0: all of the node."""

    positions: frozenset[int]
    from_at: float
    until_at: float
    reservation: str
    cpus: int = 0
    is_maintenance: bool = False

    def meets(self, from_at: float, until_at: float) -> bool:
        """Do the two intervals share a moment?"""
        return from_at < self.until_at and self.from_at < until_at


class LicenseClosure(msgspec.Struct, frozen=True):
    """During [from_at, until_at) so many of a license are kept for the jobs of a reservation."""

    license: str
    count: int
    from_at: float
    until_at: float
    reservation: str


class View(msgspec.Struct, frozen=True):
    """What one job, and every other with an equal key, may use.

    positions: its only candidates, None for all nodes.  windows: when it may run, None for always; a job that starts
    in one is over when it is.  caps: the most CPUs that all jobs of the reservation may have of a node together.
    blocker: why it cannot run at all this way.
    """

    key: ViewKey = ("", ())
    positions: frozenset[int] | None = None
    windows: tuple[Window, ...] | None = None
    caps: Mapping[int, int] = {}
    closures: tuple[Closure, ...] = ()
    #: The nodes of all closures together.
    touched: frozenset[int] = frozenset()
    license_closures: tuple[LicenseClosure, ...] = ()
    #: Seconds that a job may go on after its window; None: any.
    overrun_s: float | None = 0.0
    blocker: Blocker | None = None

    @property
    def reservation(self) -> str:
        return self.key[0]


#: A cluster without reservations.
OPEN = View()


class Book:
    """The reservations of one snapshot, laid out over time; views are made once a key."""

    def __init__(self, snapshot: Snapshot, window_s: float = 86400.0, overrun_s: float | None = 0.0) -> None:
        self.now_at = snapshot.now_at
        self._overrun_s = overrun_s
        self._reservations = {each.name: each for each in snapshot.reservations}
        self._magnets = tuple(each for each in snapshot.reservations if each.has("MAGNETIC"))
        self._lenders = tuple(each for each in snapshot.reservations if each.max_start_delay_s)
        self._positions: dict[str, int] = {}
        if self._reservations:
            self._positions = {free.node.name: position for position, free in enumerate(snapshot.nodes)}
        self._windows = {
            each.name: compute_windows(each, snapshot.now_at, snapshot.now_at + window_s)
            for each in snapshot.reservations
        }
        self._views: dict[ViewKey, View] = {}
        #: CPUs that the jobs of a reservation hold, by its name and the node's position.
        self.used_cpus: dict[tuple[str, int], int] = {}
        #: Licenses that they hold.
        self.used_licenses: dict[tuple[str, str], int] = {}
        for running in snapshot.running:
            if running.reservation:
                grants = ((grant.node, grant.cpu_count) for grant in running.allocation.grants)
                self.note_start(running.reservation, grants, running.licenses)

    def note_start(
        self,
        reservation: str,
        grants: Iterable[tuple[str, int]],
        licenses: Iterable[tuple[str, int]],
        is_gone: bool = False,
    ) -> None:
        """Count what a job holds that runs in the reservation: (node, CPUs) and (license, count).  is_gone: no more."""
        sign = -1 if is_gone else 1
        for node, cpus in grants:
            key = (reservation, self._positions.get(node, -1))
            self.used_cpus[key] = self.used_cpus.get(key, 0) + sign * cpus
        for name, count in licenses:
            held = self.used_licenses.get((reservation, name), 0)
            self.used_licenses[reservation, name] = held + sign * count

    def views_of(self, job: Job) -> tuple[View, ...]:
        """Return the ways in which the job may run, the first to be tried first; never empty."""
        if job.spec.reservation:
            return tuple(self._named_view(job, name) for name in job.spec.reservation.split(",") if name)
        if not self._reservations:
            return (OPEN,)
        borrowed = tuple(each.name for each in self._lenders if self._may_borrow(each, job))
        magnetic = [self._view((each.name, ())) for each in self._magnets if self._attracts(each, job)]
        return (*magnetic, self._view(("", borrowed)))

    def _named_view(self, job: Job, name: str) -> View:
        reservation = self._reservations.get(name)
        if reservation is None:
            text = f"reservation {name!r} does not exist any more"
            return View(key=(name, ()), blocker=Blocker(reason=Reason.RESERVATION_INVALID, text=text))
        denial = find_denial(reservation, job.spec)
        if denial is not None and not reservation.groups:
            text = f"access to reservation {name!r} is denied: {denial}"
            return View(key=(name, ()), blocker=Blocker(reason=Reason.RESERVATION, text=text))
        return self._view((name, ()))

    def _attracts(self, reservation: Reservation, job: Job) -> bool:
        """Is the job drawn into the reservation now?  It comes whole or not at all."""
        if not may_use(reservation, job.spec):
            return False
        if reservation.has("FLEX"):
            return True
        limit_s = _NEVER if job.limit_s is None else job.limit_s
        return any(
            window.from_at <= self.now_at and self.now_at + limit_s <= window.until_at
            for window in self._windows[reservation.name]
        )

    @staticmethod
    def _may_borrow(reservation: Reservation, job: Job) -> bool:
        most_s = reservation.max_start_delay_s or 0
        is_short = job.limit_s is not None and job.limit_s <= most_s
        return (is_short or gives_way(reservation, job.spec)) and may_use(reservation, job.spec)

    def _view(self, key: ViewKey) -> View:
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._new_view(key)
        return view

    def _new_view(self, key: ViewKey) -> View:
        name, borrowed = key
        own = self._reservations.get(name)
        others = [
            each
            for each in self._reservations.values()
            if each.name != name and each.name not in borrowed and (own is None or rank(each) > rank(own))
        ]
        closures = tuple(closure for each in others for closure in self._closures(each))
        licenses = tuple(
            closure
            for each in self._reservations.values()
            if each.name != name
            for closure in self._license_closures(each)
        )
        touched = frozenset[int]().union(*(closure.positions for closure in closures))
        if own is None:
            return View(key=key, closures=closures, touched=touched, license_closures=licenses)
        is_flexible = own.has("FLEX")
        has_nodes = not own.has("ANY_NODES") and not is_flexible
        return View(
            key=key,
            positions=self._positions_of(own.nodes) if has_nodes else None,
            windows=None if is_flexible else self._windows[name],
            caps=self._caps(own) if has_nodes else {},
            closures=closures,
            touched=touched,
            license_closures=licenses,
            overrun_s=self._overrun_s,
        )

    def _closures(self, reservation: Reservation) -> list[Closure]:
        by_cpus: dict[int, frozenset[int]] = {0: self._positions_of(reservation.nodes)}
        if reservation.core_shares:
            by_cpus = {}
            for share in reservation.core_shares:
                positions = self._positions_of((share.node,))
                by_cpus[share.cpu_count] = by_cpus.get(share.cpu_count, frozenset()) | positions
        return [
            Closure(positions, from_at, until_at, reservation.name, cpus, reservation.has("MAINT"))
            for from_at, until_at in self._intervals(reservation)
            for cpus, positions in by_cpus.items()
            if positions
        ]

    def _license_closures(self, reservation: Reservation) -> list[LicenseClosure]:
        return [
            LicenseClosure(name, count, from_at, until_at, reservation.name)
            for from_at, until_at in self._intervals(reservation)
            for name, count in reservation.licenses
        ]

    def _intervals(self, reservation: Reservation) -> list[tuple[float, float]]:
        """Return when others are closed out.

        A reservation that always lies ahead never opens again for a job that reaches it.
        """
        windows = self._windows[reservation.name]
        if reservation.float_s is not None:
            return [(window.from_at, _NEVER) for window in windows]
        return [(window.from_at, window.until_at) for window in windows]

    def _caps(self, reservation: Reservation) -> dict[int, int]:
        return {
            self._positions[share.node]: share.cpu_count
            for share in reservation.core_shares
            if share.node in self._positions
        }

    def _positions_of(self, names: Iterable[str]) -> frozenset[int]:
        return frozenset(self._positions[name] for name in names if name in self._positions)

    # --- questions about a view

    def room(self, view: View, position: int, free_cpus: int, from_at: float, until_at: float) -> int:
        """Return how many of the free CPUs of a node a job of the view may take for the whole interval."""
        if view.positions is not None and position not in view.positions:
            return 0
        cap = view.caps.get(position)
        if cap is not None:
            free_cpus = min(free_cpus, cap - self.used_cpus.get((view.reservation, position), 0))
        if position not in view.touched:
            return max(free_cpus, 0)
        kept: dict[str, int] = {}
        for closure in view.closures:
            if position in closure.positions and closure.meets(from_at, until_at):
                if not closure.cpus:
                    return 0
                unused = closure.cpus - self.used_cpus.get((closure.reservation, position), 0)
                kept[closure.reservation] = max(unused, 0)
        return max(free_cpus - sum(kept.values()), 0)

    def licenses_left(self, view: View, free: Mapping[str, int], from_at: float, until_at: float) -> Mapping[str, int]:
        """Return the free licenses without those that are kept for others during the interval."""
        kept: dict[tuple[str, str], int] = {}
        for closure in view.license_closures:
            if closure.from_at < until_at and from_at < closure.until_at:
                key = (closure.reservation, closure.license)
                kept[key] = max(closure.count - self.used_licenses.get(key, 0), 0)
        if not kept:
            return free
        left = dict(free)
        for (_, name), count in kept.items():
            left[name] = left.get(name, 0) - count
        return left


def compute_view(snapshot: Snapshot, job: Job) -> View:
    """Return the first way in which the job may run."""
    return Book(snapshot).views_of(job)[0]


def rank(reservation: Reservation) -> int:
    """Return how a reservation stands to those that it shares nodes with: the higher one wins."""
    return 2 if reservation.has("MAINT") else int(reservation.has("OVERLAP"))


def find_window(view: View, at: float, limit_s: float | None) -> Window | None:
    """Return the window in which the job would start, at *at* or later; None when there is none left.

    The first that holds its whole limit; when none ever does, the first that is not all but over.
    """
    assert view.windows is not None, f"view {view.key} has no windows"
    left = [window for window in view.windows if window.until_at > at]
    whole_s = _NEVER if limit_s is None else limit_s
    for window in left:
        if max(window.from_at, at) + whole_s <= _last_at(view, window):
            return window
    return next((window for window in left if window.until_at - max(window.from_at, at) >= _LEAST_LEFT_S), None)


def limit_within(view: View, window: Window, at: float, limit_s: int | None) -> int | None:
    """Return the limit of a job that starts at *at*: its own, or what is left of the window in whole minutes."""
    if view.overrun_s is None:
        return limit_s
    left_s = int(_last_at(view, window) - max(window.from_at, at)) // 60 * 60
    return left_s if limit_s is None else min(limit_s, max(left_s, 60))


def _last_at(view: View, window: Window) -> float:
    return _NEVER if view.overrun_s is None else window.until_at + view.overrun_s
