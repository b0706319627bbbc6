"""A node on which jobs of several users fail one after the other is set aside, with what it did to them as evidence.

Such a node takes job after job from the queue, because it is always free.  Counted are jobs whose script ends soon and
badly, or cannot be started, on their first node; a job that ends well, or that ran for a while, clears the node.  One
user's jobs count once: they may share a mistake.
"""

from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.node import Failure, Node
from sluice.model.reason import Reason
from sluice.model.states import JobState
from sluice.wire.messages import StepResult
from sluicectld.state.events import NodeChanged

from .drain import drain_node
from .turn import Turn

#: A job that ran for longer has shown that the node can run jobs.
SOON_S = 60.0
_KEPT_MAX = 20


def note_outcome(turn: Turn, job: Job, state: JobState, result: StepResult) -> None:
    """Count the end of a batch job's script for or against its node."""
    users_max = turn.settings.failing_users_max
    node = turn.cluster.nodes.get(result.node)
    if not users_max or node is None:
        return
    ran_s = max(0.0, result.ended_at - result.started_at)
    if state is JobState.COMPLETED or (not result.reason and ran_s > SOON_S):
        if node.failures:
            turn.emit(NodeChanged(at=turn.now_at, node=replace(node, failures=()), what="job ended well"))
        return
    if state is not JobState.FAILED:
        return
    failure = Failure(job_id=job.id, user=job.spec.user, text=_describe(result, ran_s))
    others = [each for each in node.failures if each.user != failure.user]
    failing = replace(node, failures=(*others, failure)[-_KEPT_MAX:])
    turn.emit(NodeChanged(at=turn.now_at, node=failing, what="job failed"))
    if len(failing.failures) >= users_max:
        drain_node(turn, node.name, reason_for(failing))


def reason_for(node: Node) -> str:
    """Return the reason with its evidence: each user's last job."""
    told = ", ".join(f"job {each.job_id} of {each.user} {each.text}" for each in node.failures)
    return f"Set aside: jobs of {len(node.failures)} users failed in a row: {told}"


def _describe(result: StepResult, ran_s: float) -> str:
    if result.reason and result.reason != Reason.NONE.value:
        return result.reason_text or result.reason
    how = f"signal {result.exit_signal}" if result.exit_signal else f"exit {result.exit_code}"
    return f"{how} after {ran_s:.0f} s"
