"""What the shell does once the events are on disk: orders to agents, words to waiting commands.

Replies are effects too; the engine hands them over as the outcome's reply.
"""

from enum import StrEnum

import msgspec

from sluice.model.job import Job
from sluice.wire.messages import EndJob, EndStep, PrepareJob, SignalJob, TellManager, TellStep


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


class SendMail(msgspec.Struct, frozen=True):
    """Tell a job's user what happened.  word: of --mail-type."""

    job: Job
    address: str
    word: str
    subject: str


class RunForReservation(msgspec.Struct, frozen=True):
    """Run the site's program for the beginning or the end of a reservation."""

    name: str
    has_begun: bool


class RebootNode(msgspec.Struct, frozen=True):
    """Have the node restarted by the site's program."""

    node: str
    reason: str


#: What the controller runs as programs of the site.
SiteWork = RunProgram | SendMail | RunForReservation
#: What goes to an agent.
Order = Launch | RebootNode | PrepareJob | EndJob | EndStep | SignalJob | TellManager | TellStep
Effect = Order | TellWaiting | SiteWork
