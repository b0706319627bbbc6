"""The step daemon: claims one step, runs it, and writes its result.

It is forked by the fork server and outlives agent and fork server alike.  The result is whole on disk before it
exits or serves again (serving.py); whoever sees it end without a result knows that it was killed.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable

from msgspec.structs import replace

from sluice.model.base import BATCH_STEP
from sluice.model.reason import Reason
from sluice.model.states import OUT_OF_MEMORY_SIGNAL
from sluice.wire.messages import StepDone, StepResult, StepTalk, StreamTail
from sluiced import spool
from sluiced.cgroup.detect import group_name, step_group
from sluiced.cgroup.interface import StepGroup
from sluiced.cgroup.oom import find_victim, oom_text, read_kernel_log
from sluiced.stdio import output_files
from sluiced.stdio.relay import STDERR, STDOUT, Relay
from sluiced.stdio.srun_link import SrunLink
from sluiced.steps import descendants, talk
from sluiced.steps.control import pass_over_orders
from sluiced.steps.extern import run_extern
from sluiced.steps.launch import StepLaunch
from sluiced.steps.launch_failure import LaunchFailure
from sluiced.steps.runner import StepRunner
from sluiced.steps.setup import Preparation, prepare_step
from sluiced.steps.user import acting_as, load_user
from sluiced.steps.wiring import is_wired, make_wireup

logger = logging.getLogger(__name__)

_STREAM_NAMES = {STDOUT: "stdout", STDERR: "stderr"}
#: The signal number that Slurm shows for a job that could not be launched (ExitCode 0:53).
LAUNCH_FAILURE_SIGNAL = 53
_SPACE_PATIENCE_S = 86400.0
_SPACE_PAUSE_S = 1.0


def run_step(
    step_path: str,
    control: int,
    lock: int,
    connection: socket.socket | None,
    on_claimed: Callable[[], object],
) -> bool:
    """Run the step whose files begin with *step_path*, unless somebody else does.

    lock: of the spool, given back as soon as the claim is made or lost.  on_claimed: it is made.
    Return whether nothing of it is left in this process, which may run another one then.
    """
    is_ours = spool.claim(step_path)
    os.close(lock)
    if not is_ours:
        return False
    on_claimed()
    launch = spool.read_launch(step_path)
    assert launch is not None, f"{step_path}: no launch record"
    started_at = time.time()
    is_clean = False
    try:
        if launch.is_extern:
            result = run_extern(launch, step_path, control, started_at)
        else:
            result, is_clean = _run(launch, step_path, control, connection, started_at)
    except LaunchFailure as failure:
        result = _fail(launch, failure, connection, started_at)
    except Exception as error:
        logger.exception("step %s: step daemon failed", launch.name)
        descendants.signal_descendants(os.getpid(), signal.SIGKILL)
        problem = LaunchFailure(Reason.JOB_LAUNCH_FAILURE, f"step daemon failed: {error!r}")
        result = _fail(launch, problem, connection, started_at)
    write_result(step_path, result, control)
    return is_clean


def write_result(step_path: str, result: StepResult, control: int) -> None:
    """Write the result, waiting while the spool's disk is full: nobody else knows how the step ended."""
    ends_at = time.monotonic() + _SPACE_PATIENCE_S
    has_told = False
    while True:
        try:
            spool.write_result(step_path, result)
            return
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or time.monotonic() > ends_at:
                raise
            if not has_told:
                logger.warning("step %s.%s: its result waits: %s", result.job_id, result.step_id, error)
            has_told = True
        pass_over_orders(control, _SPACE_PAUSE_S)


def _run(
    launch: StepLaunch, step_path: str, control: int, connection: socket.socket | None, started_at: float
) -> tuple[StepResult, bool]:
    """Return the result, and whether the step has left nothing behind."""
    descendants.adopt_orphans()
    spec = launch.job.spec
    user = load_user(spec.uid, spec.gid, spec.user, launch.node)
    link = SrunLink(connection, launch.srun_early) if connection is not None else None
    relay = Relay(link, launch.config.output_tail_bytes)
    wireup = make_wireup(launch, user)
    try:
        preparation = prepare_step(launch, user, relay, wireup)
        group = step_group(launch)
        errors = [file for file in preparation.files.values() if file.stream == STDERR] or [*preparation.files.values()]
        runner = StepRunner(launch, user, relay, link, group, control, errors[0].fd if errors else None, wireup)
        try:
            runner.start(preparation)
            runner.run()
            if runner.unkillable:
                spool.write_problem(step_path, runner.unkillable)
            oom = _tell_oom(launch, runner, group)
            runner.finish()
            return _result(launch, runner, group, preparation, started_at, oom), _clean_up(runner, preparation)
        finally:
            runner.notices.close()
            group.remove()
    finally:
        wireup.close()


