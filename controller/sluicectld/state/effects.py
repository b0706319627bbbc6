"""What the shell does once the events are on disk: orders to agents.

Replies are effects too; the engine hands them over as the outcome's reply.
"""

import msgspec

from sluice.model.job import Job
from sluice.wire.messages import EndJob, EndStep, SignalJob


class Launch(msgspec.Struct, frozen=True):
    """Start the job's batch script on the node."""

    node: str
    job: Job


Effect = Launch | EndJob | EndStep | SignalJob
