"""sbatch: submit a batch script.

Options, environment and directives become a SubmitJob; the controller's id is printed when it is committed.
A submission carries a token, so that asking again through a controller's restart submits once.

Source: CONTRACT.md sections 2, 3.1 and 15.
"""

from __future__ import annotations

import os
import sys
import time

from sluice.errors import RequestError, SluiceError
from sluice_cli import client, components, job_request, layers, script, talk
from sluice_cli.combine import combine
from sluice_cli.draft import REFUSED_EXIT, Draft, OptionError
from sluice_cli.getopt import UsageError
from sluice_cli.options import table_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sluice.config.light import Endpoints
    from sluice_cli.getopt import Found, OptionTable

_SYNOPSIS = "[OPTIONS] script [args...]"
_FAILED = "Batch job submission failed"


class Source:
    """The script to submit: its bytes, the job's default name, the Command value and the script's arguments."""

    __slots__ = ("arguments", "command", "label", "name", "script")

    def __init__(self, script: bytes, name: str, command: str = "", arguments: Sequence[str] = ()) -> None:
        self.script = script
        self.name = name
        self.command = command
        self.arguments = list(arguments)
        #: How messages call it.
        self.label = name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run sbatch; return its exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    voice = talk.Voice("sbatch")
    try:
        return _run(words, voice)
    except UsageError as error:
        voice.usage_error(error)
        return talk.USAGE_EXIT
    except OptionError as refusal:
        return job_request.tell_refusal(voice, refusal)
    except SluiceError as error:
        # This one sentence Slurm's sbatch writes without the frame.
        is_gres = isinstance(error, RequestError) and error.code == "invalid_gres"
        client.tell_failure(voice, error, "" if is_gres else _FAILED)
        return REFUSED_EXIT
    except KeyboardInterrupt:
        return talk.INTERRUPTED_EXIT


def _run(words: list[str], voice: talk.Voice) -> int:
    table = table_for("sbatch")
    asked, positionals = components.parse(table, words)
    found = [each for component in asked for each in component]
    for key, _ in found:
        if talk.put_standard_answer("sbatch", key, table, _SYNOPSIS):
            return 0
    layers.set_loudness(voice, found, os.environ, "sbatch")
    source = _read_source(dict(found), positionals)
    drafts = _make_drafts(source, table, asked, voice)
    draft = drafts[0]
    if answer := job_request.check_gres_help(draft):
        talk.put(answer)
        return 0
    where = client.find_endpoints()
    job_request.check_clusters(draft, where)
    specs = [_make_spec(each, source, words) for each in drafts]
    if draft.own.get("test-only") or draft.own.get("explain"):
        is_explained = bool(draft.own.get("explain"))
        if len(specs) == 1:
            return _test(specs[0], is_explained, voice)
        if is_explained:
            raise OptionError("--explain takes one component: ask for each alone", exit_code=REFUSED_EXIT)
        return _test_components(specs, voice)
    return _submit(specs, source, draft, where, voice)


def _read_source(values: dict[str, str | None], positionals: Sequence[str]) -> Source:
    if "wrap" in values:
        if positionals:
            raise OptionError("Script arguments not permitted with --wrap option", exit_code=REFUSED_EXIT)
        return Source(script.wrap(values["wrap"] or ""), "wrap")
    if not positionals:
        content = script.read(None)
        script.check(content)
        return Source(content, "sbatch")
    path = script.find(positionals[0])
    content = script.read(path)
    script.check(content)
    source = Source(content, os.path.basename(positionals[0]), path, positionals[1:])
    source.label = positionals[0]
    return source


def _make_drafts(source: Source, table: OptionTable, asked: Sequence[Found], voice: talk.Voice) -> list[Draft]:
    """Return a draft for each component."""
    directives = script.directives(source.script, table, source.label)
    if not any(key == "ignore-pbs" for key, _ in asked[0]) and "SBATCH_IGNORE_PBS" not in os.environ:
        directives[0] = _foreign_directives(source) + directives[0]
    return [_make_draft(*each, voice) for each in components.pair(directives, asked)]


def _make_draft(directives: Found, found: Found, voice: talk.Voice) -> Draft:
    draft = Draft("sbatch", time.time())
    layers.apply_layers(draft, directives, os.environ, found)
    combine(draft)
    for remark in draft.remarks:
        voice.lines(remark)
    return draft


