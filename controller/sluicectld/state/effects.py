"""What the shell does once the events are on disk: orders to agents, words to waiting commands.

Replies are effects too; the engine hands them over as the outcome's reply.
"""

from enum import StrEnum

import msgspec

from sluice.model.job import Job
from sluice.wire.messages import EndJob, EndStep, PrepareJob, SignalJob, TellStep


class Launch(msgspec.Struct, frozen=True):
    """Start the job's batch script on the node."""

    node: str
    job: Job


class TellWaiting(msgspec.Struct, frozen=True):
    """Tell the salloc or srun that waits here for the job."""

    job_id: int
    text: str


class Program(StrEnum):
    """The site's programs that the controller runs for a job."""

    PROLOG = "prolog"
    EPILOG = "epilog"


class RunProgram(msgspec.Struct, frozen=True):
    """Run the controller's prolog or epilog of a job; how a prolog ended comes back as a command."""

    program: Program
    job: Job


Effect = Launch | PrepareJob | EndJob | EndStep | SignalJob | TellStep | TellWaiting | RunProgram
#: What goes to an agent.
Order = Launch | PrepareJob | EndJob | EndStep | SignalJob | TellStep
