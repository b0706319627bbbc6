"""What the shell does once the events are on disk: orders to agents, words to waiting commands.

Replies are effects too; the engine hands them over as the outcome's reply.
"""

import msgspec

from sluice.model.job import Job
from sluice.wire.messages import EndJob, EndStep, SignalJob, TellStep


class Launch(msgspec.Struct, frozen=True):
    """Start the job's batch script on the node."""

    node: str
    job: Job


class TellWaiting(msgspec.Struct, frozen=True):
    """Tell the salloc or srun that waits here for the job."""

    job_id: int
    text: str


Effect = Launch | EndJob | EndStep | SignalJob | TellStep | TellWaiting
#: What goes to an agent.
Order = Launch | EndJob | EndStep | SignalJob | TellStep
