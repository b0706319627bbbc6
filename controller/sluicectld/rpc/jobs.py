"""Requests about jobs: submission, waiting, and everything that changes them."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from sluice import dependency_spec
from sluice.config.settings import Settings
from sluice.errors import InvalidRequest, NotFound, RequestError
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.request import DependencyTerm, JobSpec
from sluice.wire import messages
from sluice.wire.messages import (
    EndedJob,
    NotifyJob,
    StartedJob,
    SubmitHetJob,
    SubmitJob,
    SubmitJobs,
    SubmitOutcome,
    Submitted,
    SubmittedJobs,
    TestJob,
    UpdateJobs,
    WaitJobEnd,
    WaitJobStart,
)
from sluice_plugins.interfaces import Submission
from sluicectld.core import Core, answer_error
from sluicectld.handlers import admission, submit
from sluicectld.handlers.components import check_components, described
from sluicectld.handlers.texts import check_environment
from sluicectld.handlers.turn import Turn
from sluicectld.permissions import SYSTEM, Verb
from sluicectld.scheduler.estimate import estimate, explain_estimate
from sluicectld.scheduler.memory import Memory
from sluicectld.state.arrays import has_pending
from sluicectld.state.commands import (
    AcceptHetJob,
    AcceptJob,
    EndAbandoned,
    EndedOutcomes,
    ExpectCommands,
    ReviseJobs,
    TellJobs,
)
from sluicectld.state.dependencies import Outcome, combine, outcome_of
from sluicectld.state.events import JobEnded
from sluicectld.store.read import read_jobs
from sluicectld.texts import digest_of, encode_environment

from . import callers, explain
from .call import Call
from .managers import steps_at

logger = logging.getLogger(__name__)

SCRIPT_SIZE_MAX = 4 * 1024 * 1024


def answer_command(call: Call, command: Any) -> None:
    """Let the engine decide; answer after the commit."""
    call.core.run(command, call.caller, call.responder)


def answer_submit(call: Call, request: SubmitJob) -> None:
    """Accept a job, after a look into the accounting if it depends on a job that left memory."""
    with_ended(
        call,
        request.spec.dependency.terms,
        lambda ended: call.core.run(_command(call, request, ended), call.caller, call.responder),
    )


def answer_update(call: Call, request: UpdateJobs) -> None:
    """Change jobs, after the same look if they are to depend on others."""
    texts = [value for key, value in request.changes if key.lower() == "dependency" and value]
    terms = [
        DependencyTerm(type=kind, job_id=job_id, task_id=task_id)
        for text in texts
        for kind, job_id, task_id, _ in dependency_spec.parse(text)[0]
    ]
    groups = call.callers.groups(call.caller.user, call.caller.gid)
    with_ended(
        call,
        terms,
        lambda ended: call.core.run(ReviseJobs(request, groups, ended), call.caller, call.responder),
    )


def answer_notify(call: Call, request: NotifyJob) -> None:
    """Deliver a message, with what waits here counted in."""
    call.core.run(TellJobs(request, call.core.waiting.hearers()), call.caller, call.responder)


def answer_submit_het(call: Call, request: SubmitHetJob) -> None:
    """Accept a heterogeneous job, after the same look."""
    terms = [term for spec in request.specs for term in spec.dependency.terms]
    with_ended(
        call,
        terms,
        lambda ended: call.core.run(_het_command(call, request, ended), call.caller, call.responder),
    )


def with_ended(call: Call, terms: Iterable[DependencyTerm], then: Callable[[EndedOutcomes], object]) -> None:
    """Go on with what the accounting knows of those jobs that memory does not."""
    cluster = call.core.engine.cluster
    asked = {(term.job_id, term.task_id) for term in terms if term.job_id}
    missing = [key for key in sorted(asked, key=str) if cluster.outcome(*key) is None]
    if not missing:
        then({})
        return

    def read() -> EndedOutcomes:
        found = {(job_id, task_id): _read_outcome(call, job_id, task_id) for job_id, task_id in missing}
        return {key: outcome for key, outcome in found.items() if outcome is not None}

    def go_on(ended: EndedOutcomes) -> None:
        try:
            then(ended)
        except RequestError as error:
            call.responder.error(error)

    call.core.read(read, go_on, lambda error: answer_error(call.responder, error))


def _read_outcome(call: Call, job_id: int, task_id: int | None) -> Outcome | None:
    jobs = read_jobs(call.core.database, job_id)
    if task_id is not None:
        jobs = [job for job in jobs if job.array_task_id == task_id or has_pending(job, task_id)]
    return combine([outcome_of(job) for job in jobs]) if jobs else None


def _command(call: Call, request: SubmitJob, ended: EndedOutcomes) -> AcceptJob:
    """Return the command, with its texts kept and on their way into the store."""
    _check_script(request.spec, request.script)
    check_environment(request.environment)
    spec = _filter(call, _identify(call, request.spec))
    script_digest, environment_digest = _keep_texts(call, request.script, request.environment)
    return AcceptJob(
        request=SubmitJob(token=_own_token(call, request.token), spec=spec),
        script_digest=script_digest,
        environment_digest=environment_digest,
        groups=call.callers.groups(spec.user, spec.gid),
        ended=ended,
    )


def _het_command(call: Call, request: SubmitHetJob, ended: EndedOutcomes) -> AcceptHetJob:
    """Return the same for a heterogeneous job."""
    check_components(request.specs)
    _check_script(request.specs[0], request.script)
    check_environment(request.environment)
    specs = tuple([_filter(call, _identify(call, spec)) for spec in request.specs])
    script_digest, environment_digest = _keep_texts(call, request.script, request.environment)
    return AcceptHetJob(
        request=SubmitHetJob(token=_own_token(call, request.token), specs=specs),
        script_digest=script_digest,
        environment_digest=environment_digest,
        groups=call.callers.groups(specs[0].user, specs[0].gid),
        ended=ended,
    )


def _check_script(spec: JobSpec, script: bytes) -> None:
    if len(script) > SCRIPT_SIZE_MAX:
        raise RequestError(f"the script has {len(script)} bytes, at most {SCRIPT_SIZE_MAX} are taken", "too_long")
    if spec.is_batch and not script:
        raise InvalidRequest("a batch job needs a script")


def _keep_texts(call: Call, script: bytes, environment: tuple[bytes, ...]) -> tuple[str, str]:
    """Keep a job's texts, also for the store; return their digests."""
    core = call.core
    script_digest = environment_digest = ""
    if script:
        script_digest = digest_of(script)
        if core.texts.put(script_digest, script):
            core.engine.cluster.batch.scripts[script_digest] = script
    if environment:
        encoded = encode_environment(environment)
        environment_digest = digest_of(encoded)
        if core.texts.put(environment_digest, encoded):
            core.engine.cluster.batch.environments[environment_digest] = encoded
    return script_digest, environment_digest


