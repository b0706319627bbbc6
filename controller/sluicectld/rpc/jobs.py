"""Requests about jobs: submission, waiting, and everything that changes them."""

from typing import Any

from msgspec.structs import replace

from sluice.errors import InvalidRequest, NotFound, RequestError
from sluice.model.job import Job
from sluice.model.request import JobSpec
from sluice.wire import messages
from sluice.wire.messages import (
    EndedJob,
    StartedJob,
    SubmitJob,
    SubmitJobs,
    SubmitOutcome,
    Submitted,
    SubmittedJobs,
    TestJob,
    WaitJobEnd,
    WaitJobStart,
)
from sluicectld.handlers import admission, submit
from sluicectld.handlers.turn import Turn
from sluicectld.permissions import Verb
from sluicectld.scheduler.estimate import estimate
from sluicectld.state.commands import AcceptJob
from sluicectld.state.dependencies import Outcome, combine, outcome_of
from sluicectld.store.read import read_jobs
from sluicectld.texts import digest_of, encode_environment

from . import callers
from .call import Call

SCRIPT_SIZE_MAX = 4 * 1024 * 1024


def answer_command(call: Call, command: Any) -> None:
    """Let the engine decide; answer after the commit."""
    call.core.run(command, call.caller, call.responder)


def answer_submit(call: Call, request: SubmitJob) -> None:
    """Accept a job, after a look into the accounting if it depends on a job that left memory."""
    missing = _unknown_dependencies(call, request.spec)
    if not missing:
        _accept(call, request, {})
        return

    def read() -> dict[int, Outcome]:
        return {job_id: _read_outcome(call, job_id) for job_id in missing if read_jobs(call.core.database, job_id)}

    def accept(ended: dict[int, Outcome]) -> None:
        try:
            _accept(call, request, ended)
        except RequestError as error:
            call.responder.error(error)

    call.core.read(read, accept, lambda error: call.responder.error("storage", str(error)))


def _unknown_dependencies(call: Call, spec: JobSpec) -> list[int]:
    cluster = call.core.engine.cluster
    return [
        term.job_id
        for term in spec.dependency.terms
        if term.job_id and cluster.outcome(term.job_id, term.task_id) is None
    ]


def _read_outcome(call: Call, job_id: int) -> Outcome:
    return combine([outcome_of(job) for job in read_jobs(call.core.database, job_id)])


def _accept(call: Call, request: SubmitJob, ended: dict[int, Outcome]) -> None:
    call.core.run(_command(call, request, ended), call.caller, call.responder)


def _command(call: Call, request: SubmitJob, ended: dict[int, Outcome]) -> AcceptJob:
    """Return the command, with its texts kept and on their way into the store."""
    if len(request.script) > SCRIPT_SIZE_MAX:
        raise RequestError(
            f"the script has {len(request.script)} bytes, at most {SCRIPT_SIZE_MAX} are taken", "too_long"
        )
    if request.spec.is_batch and not request.script:
        raise InvalidRequest("a batch job needs a script")
    spec = _identify(call, request.spec)
    core = call.core
    script_digest = environment_digest = ""
    if request.script:
        script_digest = digest_of(request.script)
        if core.texts.put(script_digest, request.script):
            core.engine.cluster.batch.scripts[script_digest] = request.script
    if request.environment:
        environment = encode_environment(request.environment)
        environment_digest = digest_of(environment)
        if core.texts.put(environment_digest, environment):
            core.engine.cluster.batch.environments[environment_digest] = environment
    return AcceptJob(
        request=SubmitJob(token=_own_token(call, request.token), spec=spec),
        script_digest=script_digest,
        environment_digest=environment_digest,
        groups=call.callers.groups(spec.user, spec.gid),
        ended=ended,
    )


def _own_token(call: Call, token: str) -> str:
    """A token counts for its own user: nobody learns another's job id by guessing."""
    return f"{call.caller.uid}:{token}" if token else ""


