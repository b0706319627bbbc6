"""Questions that the database answers: sacct, scripts, the kept ends of output streams."""

from collections.abc import Iterator

from msgspec.structs import replace

from sluice.errors import NotFound
from sluice.model.states import JobState
from sluice.wire.messages import (
    AccountingRow,
    AccountingRows,
    OutputView,
    QueryAccounting,
    QueryOutput,
    QueryScript,
    ScriptText,
)
from sluicectld.core import Core, answer_error
from sluicectld.permissions import Verb
from sluicectld.store.accounting import read_accounting
from sluicectld.store.read import read_job_script, read_jobs, read_tails

from .call import Call
from .views import blockers_of


def answer_accounting(call: Call, request: QueryAccounting) -> None:
    """Stream the rows, a chunk at a time, each read in a worker thread when the one before has gone."""
    chunks = read_accounting(call.core.database, request)
    call.core.after_commit(call.responder, lambda: _next_chunk(call, chunks))


def _next_chunk(call: Call, chunks: Iterator[list[AccountingRow]]) -> None:
    call.core.read(
        lambda: next(chunks, None),
        lambda rows: _send_chunk(call, chunks, rows),
        lambda error: answer_error(call.responder, error),
    )


def _send_chunk(call: Call, chunks: Iterator[list[AccountingRow]], rows: list[AccountingRow] | None) -> None:
    core = call.core
    if rows is None:
        core_reply = AccountingRows(now_at=core.clock.now(), cluster=core.config.settings.cluster_name)
        call.responder.reply(core_reply)
        return
    if not call.connection.is_open:
        return
    body = AccountingRows(
        rows=tuple(_with_reason(core, row) for row in rows),
        now_at=core.clock.now(),
        cluster=core.config.settings.cluster_name,
    )
    call.responder.part(body)
    task = core.loop.create_task(_when_drained(call, chunks))
    core.tasks.add(task)
    task.add_done_callback(core.tasks.discard)


async def _when_drained(call: Call, chunks: Iterator[list[AccountingRow]]) -> None:
    await call.connection.wait_drained()
    _next_chunk(call, chunks)


def _with_reason(core: Core, row: AccountingRow) -> AccountingRow:
    """A pending job's reason is the scheduler's, not the table's."""
    if row.job.state is not JobState.PENDING:
        return replace(row, reason=row.job.reason.value)
    blockers = blockers_of(row.job, core.passes.plan, core.clock.now())
    return replace(row, reason=blockers[0].reason.value)


def answer_script(call: Call, request: QueryScript) -> None:
    """Answer with the script, to its owner and operators."""

    def work() -> ScriptText:
        _require_owner(call, request.job_id)
        return ScriptText(script=read_job_script(call.core.database, request.job_id))

    call.core.read_answer(call.responder, work)


def answer_output(call: Call, request: QueryOutput) -> None:
    """Answer with the ends of the job's streams and any launch error, to its owner and operators."""

    def work() -> OutputView:
        _require_owner(call, request.job_id)
        return OutputView(tails=tuple(read_tails(call.core.database, request.job_id)))

    call.core.read_answer(call.responder, work)


def _require_owner(call: Call, job_id: int) -> None:
    jobs = read_jobs(call.core.database, job_id)
    if not jobs:
        raise NotFound(f"job {job_id} is not known", "invalid_job")
    call.caller.require(Verb.READ_SCRIPT, jobs[0].spec.uid)
