"""What becomes of the jobs on a node that is lost or set down: each fails or goes back, or goes on without the node.

While the node's agent answers, it ends what runs there, and the node counts as clean when it says so.  One that does
not answer is not waited for: what it still runs is ended when it registers (nodes.py), and nothing new starts
beside it (leftovers.py).
"""

from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.states import Ending, StepState
from sluice.wire.messages import NodeReport
from sluicectld.state.events import JobRevised, StepRevised

from .endings import clean_node, end_order, end_steps_on, requeue_or_fail
from .managers import tell_job
from .turn import Turn


def set_down(turn: Turn, node: Node) -> None:
    """Somebody has set the node down: end every job's part on it."""
    text = f"node {node.name} was set down: {node.reason}"
    if not node.is_responding:
        # Said to be silent, it may be connected all the same; an order for nobody is dropped.
        turn.effects += [
            end_order(turn, turn.job(job_id), node.name, Ending.NODE_FAILURE)
            for job_id in sorted(turn.cluster.job_ids_by_node.get(node.name, ()))
        ]
    fail_jobs(turn, node.name, text, is_reachable=node.is_responding)


def fail_jobs(turn: Turn, node: str, text: str, *, is_reachable: bool = False) -> None:
    """End every job's part on a node; is_reachable: its agent ends what runs there."""
    for job_id in sorted(turn.cluster.job_ids_by_node.get(node, ())):
        _fail_job(turn, turn.job(job_id), node, text, is_reachable=is_reachable)


def fail_unknown(turn: Turn, report: NodeReport) -> None:
    """The agent's memory is gone: what it does not know of any more may have run, so it must not be ordered again."""
    present = {(step.job_id, step.attempt) for step in report.steps}
    for job_id in sorted(turn.cluster.job_ids_by_node.get(report.node, ())):
        job = turn.job(job_id)
        steps = turn.cluster.steps.get(job_id, {}).values()
        if (job_id, job.attempt) not in present and any(report.node in step.running_nodes for step in steps):
            _fail_job(turn, job, report.node, f"node {report.node} lost its spool", is_reachable=False)


def _fail_job(turn: Turn, job: Job, node: str, text: str, *, is_reachable: bool) -> None:
    """A running job fails or requeues, unless it can do without the node."""
    if node in job.completing_nodes:
        if not is_reachable:
            clean_node(turn, job.id, node, StepState.NODE_FAIL)
    elif job.is_ended or node not in job.nodes:
        # It has ended, or gone back, with another component of its heterogeneous job.
        return
    elif _can_do_without(job, node):
        _go_on_without(turn, job, node, text, is_reachable=is_reachable)
    else:
        requeue_or_fail(turn, job, node, text, frozenset() if is_reachable else frozenset((node,)))


def _can_do_without(job: Job, node: str) -> bool:
    """Its script is on the first node; and what waits for a node's prolog would wait for ever."""
    return job.spec.no_kill and len(job.nodes) > 1 and job.nodes[0] != node and not job.is_configuring


def _go_on_without(turn: Turn, job: Job, node: str, text: str, *, is_reachable: bool) -> None:
    """Nothing of the job starts on the node any more, even when it comes back, and what runs there has failed."""
    if node not in job.lost_nodes:
        lost = replace(job, lost_nodes=(*job.lost_nodes, node))
        turn.emit(JobRevised(at=turn.now_at, job=lost, what="node lost"))
        job = turn.job(job.id)
        tell_job(turn, job)
        if is_reachable:
            _mark_steps(turn, job, node)
            turn.effects.append(replace(end_order(turn, job, node, Ending.NODE_FAILURE), text=text))
    if not is_reachable:
        end_steps_on(turn, job, (node,), StepState.NODE_FAIL)


def _mark_steps(turn: Turn, job: Job, node: str) -> None:
    """However its tasks there end now, it is because of the node."""
    for step in list(turn.cluster.steps.get(job.id, {}).values()):
        if node in step.running_nodes:
            turn.emit(StepRevised(at=turn.now_at, step=replace(step, lost_nodes=(*step.lost_nodes, node))))
