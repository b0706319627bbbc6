"""What a job takes as TRES: at least, by its request; exactly, by its allocation.

Pure arithmetic.  A typed gres counts under its name and under name:type, as limits may be set on either.  Billing is
the sum of weight times count, or with MAX_TRES the greatest such product on each node plus those of licenses; without
weights it is the number of CPUs.  Source: the slurm.conf manual on TRESBillingWeights and PriorityFlags.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from sluice import tres as arithmetic
from sluice.errors import InvalidRequest
from sluice.model.allocation import Allocation
from sluice.tres import Tres
from sluicectld.scheduler.levels import Kind, Take
from sluicectld.scheduler.needs import Needs

_UNITS = "KMGTP"
_MEMORY_NAMES = ("mem", "vmem")
Weights = Mapping[str, float]


class Demand:
    """What a job would add to the use of its holders.  Compared by identity, so that it is quick to look up.

    node_tres: the most on one node.  limit_s: None is unlimited.  is_open: placement gives more than is asked, as whole
    nodes or all memory.
    """

    __slots__ = ("is_open", "limit_s", "node_tres", "tres")

    def __init__(self, tres: Tres, limit_s: int | None, node_tres: Tres | None = None, is_open: bool = False) -> None:
        self.tres = tres
        self.limit_s = limit_s
        self.node_tres = node_tres or {}
        self.is_open = is_open

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two demands equal."""
        tres, node_tres = tuple(sorted(self.tres.items())), tuple(sorted(self.node_tres.items()))
        return tres, node_tres, self.limit_s, self.is_open


def compute_request(needs: Needs, limit_s: int | None, weights: str = "", is_max: bool = False) -> Demand:
    """Return the least that a job with these needs takes wherever it is placed.

    weights: the partition's TRESBillingWeights.  is_max: PriorityFlags has MAX_TRES.
    """
    nodes = needs.nodes_min
    gres = _requested_gres(needs)
    gpus = gres.get("gres/gpu", 0)
    cpus = nodes if needs.is_overcommitted else needs.tasks * needs.cpus_per_task
    cpus = max(cpus, nodes * needs.node_cpus_min, needs.cpus_per_gpu * gpus)
    memory_mib = needs.memory_per_node_mib * nodes + needs.memory_per_cpu_mib * cpus + needs.memory_per_gpu_mib * gpus
    counts = {"cpu": cpus, "mem": memory_mib, "node": nodes, **gres}
    licenses = {f"license/{name}": count for name, count in needs.licenses}
    billing = compute_billing([counts], licenses, parse_weights(weights), is_max)
    tres = arithmetic.without_zeros({**counts, **licenses, "billing": billing})
    is_open = needs.is_exclusive or needs.is_whole_memory
    return Demand(tres, limit_s, arithmetic.without_zeros(_least_share(needs)), is_open)


def compute_taken(
    takes: Iterable[tuple[Kind, Take]],
    limit_s: int | None,
    licenses: Iterable[tuple[str, int]] = (),
    weights: str = "",
    is_max: bool = False,
) -> Demand:
    """Return what a job takes that gets so much from each of its nodes."""
    by_node = []
    for kind, take in takes:
        counts: Tres = {"cpu": take.cpus, "mem": take.memory_mib, "node": 1}
        for (name, gres_type, _), count in zip(kind.gres, take.gres, strict=True):
            add_gres(counts, name, gres_type, count)
        by_node.append(counts)
    return _sum(by_node, limit_s, licenses, weights, is_max)


def compute_allocated(allocation: Allocation, limit_s: int | None, weights: str = "", is_max: bool = False) -> Demand:
    """Return what a job has that runs."""
    by_node = []
    for grant in allocation.grants:
        counts: Tres = {"cpu": grant.cpu_count, "mem": grant.memory_mib, "node": 1}
        for item in grant.gres:
            add_gres(counts, item.name, item.type, item.count)
        by_node.append(counts)
    return _sum(by_node, limit_s, allocation.licenses, weights, is_max)


def _sum(
    by_node: Sequence[Tres], limit_s: int | None, licenses: Iterable[tuple[str, int]], weights: str, is_max: bool
) -> Demand:
    license_counts = {f"license/{name}": count for name, count in licenses}
    billing = compute_billing(by_node, license_counts, parse_weights(weights), is_max)
    tres = arithmetic.add(*by_node, license_counts, {"billing": billing})
    most = arithmetic.maximum(*by_node)
    most.pop("node", None)
    return Demand(arithmetic.without_zeros(tres), limit_s, arithmetic.without_zeros(most))


def compute_billing(by_node: Iterable[Tres], licenses: Tres, weights: Weights | None, is_max: bool = False) -> int:
    """Return the billing TRES; weights None: one for each CPU.  Fractions are dropped."""
    if weights is None:
        return sum(counts.get("cpu", 0) for counts in by_node)
    total = sum(_products(licenses, weights))
    for counts in by_node:
        products = _products(counts, weights)
        total += max(products, default=0.0) if is_max else sum(products)
    return int(total)


@lru_cache(maxsize=256)
def parse_weights(text: str) -> Weights | None:
    """Return weights by TRES, memory's for one MiB; None when there are none.  CPU=1.0,Mem=0.25G,GRES/gpu=2.0.

    Raises InvalidRequest for an entry that is not name=number, with a unit at most.
    """
    if not text.strip():
        return None
    weights = {}
    for entry in text.split(","):
        name, equals, value = entry.strip().partition("=")
        kind, slash, rest = name.partition("/")
        unit = value[-1:].upper()
        number = value[:-1] if unit and unit in _UNITS else value
        try:
            weight = float(number)
        except ValueError:
            weight = -1.0
        if not name or not equals or not 0 <= weight < float("inf"):
            raise InvalidRequest(f"{entry[:40]!r} of TRESBillingWeights is not name=number", "invalid_tres")
        name = kind.lower() + slash + rest
        power = _UNITS.index(unit) + 1 if number != value else 0
        if name in _MEMORY_NAMES and power:
            # Memory counts MiB, and a weight without a unit is for one of them.
            power -= _UNITS.index("M") + 1
        weights[name] = weight / 1024.0**power
    return weights


def add_gres(counts: Tres, name: str, kind: str, count: int) -> None:
    """Count units under their name and, if they have a type, under name:type."""
    for key in (f"gres/{name}", f"gres/{name}:{kind}") if kind else (f"gres/{name}",):
        counts[key] = counts.get(key, 0) + count


def _products(counts: Tres, weights: Weights) -> list[float]:
    return [weights[name] * count for name, count in counts.items() if name in weights]


def _requested_gres(needs: Needs) -> Tres:
    counts: Tres = {}
    portions = (
        (needs.gres_per_node, needs.nodes_min),
        (needs.gres_per_task, needs.tasks),
        (needs.gres_per_job, 1),
    )
    for items, factor in portions:
        for item in items:
            add_gres(counts, item.name, item.type, item.count * factor)
    return counts


def _least_share(needs: Needs) -> Tres:
    """Return the least that the fullest node gives."""
    tasks = -(-needs.tasks // needs.nodes_max) if needs.nodes_max else max(needs.node_tasks_min, 1)
    cpus = 1 if needs.is_overcommitted else max(tasks * needs.cpus_per_task, needs.node_cpus_min)
    share: Tres = {"cpu": cpus, "mem": needs.memory_per_node_mib + needs.memory_per_cpu_mib * cpus}
    for item in needs.gres_per_node:
        add_gres(share, item.name, item.type, item.count)
    for item in needs.gres_per_task:
        add_gres(share, item.name, item.type, item.count * tasks)
    return share
