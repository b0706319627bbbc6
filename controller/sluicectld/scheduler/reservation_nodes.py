"""Which nodes and cores a reservation gets, and what stands against them: other reservations, jobs that run into it.

Nodes that are asked for by name must all be free for it; of those asked for by number the ones are taken that nothing
stands against, those it has already first, then by weight and configuration order.  A reservation with OVERLAP or
MAINT may share nodes with others, one with IGNORE_JOBS may begin on nodes that are still in use; both take such nodes
last.

Invariant: unless a flag allows it, no chosen core is another reservation's or a job's at any moment of its windows.
"""

from collections.abc import Sequence

import msgspec

from sluice import cpuset, feature_expr, hostlist
from sluice.errors import InvalidRequest, RequestError
from sluice.model.node import Node
from sluice.model.reservation import CoreShare, Reservation

from .constraints import Tree, compute_groups, parse_constraint
from .explain import count_of, format_at
from .recurrence import Window, compute_windows, find_period
from .snapshot import RunningJob

#: Two repeating reservations are compared over so long a time: months with every weekday and every hour.
_HORIZON_S = 62 * 86400.0
_NEVER = float("inf")
_SHOWN_MAX = 4


class Wish(msgspec.Struct, frozen=True):
    """What is asked for, and among what it is chosen.

    named: nodes asked for by name; node_count: else how many, 0 for as many as the cores take.  core_counts: a total,
    or one number for each node; empty for whole nodes.  present: the nodes that the reservation has already.
    """

    reservation: Reservation
    named: tuple[str, ...] = ()
    node_count: int = 0
    core_counts: tuple[int, ...] = ()
    present: tuple[str, ...] = ()


class Choice(msgspec.Struct, frozen=True):
    """The nodes, in the order of the configuration, and the cores of each unless they are kept whole."""

    nodes: tuple[str, ...]
    shares: tuple[CoreShare, ...] = ()


class Surroundings(msgspec.Struct, frozen=True):
    """nodes: those that may be chosen, in the order of the configuration."""

    nodes: tuple[Node, ...]
    others: tuple[Reservation, ...]
    running: tuple[RunningJob, ...]
    now_at: float
    utc_offset_s: int = 0


class _Site(msgspec.Struct):
    """A node with what is in the way on it: masks of cores, and a sentence each."""

    node: Node
    cores: int
    reserved: int = 0
    busy: int = 0
    by_reservation: str = ""
    by_job: str = ""

    def free_cores(self, may_share: bool, may_ignore: bool) -> int:
        taken = (0 if may_share else self.reserved) | (0 if may_ignore else self.busy)
        return self.cores & ~taken


def choose(wish: Wish, around: Surroundings) -> Choice:
    """Return the nodes and cores that the reservation gets.

    Raises RequestError with what stands against it, the numbers, and what would work.
    """
    sites = _survey(wish, around)
    reservation = wish.reservation
    may_share = reservation.has("MAINT") or reservation.has("OVERLAP")
    may_ignore = reservation.has("IGNORE_JOBS")
    if wish.named:
        chosen = [sites[name] for name in wish.named]
        if not wish.core_counts:
            _require_free(chosen, may_share, may_ignore)
    else:
        chosen = _choose_by_number(wish, list(sites.values()), may_share, may_ignore)
    chosen.sort(key=lambda site: site.node.index)
    nodes = tuple(site.node.name for site in chosen)
    if not wish.core_counts:
        return Choice(nodes)
    return Choice(nodes, _share_cores(wish, chosen, may_share, may_ignore))


def rank_fit(wish: Wish, around: Surroundings) -> list[str]:
    """Return all nodes that a reservation of whole nodes could have, the best first."""
    reservation = wish.reservation
    may_share = reservation.has("MAINT") or reservation.has("OVERLAP")
    sites = list(_survey(wish, around).values())
    return _names(_rank_sites(wish, sites, may_share, reservation.has("IGNORE_JOBS")))


def find_overlap(one: Sequence[Window], other: Sequence[Window]) -> Window | None:
    """Return the first stretch of time that lies in windows of both; each sequence is ascending."""
    left = right = 0
    while left < len(one) and right < len(other):
        from_at = max(one[left].from_at, other[right].from_at)
        until_at = min(one[left].until_at, other[right].until_at)
        if from_at < until_at:
            return Window(from_at, until_at)
        if one[left].until_at <= other[right].until_at:
            left += 1
        else:
            right += 1
    return None


