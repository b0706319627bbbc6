"""A block of ports for a step: the same on each of its nodes, and nobody else's there while its job lives.

A job keeps what its steps were given until it ends; a later step of it gets an earlier one's block again.  Nodes that
share an address share their ports.  What other programs listen on is for the node to find out.  MpiParams=ports=A-B.
"""

from collections.abc import Iterable, Sequence

from sluice.errors import InvalidRequest, RequestError
from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.states import StepState
from sluice.model.step import Step, StepNode
from sluicectld.state.cluster import Cluster

from .turn import Turn

#: Below the ports of outgoing connections, and of local clusters' daemons.
FIRST, LAST = 13_000, 18_999
NONE = (0, 0)


def lease_ports(turn: Turn, job: Job, spec: StepSpec, nodes: tuple[StepNode, ...]) -> tuple[int, int]:
    """Return the first and last port for a new step, NONE when it wants none.  Raises RequestError."""
    return lease_common_ports(turn, [job], spec, nodes)


def lease_common_ports(turn: Turn, jobs: Sequence[Job], spec: StepSpec, nodes: tuple[StepNode, ...]) -> tuple[int, int]:
    """Return the same of a step over components: one block, free on the nodes of all.  jobs: the components."""
    count = spec.ports if spec.ports >= 0 else max(node.ntasks for node in nodes)
    if not count:
        return NONE
    first, last = port_range(turn.settings.mpi_parameters.get("ports", ""))
    if count > last - first + 1:
        raise InvalidRequest(f"{count} ports wanted, MpiParams has {last - first + 1} ({first}-{last})", "ports")
    by_job = [[step for step in turn.cluster.steps.get(job.id, {}).values() if step.ports != NONE] for job in jobs]
    earlier = [step for steps in by_job for step in steps]
    in_use = _ports_of(step for step in earlier if step.state is StepState.RUNNING)
    for low, high in sorted(set[tuple[int, int]].intersection(*({step.ports for step in steps} for steps in by_job))):
        if high - low + 1 >= count and in_use.isdisjoint(range(low, high + 1)):
            return low, low + count - 1
    taken = _taken(turn.cluster, {job.id for job in jobs}, _hosts(turn.cluster, nodes)) | _ports_of(earlier)
    # Not always from the start: connections that have just ended hold their ports for a while.
    start = first + jobs[0].id * count % (last - first + 1)
    for low in (*range(start, last - count + 2), *range(first, min(start, last - count + 2))):
        if taken.isdisjoint(range(low, low + count)):
            return low, low + count - 1
    text = f"no {count} neighbouring ports of {first}-{last} (MpiParams) are free on all nodes of the step"
    raise RequestError(text, "ports_busy")


def port_range(text: str) -> tuple[int, int]:
    """Return what MpiParams=ports= says, the default for nothing.  Raises InvalidRequest."""
    if not text:
        return FIRST, LAST
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) < 65536):
        raise InvalidRequest(f"MpiParams=ports={text}: a range such as 13000-18999 was expected", "ports")
    return int(first), int(last)


def _ports_of(steps: Iterable[Step]) -> set[int]:
    return {port for step in steps for port in range(step.ports[0], step.ports[1] + 1)}


def _taken(cluster: Cluster, own_ids: set[int], addresses: set[str]) -> set[int]:
    """Return the ports that other jobs have on hosts of these addresses."""
    taken: set[int] = set()
    for job_id, steps in cluster.steps.items():
        if job_id in own_ids or cluster.jobs[job_id].is_ended:
            continue
        taken |= _ports_of(
            step for step in steps.values() if step.ports != NONE and addresses & _hosts(cluster, step.nodes)
        )
    return taken


def _hosts(cluster: Cluster, nodes: Iterable[StepNode]) -> set[str]:
    return {cluster.nodes[node.node].address or node.node for node in nodes if node.node in cluster.nodes}
