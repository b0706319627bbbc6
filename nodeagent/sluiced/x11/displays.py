"""All forwardings of one job on this node, and which of them is for steps that forward nothing of their own."""

from __future__ import annotations

import logging
import socket

from sluiced import spool
from sluiced.steps.launch import StepLaunch, X11Order
from sluiced.steps.launch_failure import LaunchFailure
from sluiced.steps.user import User, load_user
from sluiced.x11.forward import CookieFile, Forward, refuse
from sluiced.x11.xauthority import HomeFile, OwnFile

logger = logging.getLogger(__name__)


class Displays:
    """Of one extern step, whose files begin with *step_path*."""

    def __init__(self, launch: StepLaunch, step_path: str) -> None:
        self._launch = launch
        self._step_path = step_path
        self._forwards: list[Forward] = []
        self._of_job: Forward | None = None

    def add(self, order: X11Order, connection: socket.socket) -> None:
        """Begin one, or tell the other end why not."""
        spec = self._launch.job.spec
        try:
            user = load_user(spec.uid, spec.gid, spec.user, self._launch.node)
            forward = Forward(connection, lambda number: self._cookie_file(user, number, order.cookie))
        except (OSError, LaunchFailure) as error:
            logger.error("step %s: X11 is not forwarded: %s", self._launch.name, error)
            refuse(connection, str(error))
            return
        self._forwards.append(forward)
        if order.is_for_job:
            self._of_job = forward
            variables = {"DISPLAY": f"localhost:{forward.number}.0", "XAUTHORITY": forward.xauthority}
            spool.write_x11(self._step_path, variables)
        logger.info("step %s: X11 is forwarded display=%s", self._launch.name, forward.number)

    def _cookie_file(self, user: User, number: int, cookie: bytes) -> CookieFile:
        launch = self._launch
        if launch.config.is_xauthority_at_home:
            return HomeFile(user, number, cookie)
        return OwnFile(launch.temp_parent, launch.name, user, number, cookie)

    def poll_events(self) -> dict[int, int]:
        return {fd: events for each in self._forwards for fd, events in each.poll_events().items()}

    def on_event(self, descriptor: int, events: int) -> None:
        for each in self._forwards:
            if descriptor in each:
                each.on_event(descriptor, events)
                if each.is_gone:
                    self._end(each)
                return

    def close(self) -> None:
        while self._forwards:
            self._end(self._forwards[-1])

    def _end(self, forward: Forward) -> None:
        self._forwards.remove(forward)
        if forward is self._of_job:
            self._of_job = None
            spool.write_x11(self._step_path, {})
        forward.close()
