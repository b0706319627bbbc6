"""The ports that were leased to a step: which they are, and that nobody else has them.  Raises LaunchFailure."""

from __future__ import annotations

import socket

from sluice.model.reason import Reason
from sluice.wire.messages import TaskLaunch
from sluiced.pmi.layout import layout_of
from sluiced.steps.launch_failure import LaunchFailure


def leased_ports(tasks: TaskLaunch) -> range:
    """Return them, the same on every node; none for most steps."""
    first, last = tasks.step.ports
    return range(first, last + 1) if first else range(0)


def check_ports(tasks: TaskLaunch, node: str) -> None:
    """Raise LaunchFailure when somebody who has no lease listens on a leased port.

    Of several nodes on one host the first one looks: by the time of the others, its tasks may have them.
    """
    addresses = [peer.address for peer in tasks.peers]
    position = layout_of(tasks.step, node, tasks.parts).position
    if addresses and addresses[position] in addresses[:position]:
        return
    for port in leased_ports(tasks):
        with socket.socket() as probe:
            # Connections that have just ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError as error:
                first, last = tasks.step.ports
                text = f"port {port}, leased to the step with {first}-{last}, is in use on node {node}"
                raise LaunchFailure(
                    Reason.JOB_LAUNCH_FAILURE, f"{text}: {error.strerror}; MpiParams=ports= gives another range"
                ) from None