def _clean_up(runner: StepRunner, preparation: Preparation) -> bool:
    """Close what a process that ends need not close; return whether that was all.

    A step that took its time, or had what others do not, has its process to itself.
    """
    launch = runner.launch
    is_plain = not is_wired(launch) and (launch.tasks is None or not launch.tasks.is_pty)
    if gc.isenabled() or runner.unkillable or not is_plain:
        return False
    runner.close()
    for file in preparation.files.values():
        os.close(file.fd)
    return True


def _result(
    launch: StepLaunch, runner: StepRunner, group: StepGroup, preparation: Preparation, started_at: float, oom: str
) -> StepResult:
    """oom: what the kernel killed for want of memory, "" for nothing."""
    code, number = runner.tasks.outcome
    is_oom = bool(oom and (code or number))
    return StepResult(
        node=launch.node,
        job_id=launch.job.id,
        attempt=launch.job.attempt,
        step_id=launch.step_id,
        started_at=started_at,
        ended_at=time.time(),
        exit_code=0 if is_oom else code,
        exit_signal=OUT_OF_MEMORY_SIGNAL if is_oom else number,
        reason=Reason.OUT_OF_MEMORY.value if is_oom else "",
        reason_text=oom if is_oom else group.problem,
        usage=runner.meter.usage(group.usage(), launch.config.is_usage_of_cgroup),
        tails=_tails(launch, runner, preparation),
    )


def _tails(launch: StepLaunch, runner: StepRunner, preparation: Preparation) -> tuple[StreamTail, ...]:
    """Return the end of each stream: of the files as they are now, and of what went to srun."""
    size_max = launch.config.output_tail_bytes
    tails = []
    for file in preparation.files.values():
        with acting_as(preparation.user, 0o077):
            data, is_cut = output_files.read_tail(file.path, file.fd, file.start, size_max)
        tails.append(_tail(launch, _STREAM_NAMES[file.stream], data, is_cut, file.path))
    for stream, kept in runner.relay.tails.items():
        if kept.bytes():
            tails.append(_tail(launch, _STREAM_NAMES[stream], kept.bytes(), kept.is_cut, ""))
    return tuple(tails)


def _tail(launch: StepLaunch, stream: str, data: bytes, is_cut: bool, path: str) -> StreamTail:
    return StreamTail(step_id=launch.step_id, node=launch.node, stream=stream, path=path, tail=data, is_cut=is_cut)


def _tell_oom(launch: StepLaunch, runner: StepRunner, group: StepGroup) -> str:
    """Tell the user that the kernel killed for want of memory, and return the story; "" where it did not."""
    count = group.oom_kills()
    if not count:
        return ""
    story = oom_text(launch.node, group.memory_bound(), find_victim(read_kernel_log(), group_name(launch)))
    runner.say(talk.oom_line(launch.node, launch.name, count))
    runner.say(talk.error_line(launch.node, story))
    return story


def _fail(
    launch: StepLaunch, failure: LaunchFailure, connection: socket.socket | None, started_at: float
) -> StepResult:
    """Tell srun, and return the result of a step that could not run."""
    _tell_failure(launch, connection, failure.text)
    return failed_result(launch, failure, started_at, time.time())


def failed_result(launch: StepLaunch, failure: LaunchFailure, started_at: float, ended_at: float) -> StepResult:
    """Return the result of a step that could not run, or whose daemon is gone."""
    line = talk.error_line(launch.node, failure.text)
    tail = StreamTail(step_id=launch.step_id, node=launch.node, stream="stderr", error=line)
    key = spool.StepKey(launch.job.id, launch.job.attempt, launch.step_id)
    result = unrecorded_result(key, failure, ended_at)
    return replace(result, node=launch.node, started_at=started_at, tails=(tail,))


def unrecorded_result(key: spool.StepKey, failure: LaunchFailure, ended_at: float) -> StepResult:
    """Return the result of a step whose launch record could not be written, or read again."""
    return StepResult(
        node="",
        **key._asdict(),
        started_at=ended_at,
        ended_at=ended_at,
        exit_code=0 if key.step_id == BATCH_STEP else 1,
        exit_signal=LAUNCH_FAILURE_SIGNAL if key.step_id == BATCH_STEP else 0,
        reason=failure.reason.value,
        reason_text=failure.text,
    )


def _tell_failure(launch: StepLaunch, connection: socket.socket | None, text: str) -> None:
    if connection is None:
        return
    with contextlib.suppress(OSError):
        link = SrunLink(connection)
        link.notify(StepTalk(text=talk.error_line(launch.node, text)))
        link.notify(StepDone(node=launch.node))
        link.flush()
        link.close()
