"""How the tasks of a step find each other: the plugins of --mpi and --launch, and the servers that they ask for.

A step with neither gets nothing, and pays for nothing.  Raises LaunchFailure with what is missing.
"""

from __future__ import annotations

from sluice.errors import PluginError
from sluice.model.reason import Reason
from sluice.wire.messages import JoinStep, TaskLaunch
from sluice_plugins import registry
from sluice_plugins.interfaces import MpiServer, MpiTask
from sluiced.pmi import tree
from sluiced.pmi.layout import Layout, layout_of
from sluiced.pmi.local import Local
from sluiced.pmi.local_pmi import LocalPmi
from sluiced.pmi.network import Network
from sluiced.pmi.parent import ParentLink
from sluiced.pmi.wireup import MpiWireup, Wireup
from sluiced.steps.launch import StepLaunch
from sluiced.steps.launch_failure import LaunchFailure

#: What --mpi says for a step that needs nothing.
NONE = "none"
#: The number that the first inherited descriptor gets.
_FIRST_DESCRIPTOR = 3


def make_wireup(launch: StepLaunch) -> Wireup:
    """Return what wires the step's tasks up."""
    tasks = launch.tasks
    if tasks is None or tasks.mpi in ("", NONE):
        return Wireup()
    try:
        plugin = registry.find_mpi(tasks.mpi)
    except PluginError as error:
        raise LaunchFailure(Reason.JOB_LAUNCH_FAILURE, f"--mpi={tasks.mpi}: {error}") from None
    if plugin.server is MpiServer.NONE:
        return Wireup()
    layout = layout_of(tasks.step, launch.node)
    local = _local(plugin.server, launch, layout)

    def apply(rank: int, environment: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in environment.items() if not name.startswith(plugin.dropped)}
        return kept | plugin.variables(_task(launch, layout, local, rank))

    return MpiWireup(local, Network(layout.position, layout.nodes, _parent(launch, tasks, layout)), apply)


def _local(server: MpiServer, launch: StepLaunch, layout: Layout) -> Local:
    if server is MpiServer.PMI:
        return LocalPmi(f"{launch.job.id}.{launch.step_id}.{launch.job.attempt}", layout)
    raise LaunchFailure(Reason.JOB_LAUNCH_FAILURE, "no PMIx")


def _task(launch: StepLaunch, layout: Layout, local: Local, rank: int) -> MpiTask:
    return MpiTask(
        job_id=launch.job.id,
        step_id=launch.step_id,
        rank=rank,
        size=layout.size,
        local_rank=layout.own_ranks.index(rank),
        local_size=len(layout.own_ranks),
        descriptor=_FIRST_DESCRIPTOR if local.descriptor(rank) is not None else None,
        server_variables=local.variables(rank),
    )


def _parent(launch: StepLaunch, tasks: TaskLaunch, layout: Layout) -> ParentLink | None:
    index = tree.parent(layout.position)
    if index is None:
        return None
    if len(tasks.peers) != len(layout.nodes):
        text = f"--mpi={tasks.mpi}: srun sent {len(tasks.peers)} addresses for {len(layout.nodes)} nodes"
        raise LaunchFailure(Reason.JOB_LAUNCH_FAILURE, text)
    request = JoinStep(node=launch.node, job_id=launch.job.id, attempt=launch.job.attempt, step_id=launch.step_id)
    peer = tasks.peers[index]
    return ParentLink(layout.nodes[index], peer.address, peer.port, tasks.credential, request)