def find_shared_time(one: Reservation, other: Reservation, now_at: float) -> Window | None:
    """Return the first time at which both are."""
    ends = [each.end_at for each in (one, other) if not find_period(each) and each.float_s is None]
    horizon_at = max([now_at + _HORIZON_S, *ends])
    return find_overlap(*(_long_windows(each, now_at, horizon_at) for each in (one, other)))


def count_cores(node: Node) -> int:
    """Return the cores of a node; of one whose CPUs are no whole cores its CPUs."""
    cores = node.sockets * node.cores_per_socket
    return cores if cores * node.threads_per_core == node.cpus else node.cpus


def _long_windows(reservation: Reservation, now_at: float, horizon_at: float) -> Sequence[Window]:
    windows = compute_windows(reservation, now_at, horizon_at)
    if reservation.float_s is not None:
        return [Window(window.from_at, _NEVER) for window in windows]
    return windows


def _survey(wish: Wish, around: Surroundings) -> dict[str, _Site]:
    """Return each node with what is in the way on it."""
    sites = {node.name: _Site(node, (1 << count_cores(node)) - 1) for node in around.nodes}
    for other in around.others:
        shared = find_shared_time(wish.reservation, other, around.now_at)
        if shared is not None:
            _note_reservation(sites, other, shared, around)
    windows = compute_windows(wish.reservation, around.now_at, around.now_at + _HORIZON_S)
    begin_at = max(min((window.from_at for window in windows), default=0.0), around.now_at)
    for job in around.running:
        end_at = _NEVER if job.expected_end_at is None else job.expected_end_at
        if end_at > begin_at and job.reservation != wish.reservation.name:
            _note_job(sites, job, around)
    return sites


def _note_reservation(sites: dict[str, _Site], other: Reservation, shared: Window, around: Surroundings) -> None:
    begin, end = (format_at(at, around.now_at, around.utc_offset_s) for at in (shared.from_at, shared.until_at))
    text = f"reservation {other.name!r} has it from {begin} to {end}"
    masks = {share.node: cpuset.parse(share.cores) for share in other.core_shares}
    for name in other.nodes:
        site = sites.get(name)
        if site is not None:
            site.reserved |= masks.get(name, 0) if other.core_shares else site.cores
            site.by_reservation = site.by_reservation or text