def _filter(call: Call, spec: JobSpec) -> JobSpec:
    """Let the site's plugins see the request."""
    core = call.core
    if not core.config.settings.job_submit_plugins:
        return spec
    submission = Submission(
        uid=spec.uid,
        user=spec.user,
        groups=call.callers.groups(spec.user, spec.gid),
        is_operator=call.caller.is_operator,
        partitions=tuple(core.engine.cluster.partitions.values()),
    )
    return core.submit_filters.apply(spec, submission)


def _own_token(call: Call, token: str) -> str:
    """A token counts for its own user: nobody learns another's job id by guessing."""
    return f"{call.caller.uid}:{token}" if token else ""


def _identify(call: Call, spec: JobSpec) -> JobSpec:
    """Fill in who it is: the wire's word, not the client's; an administrator may name another user."""
    caller = call.caller
    if caller.may(Verb.SUBMIT_AS) and (spec.uid, spec.gid) != (caller.uid, caller.gid) and spec.user:
        return replace(spec, group=callers.group_name(spec.gid))
    return replace(spec, uid=caller.uid, gid=caller.gid, user=caller.user, group=callers.group_name(caller.gid))


def answer_submit_many(call: Call, request: SubmitJobs) -> None:
    """Accept or refuse each by itself; one answer when all that were accepted are committed."""
    terms = [term for submission in request.submissions for term in submission.spec.dependency.terms]

    def accept(ended: EndedOutcomes) -> None:
        outcomes = tuple([_accept_one(call, submission, ended) for submission in request.submissions])
        call.core.ask(call.responder, lambda: SubmittedJobs(outcomes=outcomes))

    with_ended(call, terms, accept)


def _accept_one(call: Call, submission: SubmitJob, ended: EndedOutcomes) -> SubmitOutcome:
    try:
        reply: Submitted = call.core.run(_command(call, submission, ended), call.caller).reply
    except RequestError as error:
        return SubmitOutcome(code=error.code, message=error.message)
    return SubmitOutcome(job_id=reply.job_id, warnings=reply.warnings)


def answer_test(call: Call, request: TestJob) -> None:
    """--test-only: admit it, and ask the scheduler when it would start; nothing changes."""
    with_ended(call, request.spec.dependency.terms, lambda ended: _test(call, request, ended))


