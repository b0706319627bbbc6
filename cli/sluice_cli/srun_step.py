"""A step as srun asks for it: the StepSpec, and waiting until the controller has room for it."""

from __future__ import annotations

import contextlib
import os

from sluice.errors import AuthenticationFailed, RequestError, SluiceError
from sluice.wire.light import new_token
from sluice_cli import client
from sluice_cli.combine import settle_step
from sluice_cli.draft import REFUSED_EXIT, OptionError
from sluice_cli.inbox import ENDING, Inbox, Interrupted
from sluice_cli.layers import COMMAND_LINE
from sluice_cli.waiting import Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sluice_cli.draft import Draft
    from sluice_cli.step_maker import StepMaker
    from sluice_cli.talk import Voice
    from sluice_cli.waiting import OnNotice

#: How long an interrupted request for a step asks what became of it.
_TAKE_BACK_S = 5.0
#: Ports on every node for a launcher, where --resv-ports does not ask for others.
LAUNCHER_PORTS = 8
#: Fields that a job and a step have alike, with the options that set them.
_SHARED = {
    "ntasks": ("ntasks",),
    "min_nodes": ("nodes", "nodelist", "nodefile"),
    "max_nodes": ("nodes",),
    "cpus_per_task": ("cpus-per-task", "tres-per-task"),
    "ntasks_per_node": ("ntasks-per-node",),
    "memory_per_node_mib": ("mem",),
    "memory_per_cpu_mib": ("mem-per-cpu",),
    "gres_per_node": ("gres", "gpus-per-node"),
    "gres_per_task": ("gpus-per-task", "tres-per-task"),
    "required_nodes": ("nodelist", "nodefile"),
    "excluded_nodes": ("exclude",),
    "distribution": ("distribution",),
    "hint": ("hint",),
    "threads_per_core": ("threads-per-core",),
    "ntasks_per_core": ("ntasks-per-core",),
    "ntasks_per_socket": ("ntasks-per-socket",),
    "gpu_bind": ("gpu-bind",),
    "is_overcommitted": ("overcommit",),
    "limit_s": ("time",),
}


def step_spec(draft: Draft, argv: Sequence[str]) -> dict[str, Any]:
    """Return the map of the StepSpec: what was given; the rest is the job's, as the controller knows it."""
    spec: dict[str, Any] = {
        field: draft.spec[field] for field, keys in _SHARED.items() if field in draft.spec and draft.has(*keys)
    }
    if "gres_per_job" in draft.spec:
        spec["gres_per_step"] = draft.spec["gres_per_job"]
    per_gpu = draft.other.get("ntasks-per-gpu") or draft.other.get("ntasks-per-tres")
    if per_gpu and not spec.get("gpu_bind"):
        spec["gpu_bind"] = f"single:{per_gpu}"
    spec["has_no_gres"] = draft.own.get("gres", "").lower() == "none"
    spec["name"] = os.path.basename(argv[0])
    # SLURM_JOB_NAME inside a job is the job's name, not the step's.
    if draft.given.get("job-name") == COMMAND_LINE:
        spec["name"] = draft.spec["name"]
    spec["argv"] = list(argv)
    if _is_outer_bind(draft):
        del draft.own["cpu-bind"]
    for field, key in (("relative", "relative"), ("cpu_bind", "cpu-bind"), ("mem_bind", "mem-bind"), ("mpi", "mpi")):
        if key in draft.own:
            spec[field] = draft.own[key]
    spec["ports"] = draft.own.get("resv-ports", LAUNCHER_PORTS if draft.own.get("launch") else 0)
    spec["is_overlapping"] = bool(draft.own.get("overlap"))
    spec["is_exact"] = bool(draft.own.get("exact")) or draft.has("exclusive", "cpus-per-task")
    spec["is_interactive"] = bool(draft.own.get("interactive"))
    if spec["is_interactive"]:
        spec["name"] = "interactive"
    spec["is_immediate"] = draft.has("immediate")
    spec["srun_host"] = os.uname().nodename
    spec["srun_pid"] = os.getpid()
    return spec


def _is_outer_bind(draft: Draft) -> bool:
    """Tell whether SLURM_CPU_BIND is the masks of the task that this srun runs in; its own step has other CPUs."""
    is_told = draft.given.get("cpu-bind") not in (None, COMMAND_LINE)
    return is_told and "SLURM_STEP_ID" in os.environ and "mask_cpu:" in draft.own["cpu-bind"]


