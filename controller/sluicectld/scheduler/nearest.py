"""What a refused request is told beside its refusal and the funnel: the nearest request that idle nodes would hold.

The nodes are taken as configured and idle, as feasible.py takes them; the changes and their costs are those of
changes.py that concern what is asked of nodes.  A change is first looked at by counts of equal nodes, and what is told
was seen to fit.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import JobSpec

from .census import Census
from .change import Ground
from .changes import CHANGES
from .cheapest import Candidate, Search
from .needs import compute_needs
from .search import find_idle
from .shapes import Shape
from .snapshot import Policy
from .working import WorkingCopy

#: Changes that have nothing to do with what nodes are.
_BESIDE_NODES = frozenset({"throttle", "shorter limit", "other partition", "licenses", "switches"})
_CHANGES = tuple([change for change in CHANGES if not change.is_gate and change.name not in _BESIDE_NODES])


def describe_nearest(
    spec: JobSpec, nodes: Sequence[Node], partition: Partition, policy: Policy, working: WorkingCopy
) -> str:
    """Return the nearest request that fits, "" for none.  working: the nodes, all up and idle."""
    job = Job(id=0, spec=spec, partition=partition.name)
    best = _find_nearest(job, nodes, partition, policy, Census(working))
    if best is None:
        return ""
    return "nearest request that fits: " + ", ".join(change.words(job, value) for change, value in best.parts)


def _find_nearest(
    job: Job, nodes: Sequence[Node], partition: Partition, policy: Policy, census: Census
) -> Candidate | None:
    working = census.working

    def shape_of(changed: Job) -> Shape:
        # A node count that the partition does not allow is a matter of its own, as in feasible.py.
        needs = replace(compute_needs(changed.spec, partition, policy), nodes_max=changed.spec.max_nodes)
        return Shape(needs, partition, None, working)

    ground = Ground(now_at=0.0, node_memory_mib=max((node.memory_mib for node in nodes), default=0))
    search = Search(job, ground, _CHANGES, lambda changed: census.could_hold(shape_of(changed), with_unusable=True))

    def fits(candidate: Candidate) -> bool:
        shape = shape_of(candidate.job)
        return find_idle(shape, working, shape.configured_candidates()) is not None

    return next(filter(fits, search.run(Candidate(job))), None)