def _foreign_directives(source: Source) -> Found:
    """Return the options of #PBS and #BSUB lines; they are rare, and so is the import."""
    if b"\n#PBS" not in source.script and b"\n#BSUB" not in source.script:
        return []
    from sluice_cli import foreign_directives

    return foreign_directives.read(source.script, source.label)


def _make_spec(draft: Draft, source: Source, words: Sequence[str]) -> dict[str, Any]:
    spec = job_request.job_spec(draft, source.name, words)
    spec["is_batch"] = True
    spec["command"] = source.command
    spec["arguments"] = source.arguments
    return spec


def _test(spec: dict[str, Any], is_explained: bool, voice: talk.Voice) -> int:
    try:
        reply = client.call_patiently("TestJob", {"spec": spec, "is_explained": is_explained}, voice)
    except RequestError as error:
        text = client.detail(error)
        if is_explained:
            talk.put("verdict: refused\n" + "".join(f"  {line}\n" for line in text.split("\n") if line))
        elif text:
            voice.error(text)
        return _tell_no_allocation(error)
    if reply.get("start_at") and not reply.get("gates"):
        voice.lines(estimate(reply))
    if is_explained:
        from sluice_cli import explanation

        talk.put("\n".join(explanation.test_lines(reply)) + "\n")
    return 0


def _test_components(specs: Sequence[dict[str, Any]], voice: talk.Voice) -> int:
    """Say when all of a heterogeneous job could be, each component looked at by itself, as Slurm's sbatch does."""
    replies = []
    for number, spec in enumerate(specs):
        try:
            replies.append(client.call_patiently("TestJob", {"spec": spec}, voice))
        except RequestError as error:
            voice.error(f"component {number}: {client.detail(error) or client.sentence(error)}")
            return _tell_no_allocation(error)
    if all(reply.get("start_at") and not reply.get("gates") for reply in replies):
        voice.lines(_estimate_all(replies))
    return 0


def _tell_no_allocation(error: RequestError) -> int:
    talk.plain(f"allocation failure: {client.sentence(error)}")
    return REFUSED_EXIT


def _estimate_all(replies: Sequence[dict[str, Any]]) -> str:
    from sluice import hostlist, timepoint

    start = timepoint.format_local(max(reply["start_at"] for reply in replies))
    cpus = sum(reply["cpu_count"] for reply in replies)
    nodes = hostlist.fold(name for reply in replies for name in hostlist.expand(reply["nodes"]))
    return f"Job {replies[0].get('job_id', 0)} to start at {start} using {cpus} processors on {nodes}"


def estimate(reply: dict[str, Any]) -> str:
    """Return --test-only's sentence."""
    from sluice import timepoint

    start = timepoint.format_local(reply["start_at"])
    return (
        f"Job {reply.get('job_id', 0)} to start at {start} using {reply['cpu_count']} processors "
        f"on nodes {reply['nodes']} in partition {reply['partition']}"
    )


def _submit(specs: list[dict[str, Any]], source: Source, draft: Draft, where: Endpoints, voice: talk.Voice) -> int:
    name, body = job_request.submission(specs)
    body |= {"script": source.script, "environment": job_request.job_environment(draft)}
    reply = client.call_patiently(name, body, voice)
    for warning in reply.get("warnings", ()):
        for line in warning.split("\n"):
            voice.lines(line)
    _tell_id(reply["job_id"], draft, where, voice)
    return _wait(reply["job_id"], voice) if draft.own.get("wait") else 0


def _tell_id(job_id: int, draft: Draft, where: Endpoints, voice: talk.Voice) -> None:
    cluster = where.cluster_name if "clusters" in draft.own else ""
    if draft.own.get("parsable"):
        text = f"{job_id};{cluster}" if cluster else f"{job_id}"
    elif voice.is_quiet:
        return
    else:
        text = f"Submitted batch job {job_id}" + (f" on cluster {cluster}" if cluster else "")
    talk.put(text + "\n", done=f"job {job_id} is submitted")


def _wait(job_id: int, voice: talk.Voice) -> int:
    """Return the job's exit status; 1 for a job that a signal ended, as sbatch(1) says."""
    try:
        reply = client.wait_patiently("WaitJobEnd", {"job_id": job_id}, voice)
    except SluiceError as error:
        client.tell_failure(voice, error, f"job {job_id} is not waited for any more")
        return REFUSED_EXIT
    if reply.get("exit_signal"):
        return 1
    code: int = reply.get("exit_code", 0)
    return code


if __name__ == "__main__":
    sys.exit(main())