def _test(call: Call, request: TestJob, ended: EndedOutcomes) -> None:
    core = call.core
    engine = core.engine
    now_at = core.clock.now()
    turn = Turn(engine.cluster, engine.settings, engine.policy, engine.timers, call.caller, now_at)
    spec = _filter(call, _identify(call, request.spec))
    spec, warnings = admission.admit(turn, spec, call.callers.groups(spec.user, spec.gid))
    job = submit.unsubmitted_job(turn, spec, ended)
    warnings += submit.unknown_terms(engine.cluster, spec.dependency, ended)
    snapshot, policy = core.passes.view(now_at), core.questions.policy(engine.policy)
    question = explain.ask(call, snapshot, job, str(job.id), is_searching=True) if request.is_explained else None

    def work(memory: Memory) -> messages.TestedJob:
        tested = estimate(snapshot, policy, job, memory) if question is None else explain_estimate(question, memory)
        return replace(tested, warnings=tuple(warnings), now_at=now_at)

    core.after_commit(call.responder, lambda: core.answer_question(call.responder, work))


def answer_wait_start(call: Call, request: WaitJobStart) -> None:
    """Answer when the job has its allocation and its nodes are made ready, or it has ended without."""
    job = _own_job(call, request.job_id)

    def attempt() -> bool:
        current = call.core.engine.cluster.jobs.get(job.id)
        if current is not None and not current.is_ended and (current.allocation is None or current.is_configuring):
            return False
        call.core.after_commit(call.responder, lambda: _answer_started(call, current))
        return True

    _hold(call, job, request.holds_allocation)
    call.core.waiting.add(job.id, call.responder, attempt, is_hearer=_hears(call, job, request.hears_messages))


def _hold(call: Call, job: Job, is_wanted: bool) -> None:
    """Note the command that the allocation lives by."""
    if is_wanted and call.caller.may(Verb.FINISH_ALLOCATION, job.spec.uid):
        call.core.clients.hold(job, call.connection)
        if job.awaits_command:
            call.core.run(ExpectCommands((job.id,), is_away=False), SYSTEM)


def check_abandoned(core: Core) -> None:
    """End allocations, and requests for some, whose command is gone for too long."""
    gone_at_by_job = core.clients.gone()
    if not gone_at_by_job:
        return
    for event in core.run(EndAbandoned(gone_at_by_job), SYSTEM).events:
        if isinstance(event, JobEnded):
            logger.info("job %s ended state=%s: %s", event.job_id, event.state.value, event.reason_text)


def _hears(call: Call, job: Job, is_wanted: bool) -> bool:
    """Whoever may not write to a job does not read what others write to it."""
    return is_wanted and call.caller.may(Verb.NOTIFY, job.spec.uid)


def _answer_started(call: Call, job: Job | None) -> None:
    if job is None or job.allocation is None or job.reason is Reason.PROLOG:
        if job is not None and job.spec.immediate_s is not None and job.cancelled_by is None:
            call.responder.error("immediate", job.reason_text)
        else:
            call.responder.error("revoked", job.reason_text if job is not None else "")
        return
    call.responder.reply(started(call, job))


def started(call: Call, job: Job) -> StartedJob:
    """Return a job with its nodes' addresses."""
    nodes = call.core.engine.cluster.nodes
    addresses = tuple(
        (name, nodes[name].address or nodes[name].hostname, nodes[name].port) for name in job.nodes if name in nodes
    )
    settings = call.core.config.settings
    return StartedJob(
        job=described(call.core.engine.cluster, job),
        addresses=addresses,
        is_ended=job.is_ended,
        interactive_step=settings.interactive_step_options if _has_interactive_step(settings) else "",
        steps_at=steps_at(call, job),
    )


def _has_interactive_step(settings: Settings) -> bool:
    return any(name.lower() == "use_interactive_step" for name in settings.launch_parameters)


def answer_wait_end(call: Call, request: WaitJobEnd) -> None:
    """Answer when the job, or every task of the array, has ended."""
    job = _own_job(call, request.job_id)
    job_id = job.id

    def attempt() -> bool:
        jobs = list(call.core.engine.cluster.jobs_named(job_id))
        # Clean as well: what its processes wrote is complete then, and how they ended is known.
        if any(not job.is_ended or job.completing_nodes for job in jobs):
            return False
        worst = max(jobs, key=lambda job: (job.exit_code, job.exit_signal), default=None)
        if worst is None:
            call.responder.error("invalid_job", f"job {job_id} is not known")
            return True
        ended = EndedJob(state=worst.state.value, exit_code=worst.exit_code, exit_signal=worst.exit_signal)
        call.core.after_commit(call.responder, lambda: call.responder.reply(ended))
        return True

    _hold(call, job, request.holds_allocation)
    call.core.waiting.add(job_id, call.responder, attempt, is_hearer=_hears(call, job, request.hears_messages))


def _own_job(call: Call, job_id: int) -> Job:
    job = call.core.engine.cluster.jobs.get(job_id)
    if job is None:
        raise NotFound(f"job {job_id} is not known", "invalid_job")
    return job
