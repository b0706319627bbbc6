"""srun: run tasks in parallel, in the allocation at hand or in one of its own.

Which allocation that is, the job id alone says (SLURM_JOB_ID, --jobid); everything else about it is asked of the
controller, because tools are known to clear the other variables.

Source: CONTRACT.md sections 2 to 4 and 15.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

from sluice.errors import RequestError, SluiceError, Unreachable
from sluice_cli import allocation, client, job_request, layers, other_user, srun_het, srun_plugins, talk
from sluice_cli.combine import combine
from sluice_cli.draft import REFUSED_EXIT, Draft, OptionError
from sluice_cli.getopt import UsageError
from sluice_cli.inbox import Interrupted, Raising
from sluice_cli.options import table_for
from sluice_cli.salloc import exit_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from sluice_cli.getopt import Found
    from sluice_cli.srun_run import Part
    from sluice_cli.step_maker import StepMaker

_SYNOPSIS = "[OPTIONS] executable [args...]"
_FAILED = "Unable to allocate resources"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run srun; return its exit status: the highest of the tasks', or 1 (SLURM_EXIT_ERROR) when none ran."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    voice = talk.Voice("srun")
    from sluice_cli.srun_step import NoStep

    try:
        with Raising():
            return _run(words, voice)
    except UsageError as error:
        voice.usage_error(error)
        return talk.USAGE_EXIT
    except OptionError as refusal:
        return job_request.tell_refusal(voice, refusal)
    except NoStep:
        pass
    except SluiceError as error:
        client.tell_failure(voice, error, _FAILED)
    except allocation.Revoked as revoked:
        revoked.tell(voice)
        if revoked.job_id:
            voice.info(f"Job allocation {revoked.job_id} has been revoked")
            voice.info(f"Force Terminated JobId={revoked.job_id}")
    except allocation.NotAtOnce as late:
        voice.error(f"{_FAILED}: {late.text}")
        return exit_status("SLURM_EXIT_IMMEDIATE")
    except Interrupted as interrupt:
        return interrupt.status
    return exit_status("SLURM_EXIT_ERROR")


def _run(words: list[str], voice: talk.Voice) -> int:
    table = table_for("srun")
    asked = srun_het.parse(table, words)
    for found, _ in asked:
        for key, _ in found:
            if talk.put_standard_answer("srun", key, table, _SYNOPSIS):
                return 0
    layers.set_loudness(voice, asked[0][0], os.environ, "srun")
    size = os.environ.get("SLURM_HET_SIZE", "")
    is_inside = "SLURM_JOB_ID" in os.environ or any(key == "jobid" for found, _ in asked for key, _ in found)
    commands = srun_het.commands(asked, int(size) if size.isdecimal() else 0, is_inside)
    drafts = [_make_draft(found, srun_het.environment_of(os.environ, number)) for number, found, _ in commands]
    draft = drafts[0]
    if answer := job_request.check_gres_help(draft):
        talk.put(answer)
        return 0
    if answer := srun_plugins.answer(draft):
        talk.put(answer)
        return 0
    _check_drafts(drafts, [argv for _, _, argv in commands], voice)
    job_request.check_clusters(draft, client.find_endpoints())
    if any("x11" in each.other for each in drafts):
        from sluice_cli import x11

        for each in drafts:
            x11.check(each)
    argvs = [argv for _, _, argv in commands]
    if draft.own.get("test-only"):
        return _test(drafts, argvs, words, voice)
    if "jobid" in draft.own:
        return _run_inside(drafts, argvs, voice)
    return _run_outside(drafts, argvs, words, voice)


def _check_drafts(drafts: Sequence[Draft], argvs: Sequence[Sequence[str]], voice: talk.Voice) -> None:
    """Raise OptionError for what cannot be; tell the remarks."""
    if not all(argv and argv[0] for argv in argvs):
        raise OptionError("No command given to execute.", exit_code=REFUSED_EXIT, is_fatal=True)
    if drafts[0].own.get("no-allocate"):
        text = "--no-allocate: a step runs within an allocation only; get one with salloc, or leave the option out"
        raise OptionError(text, exit_code=REFUSED_EXIT)
    launcher = drafts[0].own.get("launch")
    if launcher and drafts[0].own.get("resv-ports") == 0:
        text = f"--launch={launcher}: the processes need a leased port to meet at; leave --resv-ports=0 out"
        raise OptionError(text, exit_code=REFUSED_EXIT)
    if len(drafts) > 1:
        srun_het.agree(drafts)
    if drafts[0].own.get("async"):
        voice.lines("Warning: --async: this srun waits for its step; run it in the background of the shell")
    for draft in drafts:
        for remark in draft.remarks:
            voice.lines(remark)


def _make_draft(found: Found, variables: Mapping[str, str]) -> Draft:
    draft = Draft("srun", time.time())
    layers.apply_layers(draft, (), variables, found)
    combine(draft)
    return draft


def _job_id(draft: Draft) -> int:
    text: str = draft.own["jobid"]
    if not (text.isascii() and text.isdigit()):
        raise OptionError(f'Invalid numeric value "{text}" for --jobid.', exit_code=REFUSED_EXIT)
    return int(text)


def _load_programs(draft: Draft, argv: Sequence[str]) -> None:
    """--multi-prog: read the file; its ranks are the number of tasks where -n says nothing."""
    if not draft.own.get("multi-prog"):
        return
    from sluice_cli import multi_prog

    text = multi_prog.read(argv[0])
    draft.own["multi-prog-text"] = text
    if not draft.has("ntasks"):
        draft.spec["ntasks"] = max(draft.spec.get("ntasks", 1), multi_prog.highest_rank(text) + 1)
        draft.given["ntasks"] = layers.COMMAND_LINE


def _check_programs(draft: Draft, argv: Sequence[str]) -> None:
    """Refuse a wrong file before anything is asked for."""
    if draft.own.get("multi-prog"):
        from sluice_cli import multi_prog

        multi_prog.check(draft.own["multi-prog-text"], argv[0], draft.spec["ntasks"])


def _test(drafts: Sequence[Draft], argvs: Sequence[Sequence[str]], words: Sequence[str], voice: talk.Voice) -> int:
    """Tell when each component would start, until one is refused; each is looked at by itself (22.05, observed)."""
    from sluice_cli.sbatch import estimate

    for draft, argv in zip(drafts, argvs, strict=True):
        spec = job_request.job_spec(draft, os.path.basename(argv[0]), words)
        spec["is_batch"] = False
        try:
            reply = client.call_patiently("TestJob", {"spec": spec}, voice)
        except RequestError as error:
            if text := client.detail(error):
                voice.error(text)
            talk.plain(f"allocation failure: {client.sentence(error)}")
            return REFUSED_EXIT
        voice.lines(estimate(reply))
    return 0


def _run_outside(
    drafts: Sequence[Draft], argvs: Sequence[Sequence[str]], words: Sequence[str], voice: talk.Voice
) -> int:
    """Get an allocation for this one step."""
    from sluice_cli.srun_run import StepRun
    from sluice_cli.step_maker import StepMaker

    draft = drafts[0]
    if "relative" in draft.own:
        raise OptionError("--relative option invalid for job allocation request", exit_code=REFUSED_EXIT, is_fatal=True)
    for each, argv in zip(drafts, argvs, strict=True):
        _load_programs(each, argv)
        _check_programs(each, argv)
    job_id = allocation.submit(drafts, os.path.basename(argvs[0][0]), words, voice)
    with allocation.given_back(job_id, voice) as hold:
        started = allocation.wait_started(
            job_id,
            draft,
            voice,
            lambda job: voice.info(f"job {job} queued and waiting for resources"),
            lambda job: voice.info(f"job {job} has been allocated resources"),
            hold,
        )
        step = StepRun(_parts(started["job"], range(len(drafts)), drafts, argvs), StepMaker(None), voice)
        other_user.become(draft, other_user.NEEDS_OF_SRUN)
        step.run(hold)
        allocation.finish(job_id, voice, *step.outcome)
    return step.status


def _run_inside(drafts: Sequence[Draft], argvs: Sequence[Sequence[str]], voice: talk.Voice) -> int:
    """Run a step in an allocation that is there."""
    from sluice_cli import srun_step
    from sluice_cli.srun_run import Part, StepRun
    from sluice_cli.step_maker import StepMaker

    parts = []
    is_agents = len(drafts) == 1 and not drafts[0].own.get("interactive")
    maker = StepMaker(_job_id(drafts[0]) if is_agents else None)
    for draft, argv in zip(drafts, argvs, strict=True):
        job = _locate(_job_id(draft), draft, maker, voice)
        if job is None:
            return exit_status("SLURM_EXIT_ERROR")
        srun_het.check_alone(draft, job)
        if len(drafts) > 1 and not job.get("components"):
            text = f"job {job['id']} is not heterogeneous: it has one component, {len(drafts)} programs are given"
            raise OptionError(text, exit_code=REFUSED_EXIT)
        srun_step.check_nodes(draft, job, voice)
        _load_programs(draft, argv)
        parts.append(Part(job["id"], draft, argv))
    step = StepRun(parts, maker, voice)
    other_user.become(drafts[0], other_user.NEEDS_OF_SRUN)
    step.run()
    return step.status


def _parts(
    job: dict[str, Any], numbers: Iterable[int], drafts: Sequence[Draft], argvs: Sequence[Sequence[str]]
) -> list[Part]:
    """Return the parts of a step in the components of a job, or in the job itself."""
    from sluice_cli.srun_run import Part

    ids = [component["id"] for component in job.get("components", ())] or [job["id"]]
    return [Part(ids[number], draft, argv) for number, draft, argv in zip(numbers, drafts, argvs, strict=True)]


def _ask_where(job_id: int, maker: StepMaker, voice: talk.Voice) -> dict[str, Any]:
    """Return StartedJob of whoever makes the job's steps, or of the controller, for which it is waited."""
    body = {"job_id": job_id}
    if maker.is_agent:
        with contextlib.suppress(Unreachable):
            located: dict[str, Any] = maker.call("LocateJob", body)
            return located
    located = client.call_patiently("LocateJob", body, voice)
    return located


def _locate(job_id: int, draft: Draft, maker: StepMaker, voice: talk.Voice) -> dict[str, Any] | None:
    """Return the job's record, waiting until it has its allocation; None when there is none, which has been told."""
    reason = ""
    try:
        located = _ask_where(job_id, maker, voice)
        if located.get("is_ended"):
            reason = f"Slurm job {job_id} has expired"
        elif not located["job"].get("allocation"):
            located = allocation.wait_started(
                job_id,
                draft,
                voice,
                lambda job: voice.info(f"job {job} queued and waiting for resources"),
                lambda job: voice.info(f"job {job} has been allocated resources"),
            )
    except SluiceError as error:
        reason = f"Unable to confirm allocation for job {job_id}: {client.sentence(error)}"
    if reason:
        voice.error(reason)
        voice.info(f"Check SLURM_JOB_ID environment variable. Expired or invalid job {job_id}")
        return None
    job: dict[str, Any] = located["job"]
    return job


if __name__ == "__main__":
    sys.exit(main())
