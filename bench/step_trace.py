"""Marks in time while an agent runs a step: written around its own functions, from outside of them.

    python -m bench.step_trace OPTIONS OF SLUICED

runs an agent whose functions of AGENT_STAGES write a mark when they begin or end; its fork server, which is this module
again, does so for FORK_SERVER_STAGES, and with it the step daemons that it forks.  A mark is a line
`nanoseconds label` in the file that SLUICE_BENCH_TRACE names.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

VARIABLE = "SLUICE_BENCH_TRACE"


class Stage(NamedTuple):
    """label: what is over when the function begins or, is_end, returns.  place: module:name."""

    label: str
    place: str
    is_end: bool = True


AGENT_STAGES = (
    Stage("connection is there", "sluiced.server:AgentAuthenticator.check", False),
    Stage("hello checked", "sluiced.server:AgentAuthenticator.check"),
    Stage("launch is there", "sluiced.server:AgentServer._launch", False),
    Stage("credential and request checked", "sluiced.starter:Starter.start_tasks", False),
    Stage("spooled", "sluiced.spool:Spool.write_launch"),
    Stage("step daemon asked for", "sluiced.starter:Starter.start_tasks"),
    Stage("end of the step daemon seen", "sluiced.agent:Agent._on_step_ended", False),
    Stage("result on its way to the controller", "sluiced.agent:Agent._on_step_ended"),
)
FORK_SERVER_STAGES = (
    Stage("fork server woken", "sluiced.steps.forkserver:_serve_one", False),
    Stage("step daemon there", "sluiced.steps.stepd:run_step", False),
    Stage("step claimed", "sluiced.spool:claim"),
    Stage("launch record read", "sluiced.spool:read_launch"),
    Stage("tasks prepared", "sluiced.steps.setup:prepare_step"),
    Stage("control group made", "sluiced.cgroup.detect:step_group"),
    Stage("tasks forked", "sluiced.steps.tasks:Tasks.fork"),
    Stage("end of the last task seen", "sluiced.steps.tasks:Tasks.on_end"),
    Stage("streams and srun at their end", "sluiced.steps.runner:StepRunner.finish"),
    Stage("result written", "sluiced.spool:write_result"),
)


def mark_all(stages: Sequence[Stage]) -> None:
    """Wrap the functions of *stages*, wherever modules that are loaded already know them."""
    descriptor = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for stage in stages:
        module_name, _, path = stage.place.partition(":")
        owner: Any = importlib.import_module(module_name)
        *holders, name = path.split(".")
        for holder in holders:
            owner = getattr(owner, holder)
        plain = getattr(owner, name)
        marked = _marked(plain, stage, descriptor)
        for place in [owner, *(module for module in list(sys.modules.values()) if not holders)]:
            if getattr(place, "__dict__", {}).get(name) is plain:
                setattr(place, name, marked)


def _marked(function: Callable[..., Any], stage: Stage, descriptor: int) -> Callable[..., Any]:
    line = f" {stage.label}\n".encode()

    @functools.wraps(function)
    def marked(*arguments: Any, **options: Any) -> Any:
        if not stage.is_end:
            os.write(descriptor, b"%d" % time.time_ns() + line)
        result = function(*arguments, **options)
        if stage.is_end:
            os.write(descriptor, b"%d" % time.time_ns() + line)
        return result

    return marked


def main(arguments: list[str]) -> int:
    if arguments[0].isdecimal():
        from sluiced.steps import forkserver

        mark_all(FORK_SERVER_STAGES)
        return forkserver.main(arguments)
    from sluiced import agent, daemon
    from sluiced.steps import launcher

    assert agent, "loaded before it is marked"
    launcher.FORK_SERVER = "bench.step_trace"
    mark_all(AGENT_STAGES)
    return daemon.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
