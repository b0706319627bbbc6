"""From a draft to the map of a JobSpec: who asks, from where, with which environment.

Shared by sbatch, salloc and srun.  The map has the fields of sluice.model.request.JobSpec; defaults are left out.
"""

from __future__ import annotations

import os

from sluice.wire.light import new_token
from sluice_cli import environment
from sluice_cli.draft import REFUSED_EXIT, OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sluice.config.light import Endpoints
    from sluice_cli.draft import Draft
    from sluice_cli.talk import Voice

#: Options that say nothing about the job.
_TALK_KEYS = frozenset(
    ("quiet", "verbose", "parsable", "wait", "test-only", "explain", "cluster", "ignore-pbs", "jobid")
)
_NO_CLUSTER = (
    "'{}' can't be reached now, or it is an invalid entry for --cluster.  "
    "Use 'sacctmgr list clusters' to see available clusters."
)


def identity() -> dict[str, Any]:
    """Return the fields that name the submitter; the controller believes the socket more than these."""
    import pwd

    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return {"uid": uid, "gid": os.getgid(), "user": user}


def job_spec(draft: Draft, default_name: str, submit_words: Sequence[str]) -> dict[str, Any]:
    """Return the map of the JobSpec.  submit_words: the whole command line."""
    spec: dict[str, Any] = {"name": default_name, **identity(), **draft.spec}
    spec["work_dir"] = work_dir(draft)
    spec["umask"] = environment.current_umask()
    spec["submit_host"] = os.uname().nodename
    spec["submit_sid"] = os.getsid(0)
    spec["submit_line"] = _printable(" ".join((draft.command, *submit_words)))
    spec["origin"] = draft.command
    spec["rlimits"] = environment.limits(draft.own.get("propagate", ("ALL",)))
    spec["given"] = [key for key in draft.given if key not in _TALK_KEYS]
    spec["other"] = list(draft.other.items())
    if "required_nodes" in spec:
        # An arbitrary distribution names a node once for each of its tasks.
        named = list(spec["required_nodes"])
        spec["required_nodes"] = list(dict.fromkeys(named))
        if spec.get("distribution", "").lower().startswith("arbitrary") and len(named) == spec["ntasks"]:
            spec["task_nodes"] = named
    if "get-user-env" in draft.own or environment.needs_login(spec.get("export", "")):
        spec["get_user_env"] = True
    for field in ("std_in", "std_out", "std_err"):
        if draft.command == "sbatch" and spec.get(field, "").lower() == "none":
            spec[field] = os.devnull
    return spec


def submission(specs: Sequence[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Return the request that submits a job, or a heterogeneous one of several components, and its body."""
    if len(specs) == 1:
        return "SubmitJob", {"token": new_token(), "spec": specs[0]}
    for spec in specs[1:]:
        # The script runs once, on the first component.
        spec["is_batch"] = False
    return "SubmitHetJob", {"token": new_token(), "specs": list(specs)}


def _printable(text: str) -> str:
    """Return *text* without the bytes that no text is made of: an old file name is no reason to refuse a job."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def work_dir(draft: Draft) -> str:
    here = environment.current_folder()
    return os.path.join(here, draft.own["chdir"]) if draft.own.get("chdir") else here


def job_environment(draft: Draft) -> list[bytes]:
    """Return the NAME=value strings that go with the job.  Raises OptionError for an unreadable --export-file."""
    choice = draft.spec.get("export", "")
    variables = environment.exported(choice, os.environb)
    if "export-file" in draft.own:
        variables = {name: value for name, value in variables.items() if name.startswith(b"SLURM_")}
        variables |= environment.read_export_file(draft.own["export-file"])
    variables |= environment.submission_variables()
    return environment.encode(variables)


def check_clusters(draft: Draft, where: Endpoints) -> None:
    """Raise OptionError for another cluster than this one."""
    for name in draft.own.get("clusters", "").split(","):
        if name and name.lower() not in ("all", where.cluster_name):
            raise OptionError(
                f"No cluster '{name}' known by database.", _NO_CLUSTER.format(name), exit_code=REFUSED_EXIT
            )


def check_gres_help(draft: Draft) -> str:
    """Return the answer to --gres=help, "" when it was not asked."""
    return "Valid gres options are:\ngpu[[:type]:count]\n" if draft.own.get("gres") == "help" else ""


def tell_refusal(voice: Voice, refusal: OptionError) -> int:
    """Print a refused option as recorded; return the exit status."""
    from sluice_cli.talk import plain

    if refusal.plain:
        plain(refusal.plain)
    for line in refusal.lines:
        if refusal.is_fatal:
            voice.fatal(line)
        else:
            voice.error(line)
    return refusal.exit_code