def check_nodes(draft: Draft, job: dict[str, Any], voice: Voice) -> None:
    """Raise OptionError when more nodes are asked than the allocation has; tell what does not fit on those it has."""
    allocated = len((job.get("allocation") or {}).get("grants", ()))
    asked = draft.spec.get("min_nodes", 1)
    if draft.has("nodes") and allocated and asked > allocated:
        raise OptionError(f"Only allocated {allocated} nodes asked for {asked}", exit_code=REFUSED_EXIT)
    for line in settle_step(draft, allocated) if allocated else ():
        voice.lines(line)


class NoStep(Exception):
    """The step could not be; everything has been said."""


def _take_back(name: str, body: dict[str, Any], maker: StepMaker) -> None:
    """Give the step up whose creation was not awaited: the token tells it, if there is one.

    Where that is not possible, the controller gives it up when nobody launches it.
    """
    if "spec" in body:
        again = {**body, "spec": {**body["spec"], "is_immediate": True}}
    else:
        again = {**body, "parts": [{**part, "spec": {**part["spec"], "is_immediate": True}} for part in body["parts"]]}
    with contextlib.suppress(SluiceError):
        answer = maker.call(name, again, _TAKE_BACK_S)
        for created in answer.get("parts") or [answer]:
            step = created["step"]
            maker.call("FinishStep", {"job_id": step["job_id"], "step_id": step["step_id"]}, _TAKE_BACK_S)


def create(parts: Sequence[tuple[int, dict[str, Any]]], maker: StepMaker, voice: Voice) -> list[dict[str, Any]]:
    """Return StepCreated for each (job id, spec), waiting while other steps have the room.  Raises NoStep.

    Several parts are one step over components of a heterogeneous job: all are granted or none.
    """
    waits: list[str] = []
    job_id = parts[0][0]

    def on_notice(name: str, body: dict[str, Any]) -> None:
        if name == "StepWaits" and not waits:
            waits.append(body["reason"])
            voice.info(f"Job {job_id} step creation temporarily disabled, retrying ({body['reason']})")
            if text := body.get("text", ""):
                voice.verbose(f"Job {job_id} step waits: {text}")
                _tell_own_step(text, voice)

    name, body = _request(parts)
    failed = f"Unable to create step for job {job_id}"
    with Inbox(ENDING) as inbox:
        try:
            answer = _ask(name, body, maker, inbox, voice, on_notice)
        except Interrupted as interrupt:
            _take_back(name, body, maker)
            voice.info(f"Cancelled pending job step with signal {interrupt.number}")
            voice.error(f"{failed}: Job/step already completing or completed")
            raise NoStep from None
        except RequestError as error:
            if error.code == "step_busy":
                voice.error(f"{failed}: Requested nodes are busy")
            else:
                client.tell_failure(voice, error, failed)
            raise NoStep from None
    created: list[dict[str, Any]] = answer.get("parts") or [answer]
    if waits:
        voice.info(f"Step created for StepId={job_id}.{created[0]['step']['step_id']}")
    return created


def _tell_own_step(text: str, voice: Voice) -> None:
    """Say so where a step waits for the one whose task this srun is, and which ends with it at the earliest."""
    own = f"{os.environ.get('SLURM_JOB_ID', '')}.{os.environ.get('SLURM_STEP_ID', '')}"
    if f"step {own} (" in text:
        voice.info(f"step {own}, in which this srun runs, has the CPUs that it waits for; --overlap shares them")


def _ask(
    name: str, body: dict[str, Any], maker: StepMaker, inbox: Inbox, voice: Voice, on_notice: OnNotice
) -> dict[str, Any]:
    """Return the answer of whoever makes the steps.  Raises Interrupted, SluiceError."""
    while True:
        with Question(name, body, voice, on_notice, maker.connect) as question:
            try:
                return question.wait(inbox)
            except (RequestError, AuthenticationFailed) as error:
                if not maker.follow(error):
                    raise


def _request(parts: Sequence[tuple[int, dict[str, Any]]]) -> tuple[str, dict[str, Any]]:
    if len(parts) == 1:
        job_id, spec = parts[0]
        return "CreateStep", {"token": new_token(), "job_id": job_id, "spec": spec}
    listed = [{"job_id": job_id, "spec": spec} for job_id, spec in parts]
    return "CreateHetStep", {"token": new_token(), "parts": listed}
