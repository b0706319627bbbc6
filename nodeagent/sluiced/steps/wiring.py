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
from sluiced.pmi.helper import Setup
from sluiced.pmi.layout import Layout, layout_of
from sluiced.pmi.local import Local
from sluiced.pmi.local_pmi import LocalPmi
from sluiced.pmi.local_pmix import HelperProblem, LocalPmix
from sluiced.pmi.network import Network
from sluiced.pmi.parent import ParentLink
from sluiced.pmi.wireup import MpiWireup, Wireup
from sluiced.steps.launch import StepLaunch
from sluiced.steps.launch_failure import LaunchFailure
from sluiced.steps.temp_dir import TempDir
from sluiced.steps.user import User

#: What --mpi says for a step that needs nothing.
NONE = "none"
#: The number that the first inherited descriptor gets.
_FIRST_DESCRIPTOR = 3


def make_wireup(launch: StepLaunch, user: User) -> Wireup:
    """Return what wires the step's tasks up."""
    tasks = launch.tasks
    if tasks is None or tasks.mpi in ("", NONE):
        return Wireup()
    try:
        plugin = registry.find_mpi(tasks.mpi)
    except PluginError as error:
        raise _failure(f"--mpi={tasks.mpi}: {error}") from None
    if plugin.server is MpiServer.NONE:
        return Wireup()
    layout = layout_of(tasks.step, launch.node)
    parent = _parent(launch, tasks, layout)
    temp_dir = _make_temp_dir(launch, user)
    try:
        local = _make_local(plugin.server, launch, layout, user, temp_dir.path)
    except HelperProblem as problem:
        temp_dir.remove()
        raise _failure(f"--mpi={tasks.mpi}: {problem}; MPICH and its relatives need only --mpi=pmi2") from None

    def apply(rank: int, environment: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in environment.items() if not name.startswith(plugin.dropped)}
        return kept | plugin.variables(_task(launch, layout, local, rank))

    return MpiWireup(local, Network(layout.position, layout.nodes, parent), apply, temp_dir.remove)


def _make_temp_dir(launch: StepLaunch, user: User) -> TempDir:
    parent = launch.config.tmp_fs or "/tmp"
    try:
        return TempDir(parent, launch.name, user)
    except OSError as error:
        raise _failure(f"{parent} (TmpFS): a folder for the step cannot be made: {error.strerror}") from None


def _make_local(server: MpiServer, launch: StepLaunch, layout: Layout, user: User, temp_dir: str) -> Local:
    """Raises HelperProblem."""
    name = f"{launch.job.id}.{launch.step_id}.{launch.job.attempt}"
    if server is MpiServer.PMI:
        return LocalPmi(name, layout)
    setup = Setup(nspace=f"sluice.{name}", layout=layout, uid=user.uid, gid=user.gid, temp_dir=temp_dir)
    return LocalPmix(setup, user)


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
        raise _failure(f"srun sent {len(tasks.peers)} addresses for the {len(layout.nodes)} nodes of the step")
    request = JoinStep(node=launch.node, job_id=launch.job.id, attempt=launch.job.attempt, step_id=launch.step_id)
    peer = tasks.peers[index]
    return ParentLink(layout.nodes[index], peer.address, peer.port, tasks.credential, request)


def _failure(text: str) -> LaunchFailure:
    return LaunchFailure(Reason.JOB_LAUNCH_FAILURE, text)
