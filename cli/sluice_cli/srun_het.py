"""srun over several components of a heterogeneous job: --het-group=0,1 PROGRAM, or PROGRAM : PROGRAM.

Each component has its own part of the step, by its own options; together they are one: ranks go on from component to
component, and the tasks' variables describe the whole.

Source: Slurm's heterogeneous job guide; what the tasks see as recorded from Slurm 22.05.
"""

from __future__ import annotations

from sluice.errors import InvalidRequest
from sluice_cli import components
from sluice_cli.draft import REFUSED_EXIT, OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sluice_cli.draft import Draft
    from sluice_cli.getopt import Found, OptionTable
    from sluice_cli.srun_run import Part

    #: The component's number, None where the command line does not say; its options; the words of its program.
    Command = tuple[int | None, Found, list[str]]

_DIGITS_MAX = 4
#: What the tasks of all components have in common.
_OF_THE_WHOLE = ("mpi", "launch", "resv-ports")


def parse(table: OptionTable, words: Sequence[str]) -> list[tuple[Found, list[str]]]:
    """Return options and program of each component; one without a program runs the next one's.  Raises UsageError."""
    asked: list[tuple[Found, list[str]]] = []
    while True:
        found, argv = table.parse(words)
        if components.SEPARATOR not in argv:
            asked.append((found, argv))
            break
        at = argv.index(components.SEPARATOR)
        asked.append((found, argv[:at]))
        words = argv[at + 1 :]
    if len(asked) == 1:
        return asked
    complete = components.hand_on([found for found, _ in asked])
    programs = [argv for _, argv in asked]
    for index in range(len(programs) - 2, -1, -1):
        programs[index] = programs[index] or programs[index + 1]
    return list(zip(complete, programs, strict=True))


def commands(asked: Sequence[tuple[Found, list[str]]], het_size: int, is_inside: bool = False) -> list[Command]:
    """Return what runs in which component.  het_size: how many the job around has, 0 outside of a heterogeneous one.

    is_inside: of any job.  Raises OptionError.
    """
    if not het_size and is_inside:
        return [(None, found, argv) for found, argv in asked]
    if not het_size:
        # For a job of its own, --het-group says how many components run the program, not which (22.05, observed).
        return [(None, found, argv) for found, argv in asked for _ in _groups(dict(found).get("het-group") or "0")]
    named: list[Command] = []
    for index, (found, argv) in enumerate(asked):
        group = dict(found).get("het-group")
        default = [index] if len(asked) > 1 else [None]
        numbers: Sequence[int | None] = default if group is None else _groups(group)
        named += [(number, found, argv) for number in numbers]
    numbers_only = [number for number, _, _ in named if number is not None]
    if numbers_only and max(numbers_only) >= het_size:
        text = f"Requested het-group offset exceeds highest hetjob index ({max(numbers_only)} > {het_size - 1})"
        raise OptionError(text, exit_code=REFUSED_EXIT)
    if len(set(numbers_only)) < len(numbers_only):
        raise OptionError("a component of the job is named twice, each has one part of a step", exit_code=REFUSED_EXIT)
    return named


def check_alone(draft: Draft, job: dict[str, Any]) -> None:
    """Raise OptionError when --het-group names a component that a job without components has not."""
    highest = max(_groups(draft.own.get("het-group") or "0"))
    if highest and not job.get("components"):
        raise OptionError(
            f"job {job['id']} is not heterogeneous: its one component is 0",
            f"Requested het-group offset exceeds highest hetjob index ({highest} > 0)",
            exit_code=REFUSED_EXIT,
        )


def _groups(text: str) -> list[int]:
    """Return the numbers in 0,2-3."""
    from sluice import cpuset

    try:
        # No component has more digits, and a mask is as long as its highest number.
        if max(map(len, text.replace("-", ",").split(","))) <= _DIGITS_MAX:
            return cpuset.numbers(cpuset.parse(text))
    except InvalidRequest:
        pass
    raise OptionError(f"Invalid --het-group specification: {text}", exit_code=REFUSED_EXIT)


def agree(drafts: Sequence[Draft]) -> None:
    """Give all components what one says of how the tasks of the step find each other.  Raises OptionError."""
    for key in _OF_THE_WHOLE:
        said = list(dict.fromkeys(draft.own[key] for draft in drafts if key in draft.own))
        if len(said) > 1:
            text = f"--{key}: a step has one for all of its components, {' and '.join(map(str, said))} are asked for"
            raise OptionError(text, exit_code=REFUSED_EXIT)
        for draft in drafts if said else ():
            draft.own[key] = said[0]


def environment_of(variables: Mapping[str, str], number: int | None) -> Mapping[str, str]:
    """Return the variables that count for a component."""
    return variables if number is None else components.group_environment(variables, number)


def join(parts: Sequence[Part]) -> None:
    """Give the tasks of all parts the variables of the whole, and their step daemons what they find each other by.

    The ranks go on from part to part already.
    """
    whole = _whole_variables(parts)
    first_node = 0
    for part in parts:
        places = [node["node"] for node in part.created["step"]["nodes"]]
        for link in part.links:
            variables = {**whole, "SLURM_NODEID": str(first_node + places.index(link.node))}
            own = [f"{name}={value}".encode() for name, value in variables.items()]
            link.body = {**link.body, "own_environment": own}
        first_node += len(places)
    peers = [peer for part in parts for peer in part.links[0].body["peers"]]
    if peers:
        described = [_described(part) for part in parts]
        for link in (link for part in parts for link in part.links):
            link.body = {**link.body, "peers": peers, "parts": described}


def _described(part: Part) -> dict[str, Any]:
    """Return the part as the step daemons of the others need it."""
    step = part.created["step"]
    own = {"job_id": part.job_id, "attempt": step.get("attempt", 0), "nodes": step["nodes"]}
    return {**own, "credential": part.created["credential"]}


def _whole_variables(parts: Sequence[Part]) -> dict[str, str]:
    from sluice import cpus_per_node, hostlist

    nodes = [node for part in parts for node in part.created["step"]["nodes"]]
    grants = [grant for part in parts for grant in part.created["job"]["allocation"]["grants"]]
    names = hostlist.fold([node["node"] for node in nodes])
    tasks = cpus_per_node.fold([node["ntasks"] for node in nodes])
    job_nodes = hostlist.fold([grant["node"] for grant in grants])
    counts = {
        "SLURM_NTASKS SLURM_NPROCS SLURM_STEP_NUM_TASKS": sum(node["ntasks"] for node in nodes),
        "SLURM_STEP_NUM_NODES": len(nodes),
        "SLURM_JOB_NUM_NODES SLURM_NNODES": len(grants),
        "SLURM_STEP_NODELIST": names,
        "SLURM_JOB_NODELIST SLURM_NODELIST": job_nodes,
        "SLURM_STEP_TASKS_PER_NODE SLURM_TASKS_PER_NODE": tasks,
        "SLURM_JOB_CPUS_PER_NODE": cpus_per_node.fold([grant.get("cpu_count", 0) for grant in grants]),
        "SLURM_JOB_ID SLURM_JOBID": parts[0].created["job"].get("het_job_id") or parts[0].job_id,
    }
    return {name: str(value) for names, value in counts.items() for name in names.split()}
