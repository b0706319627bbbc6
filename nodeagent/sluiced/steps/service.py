"""What a step offers to launchers on this node: role, peers, leased ports, what was granted, a folder for itself.

Addresses are resolved here, so that what would otherwise hang is a sentence.  Raises LaunchFailure.
"""

from __future__ import annotations

import socket

from sluice import cpuset
from sluice.model.reason import Reason
from sluice.wire.messages import TaskLaunch
from sluice_plugins.interfaces import JobService, Peer
from sluiced.pmi.layout import Layout
from sluiced.steps.launch import StepLaunch
from sluiced.steps.launch_failure import LaunchFailure
from sluiced.steps.leased_ports import leased_ports


def make_service(launch: StepLaunch, tasks: TaskLaunch, layout: Layout, temp_dir: str) -> JobService:
    """Return the service for the first task of this node."""
    part = next(part for part in tasks.step.nodes if part.node == launch.node)
    job_id, attempt = launch.world
    grant = launch.job.allocation.grant_on(launch.node) if launch.job.allocation else None
    gpus = [gres.units for gres in grant.gres if gres.name == "gpu"] if grant else []
    return JobService(
        job_id=job_id,
        step_id=launch.step_id,
        restart_count=attempt,
        node_rank=layout.position,
        peers=_peers(launch, tasks, layout),
        rank=layout.own_ranks[0],
        size=layout.size,
        local_size=len(layout.own_ranks),
        ports=leased_ports(tasks),
        cpus=part.cpu_count,
        memory_mib=part.memory_mib or (grant.memory_mib if grant else 0),
        gpus=tuple(number for units in gpus for number in cpuset.numbers(cpuset.parse(units))),
        temp_dir=temp_dir,
    )


def _peers(launch: StepLaunch, tasks: TaskLaunch, layout: Layout) -> tuple[Peer, ...]:
    addresses = [peer.address for peer in tasks.peers]
    try:
        # The head's is what every node connects to.
        addresses[0] = str(socket.getaddrinfo(addresses[0], None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        text = f"the address {addresses[0]!r} of node {layout.nodes[0]} does not resolve on node {launch.node}"
        raise LaunchFailure(Reason.JOB_LAUNCH_FAILURE, f"{text}: {error.strerror}; NodeAddr names one") from None
    return tuple(
        Peer(node, address, len(ranks))
        for node, address, ranks in zip(layout.nodes, addresses, layout.ranks, strict=True)
    )