def _identify(call: Call, spec: JobSpec) -> JobSpec:
    """Fill in who it is: the wire's word, not the client's; an administrator may name another user."""
    caller = call.caller
    if caller.may(Verb.SUBMIT_AS) and spec.uid != caller.uid and spec.user:
        return replace(spec, group=callers.group_name(spec.gid))
    return replace(spec, uid=caller.uid, gid=caller.gid, user=caller.user, group=callers.group_name(caller.gid))


def answer_submit_many(call: Call, request: SubmitJobs) -> None:
    """Accept or refuse each by itself; one answer when all that were accepted are committed."""
    outcomes: list[SubmitOutcome] = []
    for submission in request.submissions:
        try:
            reply: Submitted = call.core.run(_command(call, submission, {}), call.caller).reply
            outcomes.append(SubmitOutcome(job_id=reply.job_id, warnings=reply.warnings))
        except RequestError as error:
            outcomes.append(SubmitOutcome(code=error.code, message=error.message))
    call.core.ask(call.responder, lambda: SubmittedJobs(outcomes=tuple(outcomes)))


def answer_test(call: Call, request: TestJob) -> None:
    """--test-only: admit it, and ask the scheduler when it would start; nothing changes."""
    core = call.core
    engine = core.engine
    now_at = core.clock.now()
    turn = Turn(engine.cluster, engine.settings, engine.policy, engine.timers, call.caller, now_at)
    spec = _identify(call, request.spec)
    spec, _ = admission.admit(turn, spec, call.callers.groups(spec.user, spec.gid))
    job = submit.new_job(turn, spec)
    snapshot = engine.cluster.snapshot(now_at)

    def work() -> messages.TestedJob:
        return estimate(snapshot, engine.policy, job)

    core.read_answer(call.responder, work)


def answer_wait_start(call: Call, request: WaitJobStart) -> None:
    """Answer when the job has its allocation, or has ended without one."""
    job = _own_job(call, request.job_id)

    def attempt() -> bool:
        current = call.core.engine.cluster.jobs.get(job.id)
        if current is not None and current.allocation is None and not current.is_ended:
            return False
        call.core.after_commit(call.responder, lambda: _answer_started(call, current))
        return True

    call.core.waiting.add(job.id, call.responder, attempt)


def _answer_started(call: Call, job: Job | None) -> None:
    if job is None or job.allocation is None:
        call.responder.error("revoked", "the job ended before it started")
        return
    call.responder.reply(started(call, job))


def started(call: Call, job: Job) -> StartedJob:
    """Return a job with its nodes' addresses."""
    nodes = call.core.engine.cluster.nodes
    addresses = tuple(
        (name, nodes[name].address or nodes[name].hostname, nodes[name].port) for name in job.nodes if name in nodes
    )
    return StartedJob(job=job, addresses=addresses, is_ended=job.is_ended)


def answer_wait_end(call: Call, request: WaitJobEnd) -> None:
    """Answer when the job, or every task of the array, has ended."""
    job_id = _own_job(call, request.job_id).id

    def attempt() -> bool:
        jobs = list(call.core.engine.cluster.jobs_named(job_id))
        if any(not job.is_ended or job.is_requeued for job in jobs):
            return False
        worst = max(jobs, key=lambda job: (job.exit_code, job.exit_signal), default=None)
        if worst is None:
            call.responder.error("invalid_job", f"job {job_id} is not known")
            return True
        ended = EndedJob(state=worst.state.value, exit_code=worst.exit_code, exit_signal=worst.exit_signal)
        call.core.after_commit(call.responder, lambda: call.responder.reply(ended))
        return True

    call.core.waiting.add(job_id, call.responder, attempt)


def _own_job(call: Call, job_id: int) -> Job:
    job = call.core.engine.cluster.jobs.get(job_id)
    if job is None:
        raise NotFound(f"job {job_id} is not known", "invalid_job")
    return job
