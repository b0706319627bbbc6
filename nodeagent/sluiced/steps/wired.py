"""A step whose tasks find each other: the plugins of --mpi and --launch, and the servers that they ask for.

Raises LaunchFailure with what is missing.  Imported for such steps alone, by the fork server for all that follow.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from sluice import pmix_version
from sluice.errors import InvalidRequest, PluginError
from sluice.model.reason import Reason
from sluice.wire.messages import JoinStep, TaskLaunch
from sluice_plugins import registry
from sluice_plugins.interfaces import LaunchPlugin, MpiPlugin, MpiServer, MpiTask
from sluiced.pmi import tree
from sluiced.pmi.helper import Setup
from sluiced.pmi.layout import Layout, layout_of
from sluiced.pmi.local import Local
from sluiced.pmi.local_pmi import LocalPmi
from sluiced.pmi.local_pmix import HelperProblem, LocalPmix
from sluiced.pmi.network import Network
from sluiced.pmi.parent import ParentLink
from sluiced.pmi.wireup import StepWireup
from sluiced.steps import private_dirs
from sluiced.steps.launch import StepLaunch
from sluiced.steps.launch_failure import LaunchFailure
from sluiced.steps.service import make_service
from sluiced.steps.temp_dir import TempDir
from sluiced.steps.user import User
from sluiced.steps.wireup import Dressing, Wireup
from sluiced.steps.wiring import NONE

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: The number that the first inherited descriptor gets.
_FIRST_DESCRIPTOR = 3


def make_step_wireup(launch: StepLaunch, tasks: TaskLaunch, user: User, is_private: bool) -> Wireup:
    """Return what wires the tasks up.  is_private: they get directories of their own."""
    is_plain = not tasks.launcher and tasks.mpi in ("", NONE)
    mpi, launcher = _find_plugins(tasks)
    try:
        layout = layout_of(tasks.step, launch.node, tasks.parts)
    except InvalidRequest as error:
        raise _failure(error.message) from None
    parent = None if is_plain else _parent(launch, tasks, layout, user)
    with contextlib.ExitStack() as undo:
        temp_dir = _make_temp_dir(launch, user)
        undo.callback(temp_dir.remove)
        local = _make_local(mpi.server, launch, tasks.mpi, layout, user, temp_dir.path)
        undo.callback(local.close)
        dressing = _Dressing(launch, tasks, layout, local, mpi, launcher, temp_dir.path)
        namespace = _make_namespace(launch, tasks, user, temp_dir.path) if is_private else None
        network = Network(layout.position, layout.nodes, parent)
        return StepWireup(local, network, dressing, namespace, undo.pop_all().close)
    raise AssertionError("the stack suppresses nothing")


class _Dressing(Dressing):
    """What the plugins make of environment and command line."""

    def __init__(
        self,
        launch: StepLaunch,
        tasks: TaskLaunch,
        layout: Layout,
        local: Local,
        mpi: MpiPlugin,
        launcher: LaunchPlugin | None,
        temp_dir: str,
    ) -> None:
        self.is_per_node = launcher is not None and launcher.is_per_node
        self.ends_head_last = launcher is not None
        self.missing_hint = getattr(launcher, "missing_hint", "")
        self._launch = launch
        self._layout = layout
        self._local = local
        self._mpi = mpi
        self._launcher = launcher
        self._service = make_service(launch, tasks, layout, temp_dir) if launcher is not None else None

    def environment(self, rank: int, given: dict[str, str]) -> dict[str, str]:
        dropped = self._mpi.dropped
        kept = {name: value for name, value in given.items() if not name.startswith(dropped)} if dropped else given
        variables = self._mpi.variables(self._task(rank))
        if self._launcher is not None and self._service is not None:
            local_rank = self._layout.own_ranks.index(rank)
            service = replace(self._service, rank=rank, local_rank=local_rank)
            variables |= _ask(lambda launcher: launcher.variables(service), self._launcher)
        return kept | variables

    def command(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        service = self._service
        if self._launcher is None or service is None:
            return argv
        return _ask(lambda launcher: launcher.command(service, argv), self._launcher)

    def _task(self, rank: int) -> MpiTask:
        return MpiTask(
            job_id=self._launch.world[0],
            step_id=self._launch.step_id,
            rank=rank,
            size=self._layout.size,
            local_rank=self._layout.own_ranks.index(rank),
            local_size=len(self._layout.own_ranks),
            descriptor=_FIRST_DESCRIPTOR if self._local.descriptor(rank) is not None else None,
            server_variables=self._local.variables(rank),
        )


def _find_plugins(tasks: TaskLaunch) -> tuple[MpiPlugin, LaunchPlugin | None]:
    try:
        return _find_mpi(tasks.mpi or NONE), _find_launcher(tasks.launcher) if tasks.launcher else None
    except PluginError as error:
        raise _failure(str(error)) from None


def _ask(question: Callable[[LaunchPlugin], T], launcher: LaunchPlugin) -> T:
    try:
        return question(launcher)
    except PluginError as error:
        raise _failure(str(error)) from None


# Looking for entry points takes milliseconds: the fork server does it once for all of its step daemons.
_find_mpi = functools.cache(registry.find_mpi)
_find_launcher = functools.cache(registry.find_launcher)


def load_plugins() -> None:
    """Load what --mpi and --launch may name later; one that cannot be loaded is told to who asks for it."""
    finders: tuple[tuple[str, Callable[[str], object]], ...] = (("mpi", _find_mpi), ("launch", _find_launcher))
    for kind, find in finders:
        for name in registry.names(kind):
            try:
                find(name)
            except PluginError as error:
                logger.warning("%s", error)


def _make_temp_dir(launch: StepLaunch, user: User) -> TempDir:
    parent = launch.temp_parent
    try:
        return TempDir(parent, launch.name, user)
    except OSError as error:
        raise _failure(f"{parent} (TmpFS): a folder for the step cannot be made: {error.strerror}") from None


def _make_local(server: MpiServer, launch: StepLaunch, type_: str, layout: Layout, user: User, temp_dir: str) -> Local:
    job_id, attempt = launch.world
    name = f"{job_id}.{launch.step_id}.{attempt}"
    if server is MpiServer.NONE:
        return Local()
    if server is MpiServer.PMI:
        return LocalPmi(name, layout)
    setup = Setup(
        nspace=f"sluice.{name}",
        layout=layout,
        uid=user.uid,
        gid=user.gid,
        temp_dir=temp_dir,
        major=pmix_version.major_of(type_),
    )
    try:
        return LocalPmix(setup, user)
    except HelperProblem as problem:
        raise _failure(f"PMIx: {problem}; MPICH and its relatives need only --mpi=pmi2") from None


def _make_namespace(launch: StepLaunch, tasks: TaskLaunch, user: User, temp_dir: str) -> int | None:
    if os.geteuid() != 0:
        return None
    values = [entry.partition(b"=")[2].decode("utf-8", "surrogateescape") for entry in tasks.environment]
    values += [launch.conf_path, launch.notice_path, launch.config.task_prolog, launch.config.task_epilog]
    paths = [*tasks.argv, *(part for value in values for part in value.split(":"))]
    try:
        covers = private_dirs.plan_covers(
            launch.config.private_dirs, temp_dir, tasks.work_dir, paths, program=tasks.argv[0]
        )
        return private_dirs.make_namespace(covers, user)
    except OSError as error:
        logger.warning("step %s: no directories of its own (SluicePrivateDirs): %s", launch.name, error)
        return None


def _parent(launch: StepLaunch, tasks: TaskLaunch, layout: Layout, user: User) -> ParentLink | None:
    if len(tasks.peers) != len(layout.nodes):
        raise _failure(f"srun sent {len(tasks.peers)} addresses for the {len(layout.nodes)} nodes of the step")
    index = tree.parent(layout.position)
    if index is None:
        return None
    job_id, attempt, credential = launch.job.id, launch.job.attempt, tasks.credential
    if tasks.parts:
        part = tasks.parts[layout.component_of(index)]
        job_id, attempt, credential = part.job_id, part.attempt, part.credential
    own = layout.nodes[layout.position]
    request = JoinStep(node=own, job_id=job_id, attempt=attempt, step_id=launch.step_id)
    peer = tasks.peers[index]
    return ParentLink(layout.nodes[index], peer.address, peer.port, credential, request, user)


def _failure(text: str) -> LaunchFailure:
    return LaunchFailure(Reason.JOB_LAUNCH_FAILURE, text)
