"""Who makes the steps of a job: the agent of its first node, as the job's programs are told, or else the controller."""

from __future__ import annotations

import contextlib
import os
import time

from sluice.errors import AuthenticationFailed, NotFound, PeerError, RequestError, SluiceError, Unreachable
from sluice.wire import light
from sluice.wire.framing import node_audience
from sluice_cli import client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice.wire.light import LightConnection

#: How often a request goes to where its job's steps are said to be, before that is an error.
_MOVES_MAX = 20
_MOVE_PAUSE_S = 0.2
#: How long srun waits for its step to be over once its tasks are.
_WAIT_END_S = 2.0


class StepMaker:
    """Where requests about one job's steps go; answers that point elsewhere are followed.

    job_id: None for the controller alone.
    """

    def __init__(self, job_id: int | None) -> None:
        self._job_id = job_id
        self._place = _told_place(job_id)
        #: Of the controller, where it has told the place; else it is to be had on this host.
        self._credential = ""
        self._moves = 0

    @property
    def is_agent(self) -> bool:
        return self._place is not None

    def connect(self) -> LightConnection:
        """Return a connection to whoever makes the steps.  Raises SluiceError."""
        if self._place is not None:
            try:
                return self._reach(*self._place)
            except (Unreachable, AuthenticationFailed):
                if self._credential:
                    raise
                # The controller knows better than an environment that may be old.
                self._place = None
        return client.connect()

    def call(self, name: str, body: object, deadline_s: float = light.CALL_DEADLINE_S) -> Any:
        """Return the reply to a request that may be repeated.  Raises SluiceError."""
        while True:
            try:
                with self.connect() as connection:
                    return connection.call(name, body, deadline_s)
            except (RequestError, PeerError) as error:
                if not self.follow(error):
                    raise

    def wait_end(self, created: dict[str, Any]) -> None:
        """Wait until what the step had is free again: the next one of a script finds it so, and stays on its nodes.

        In a job of one node there is no other node to go to.  Whoever does not answer soon is not waited for.
        """
        if self._place is None or len(created["job"]["allocation"]["grants"]) < 2:
            return
        step = created["step"]
        with contextlib.suppress(SluiceError), self.connect() as connection:
            body = {"job_id": step["job_id"], "step_id": step.get("step_id", 0)}
            connection.call("WaitStepEnd", body, _WAIT_END_S)

    def follow(self, error: SluiceError) -> bool:
        """Return whether a refusal means that the same request is to be made again, elsewhere."""
        is_refused = isinstance(error, PeerError) and self._place is not None
        is_elsewhere = isinstance(error, RequestError) and error.code == "steps_elsewhere"
        if not (is_elsewhere or is_refused) or self._job_id is None or self._moves >= _MOVES_MAX:
            return False
        if self._moves > 1:
            time.sleep(_MOVE_PAUSE_S)
        self._moves += 1
        if self._place is None:
            self._locate()
        else:
            self._place, self._credential = None, ""
        return True

    def _locate(self) -> None:
        """Ask the controller where the steps are made; nowhere any more: it is asked again."""
        try:
            at = client.call("LocateJob", {"job_id": self._job_id}).get("steps_at")
        except (NotFound, Unreachable):
            return
        if at:
            self._place, self._credential = (at["node"], at["address"], at["port"]), at["credential"]

    def _reach(self, node: str, address: str, port: int) -> LightConnection:
        path = client.agent_socket_of(node)
        if path:
            with contextlib.suppress(Unreachable):
                return light.connect_unix(path)
        credential = self._credential or light.fetch_credential(client.find_endpoints(), node_audience(node))
        return light.connect_tcp(address, port, credential)


def _told_place(job_id: int | None) -> tuple[str, str, int] | None:
    """Return (node, address, port) as the environment of the job's programs has it."""
    if job_id is None or os.environ.get("SLURM_JOB_ID") != str(job_id):
        return None
    node, _, rest = os.environ.get("SLUICE_STEPS_AT", "").partition(",")
    address, _, port = rest.rpartition(",")
    return (node, address, int(port)) if node and address and port.isdecimal() else None
