"""Whom this node refuses: steps that came late or twice, strangers to it, users that the agent cannot become."""

from __future__ import annotations

from sluice.errors import RequestError
from sluice.wire.messages import TaskLaunch
from sluiced.jobs.table import JobTable, Phase
from sluiced.jobs.words import check_launch
from sluiced.spool import JobKey, StepKey


class Admission:
    """own_uid: None when the agent may become any user."""

    def __init__(self, node: str, own_uid: int | None, table: JobTable) -> None:
        self._node = node
        self._own_uid = own_uid
        self._table = table

    def check_tasks(self, request: TaskLaunch, key: StepKey) -> None:
        """Raise RequestError unless the step may start here."""
        here = self._table.jobs.get(key.job)
        self._check_job(key.job)
        if key in self._table.finished or (here is not None and here.knows(key.step_id)):
            raise RequestError(
                f"step {key.job_id}.{key.step_id} was launched, or given up, on node {self._node} already", "launched"
            )
        if request.job.attempt != request.step.attempt or request.step.job_id != request.job.id:
            raise RequestError(f"step {key.job_id}.{key.step_id} is not of that job", "invalid_request")
        if all(part.node != self._node for part in request.step.nodes):
            raise RequestError(f"step {key.job_id}.{key.step_id} has no part on node {self._node}", "invalid_node")
        if not request.argv:
            raise RequestError(f"step {key.job_id}.{key.step_id} names no program", "invalid_request")
        check_launch(request)
        self._check_user(request.job.spec.uid)

    def check_file(self, key: JobKey, uid: int) -> None:
        """Raise RequestError unless files of the job may come here."""
        self._check_job(key)
        self._check_user(uid)

    def can_become(self, uid: int) -> bool:
        return self._own_uid is None or self._own_uid == uid

    def no_privilege(self, uid: int) -> str:
        return f"the agent of node {self._node} runs as uid {self._own_uid} and cannot run a job of uid {uid}"

    def _check_job(self, key: JobKey) -> None:
        here = self._table.jobs.get(key)
        if key in self._table.finished or (here is not None and here.phase not in (Phase.PROLOG, Phase.RUNNING)):
            raise RequestError(f"job {key.job_id} has ended on node {self._node}", "ended")

    def _check_user(self, uid: int) -> None:
        if not self.can_become(uid):
            raise RequestError(self.no_privilege(uid), "not_permitted")
