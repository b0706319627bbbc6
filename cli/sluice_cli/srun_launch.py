"""Reaching the nodes of a step: one connection each to its agent, then one TaskLaunch.

The connection is the step daemon's from then on: notices both ways until StepDone.
"""

from __future__ import annotations

import functools
import os
import time

from sluice.errors import PeerError, Refused
from sluice.wire import light
from sluice.wire.framing import CONNECTION_ID, NOTICE
from sluice_cli import environment, job_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sluice.wire.light import LightConnection
    from sluice_cli.draft import Draft
    from sluice_cli.srun_files import Streams


#: How long an agent may take to listen again that is being restarted.
RESTART_S = 10.0
RESTART_PAUSE_S = 0.2
#: An agent that goes as often takes no launch.
_LAUNCHES_MAX = 10
_COUNTS = (b"SLURM_JOB_NUM_NODES", b"SLURM_NNODES", b"SLURM_NTASKS", b"SLURM_NPROCS")


class LaunchFailed(Exception):
    """A node's agent can't be reached."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason


class NodeLink:
    """The tasks of one node, as srun talks to them.

    body: its TaskLaunch, but for the node's name; request_id: of the TaskLaunch, for its refusal.
    reach: makes another connection to the node's agent.
    """

    def __init__(
        self, connection: LightConnection, node: str, ranks: Sequence[int], reach: Callable[[], LightConnection]
    ) -> None:
        self.connection = connection
        self._reach = reach
        self.node = node
        self.ranks = frozenset(ranks)
        self.request_id = 0
        self.body: dict[str, Any] = {}
        self.has_started = False
        self.is_done = False
        #: Until when its agent, which is gone with the launch, may be there again; None: it is not gone.
        self.returns_until: float | None = None
        self._launches = 0

    def is_node_there(self) -> bool:
        """Tell whether the node's agent listens."""
        try:
            self._reach().close()
        except PeerError:
            return False
        return True

    @property
    def can_launch_again(self) -> bool:
        """Can the launch have been lost with the agent that had it?"""
        return bool(self.body) and not self.has_started and self._launches < _LAUNCHES_MAX

    @property
    def is_repeated(self) -> bool:
        return self._launches > 1

    def launch(self) -> None:
        """Send the TaskLaunch.  Raises PeerError."""
        self._launches += 1
        self.request_id = self.connection.send_request("TaskLaunch", {**self.body, "node": self.node})

    def launch_again(self) -> None:
        """Send it to the agent that is there now, which refuses it if the step daemon had got it.  Raises PeerError."""
        self.connection.close()
        self.connection = self._reach()
        self.launch()

    def notify(self, name: str, body: dict[str, Any]) -> None:
        """Queue a notice; the loop sends it."""
        if not self.is_done and self.returns_until is None:
            self.connection.queue(NOTICE, CONNECTION_ID, name, body)


def connect(created: dict[str, Any]) -> list[NodeLink]:
    """Return a link to each node of the step, waiting for agents that are being restarted.  Raises LaunchFailed."""
    links: list[NodeLink] = []
    ends_at = time.monotonic() + RESTART_S
    for place in created["addresses"]:
        part = place["node"]
        reach = functools.partial(light.connect_tcp, place["address"], place["port"], created["credential"])
        try:
            connection = _connect_patiently(reach, ends_at)
        except PeerError as error:
            close(links)
            raise LaunchFailed(part["node"], str(error)) from None
        links.append(NodeLink(connection, part["node"], _ranks(part), reach))
    return links


def _connect_patiently(reach: Callable[[], LightConnection], ends_at: float) -> LightConnection:
    while True:
        try:
            return reach()
        except Refused:
            if time.monotonic() >= ends_at:
                raise
        time.sleep(RESTART_PAUSE_S)


def _ranks(part: dict[str, Any]) -> list[int]:
    from sluice import cpuset

    ranks: list[int] = cpuset.numbers(cpuset.parse(part.get("ranks", "")))
    return ranks


def close(links: Sequence[NodeLink]) -> None:
    for link in links:
        link.connection.close()


def launch(links: Sequence[NodeLink]) -> None:
    """Send every node its TaskLaunch, again where an agent is gone and comes back.  Raises LaunchFailed."""
    for link in links:
        try:
            link.launch()
        except PeerError:
            _launch_patiently(link)


def _launch_patiently(link: NodeLink) -> None:
    ends_at = time.monotonic() + RESTART_S
    while True:
        try:
            link.launch_again()
        except PeerError as error:
            if time.monotonic() >= ends_at:
                raise LaunchFailed(link.node, str(error)) from None
            time.sleep(RESTART_PAUSE_S)
        else:
            return


def launch_body(
    created: dict[str, Any], draft: Draft, argv: Sequence[str], streams: Streams, pty_size: tuple[int, int] | None
) -> dict[str, Any]:
    """Return what the TaskLaunches of a part of the step have in common."""
    own = draft.own
    folder = job_request.work_dir(draft)
    mpi = own.get("mpi") or created.get("mpi_default", "none")
    return {
        "credential": created["credential"],
        "job": created["job"],
        "step": created["step"],
        "argv": [_program(argv[0], folder), *argv[1:]],
        "environment": task_environment(draft),
        "work_dir": folder,
        "umask": environment.current_umask(),
        "rlimits": environment.limits(own.get("propagate", ("ALL",))),
        "is_limits_asked": "propagate" in own,
        "std_in": streams.std_in,
        "std_out": streams.std_out,
        "std_err": streams.std_err,
        "open_mode": draft.spec.get("open_mode", ""),
        "is_pty": pty_size is not None,
        "pty_size": pty_size or (24, 80),
        "is_labelled": bool(own.get("label")),
        "is_unbuffered": bool(own.get("unbuffered")),
        "waits_for_children": bool(own.get("wait-for-children")),
        "kill_on_bad_exit": bool(own.get("kill-on-bad-exit")),
        "multi_prog": own.get("multi-prog-text", ""),
        "task_prolog": own.get("task-prolog", ""),
        "task_epilog": own.get("task-epilog", ""),
        "mpi": mpi,
        "launcher": own.get("launch", ""),
        "cluster": created.get("cluster", ""),
        "own_environment": _preserved() if own.get("preserve-env") else [],
        "peers": _peers(created) if mpi != "none" or own.get("launch") or own.get("resv-ports") else [],
    }


def _peers(created: dict[str, Any]) -> list[dict[str, Any]]:
    """Return where the step daemons find each other's agents."""
    return [{"address": place["address"], "port": place["port"]} for place in created["addresses"]]


def _preserved() -> list[bytes]:
    """--preserve-env: the counts of nodes and tasks that srun was started with go on to the tasks."""
    return [name + b"=" + os.environb[name] for name in _COUNTS if name in os.environb]


def _program(name: str, folder: str) -> str:
    """A bare name is looked up in the task's PATH, on its node."""
    return os.path.join(folder, name) if "/" in name else name


def task_environment(draft: Draft) -> list[bytes]:
    """Return NAME=value of what --export lets through, and of what this submission says of itself."""
    variables = environment.exported(draft.spec.get("export", ""), os.environb)
    for name, value in environment.submission_variables().items():
        if name in (b"SLURM_UMASK", b"SLURM_PRIO_PROCESS") or name not in variables:
            variables[name] = value
    return environment.encode(variables)