def _note_job(sites: dict[str, _Site], job: RunningJob, around: Surroundings) -> None:
    end_at = job.expected_end_at
    end = "without a limit" if end_at is None else f"until {format_at(end_at, around.now_at, around.utc_offset_s)}"
    for grant in job.allocation.grants:
        site = sites.get(grant.node)
        if site is not None:
            threads = max(site.node.cpus // count_cores(site.node), 1)
            for cpu in cpuset.numbers(cpuset.parse(grant.cpus)):
                site.busy |= 1 << cpu // threads
            site.by_job = site.by_job or f"job {job.job_id} runs there {end}"


def _require_free(sites: Sequence[_Site], may_share: bool, may_ignore: bool) -> None:
    for site in sites:
        if site.reserved and not may_share:
            raise RequestError(
                f"node {site.node.name}: {site.by_reservation}; Flags=OVERLAP or MAINT would let both have it",
                "reservation_overlap",
            )
        if site.busy and not may_ignore:
            raise RequestError(
                f"node {site.node.name}: {site.by_job}; Flags=IGNORE_JOBS would not wait for it", "reservation_nodes"
            )


def _choose_by_number(wish: Wish, sites: list[_Site], may_share: bool, may_ignore: bool) -> list[_Site]:
    fit = _rank_sites(wish, sites, may_share, may_ignore)
    wanted = _count_nodes(wish, fit, may_share, may_ignore)
    chosen = _with_features(parse_constraint(wish.reservation.features), fit, wanted)
    if chosen is None or len(chosen) < wanted:
        raise RequestError(_shortage(wish, sites, fit, wanted), "reservation_nodes")
    return chosen


def _rank_sites(wish: Wish, sites: list[_Site], may_share: bool, may_ignore: bool) -> list[_Site]:
    """Return the nodes that the reservation could have, the best first."""
    tree = parse_constraint(wish.reservation.features)
    is_maintenance = wish.reservation.has("MAINT")

    def is_fit(site: _Site) -> bool:
        free = site.free_cores(may_share, may_ignore)
        is_up = site.node.is_usable or is_maintenance or site.node.name in wish.present
        suits = not tree or feature_expr.evaluate(tree, site.node.features)
        return is_up and suits and (bool(free) if wish.core_counts else free == site.cores)

    def order(site: _Site) -> tuple[object, ...]:
        is_new = site.node.name not in wish.present
        in_the_way = (bool(site.reserved), bool(site.busy), not site.node.is_usable)
        return (is_new, *in_the_way, site.node.weight, site.node.index)

    return sorted(filter(is_fit, sites), key=order)


def _count_nodes(wish: Wish, fit: Sequence[_Site], may_share: bool, may_ignore: bool) -> int:
    """Return how many nodes it takes."""
    if wish.node_count:
        return wish.node_count
    if len(wish.core_counts) > 1:
        return len(wish.core_counts)
    left, count = wish.core_counts[0], 0
    for site in fit:
        if left <= 0:
            break
        left -= site.free_cores(may_share, may_ignore).bit_count()
        count += 1
    if left > 0:
        most = wish.core_counts[0] - left
        raise RequestError(f"{wish.core_counts[0]} cores asked, {most} are free in that time", "reservation_nodes")
    return count


def _with_features(tree: Tree, fit: Sequence[_Site], wanted: int) -> list[_Site] | None:
    """Return the first nodes, with those that fill every count of the features among them."""
    chosen: list[_Site] = []
    for group in compute_groups(tree):
        suiting = [site for site in fit if site not in chosen and feature_expr.evaluate(group.tree, site.node.features)]
        if len(suiting) < group.count:
            return None
        chosen += suiting[: group.count]
    chosen += [site for site in fit if site not in chosen][: max(wanted - len(chosen), 0)]
    return chosen


def _shortage(wish: Wish, sites: Sequence[_Site], fit: Sequence[_Site], wanted: int) -> str:
    against = [
        f"{site.node.name}: {site.by_reservation or site.by_job or _state_text(site.node)}"
        for site in sites
        if site not in fit
    ]
    more = f" and {len(against) - _SHOWN_MAX} more" if len(against) > _SHOWN_MAX else ""
    features = f" with features {wish.reservation.features}" if wish.reservation.features else ""
    partition = f" in partition {wish.reservation.partition}" if wish.reservation.partition else ""
    lines = [
        f"{count_of(wanted, 'node')}{features} asked, {len(fit)} of {len(sites)}{partition} can be had in that time",
        *(f"{line}" for line in against[:_SHOWN_MAX]),
    ]
    advice = f"; NodeCnt={len(fit)} would fit" if 0 < len(fit) < wanted else ""
    return "; ".join(lines) + more + advice


def _state_text(node: Node) -> str:
    return "not as asked" if node.is_usable else node.reason or f"{node.state.value.lower()} or drained"


def _share_cores(wish: Wish, chosen: Sequence[_Site], may_share: bool, may_ignore: bool) -> tuple[CoreShare, ...]:
    """Return the cores of each node: the lowest free ones."""
    counts = _count_cores_by_node(wish, chosen, may_share, may_ignore)
    shares = []
    for site, count in zip(chosen, counts, strict=True):
        preferred = site.free_cores(False, False)
        allowed = site.free_cores(may_share, may_ignore)
        if allowed.bit_count() < count:
            raise RequestError(
                f"node {site.node.name}: {count} cores asked, {allowed.bit_count()} are free in that time"
                f"; {site.by_reservation or site.by_job or 'it has no more'}",
                "reservation_nodes",
            )
        mask = cpuset.lowest(preferred, min(count, preferred.bit_count()))
        mask |= cpuset.lowest(allowed & ~mask, count - mask.bit_count())
        threads = max(site.node.cpus // count_cores(site.node), 1)
        shares.append(
            CoreShare(node=site.node.name, cores=cpuset.format(mask), core_count=count, cpu_count=count * threads)
        )
    return tuple(shares)


def _count_cores_by_node(wish: Wish, chosen: Sequence[_Site], may_share: bool, may_ignore: bool) -> list[int]:
    counts = list(wish.core_counts)
    if len(counts) == len(chosen):
        return counts
    if len(counts) > 1:
        raise InvalidRequest(
            f"CoreCnt has {len(counts)} numbers for {len(chosen)} nodes ({hostlist.fold(_names(chosen))})",
            "reservation",
        )
    if wish.node_count or wish.named:
        share, more = divmod(counts[0], len(chosen))
        return [share + (place < more) for place in range(len(chosen))]
    left = counts[0]
    result = []
    for site in chosen:
        count = min(left, site.free_cores(may_share, may_ignore).bit_count())
        result.append(count)
        left -= count
    return result


def _names(sites: Sequence[_Site]) -> list[str]:
    return [site.node.name for site in sites]
