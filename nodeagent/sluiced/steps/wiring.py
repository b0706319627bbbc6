"""Whether the tasks of a step have to find each other, and what makes it so.

A step without --mpi and --launch gets nothing, and pays for nothing: what others need is imported for them alone.
Raises LaunchFailure with what is missing.
"""

from __future__ import annotations

from sluiced.steps.launch import StepLaunch
from sluiced.steps.leased_ports import check_ports
from sluiced.steps.private_dirs import are_wanted
from sluiced.steps.user import User
from sluiced.steps.wireup import Wireup

#: What --mpi says for a step that needs nothing.
NONE = "none"


def is_wired(launch: StepLaunch) -> bool:
    """Is make_wireup() going to need more than this module?"""
    tasks = launch.tasks
    return tasks is not None and (tasks.mpi not in ("", NONE) or bool(tasks.launcher) or _is_private(launch))


def make_wireup(launch: StepLaunch, user: User) -> Wireup:
    """Return what wires the step's tasks up."""
    tasks = launch.tasks
    if tasks is not None and tasks.step.ports[0]:
        check_ports(tasks, launch.node)
    if tasks is None or not is_wired(launch):
        return Wireup()
    from sluiced.steps.wired import make_step_wireup

    return make_step_wireup(launch, tasks, user, _is_private(launch))


def load_wiring() -> None:
    """Load what wired steps need, for all step daemons that are forked from this process."""
    from sluiced.steps.wired import load_plugins

    load_plugins()


def _is_private(launch: StepLaunch) -> bool:
    tasks = launch.tasks
    return tasks is not None and bool(launch.config.private_dirs) and are_wanted(tasks.mpi, tasks.argv[0])
