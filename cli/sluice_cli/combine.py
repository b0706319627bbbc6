"""What options mean together: nodes and tasks, generic resources, contradictions.

Runs once over a draft when every source has been read.
"""

from __future__ import annotations

import os

from sluice_cli import host_file
from sluice_cli.draft import REFUSED_EXIT, OptionError
from sluice_cli.layers import COMMAND_LINE, ENVIRONMENT
from sluice_cli.node_counts import NodeCounts, settle_in_job, settle_nodes
from sluice_cli.size_values import INVALID_GRES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from sluice_cli.draft import Draft

_GPU_KEYS = ("gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket")
_NO_HOST_FILE = "Failure getting NodeNames from hostfile"
_GEOMETRY = ("extra-node-info", "sockets-per-node", "cores-per-socket", "ntasks-per-core", "ntasks-per-socket")


def combine(draft: Draft) -> None:
    """Complete the draft.  Raises OptionError for options that contradict each other."""
    _read_host_file(draft)
    _settle_nodes(draft)
    if _is_arbitrary(draft):
        _count_named_tasks(draft)
    _check(draft)
    combine_gres(draft)
    _count_tasks(draft)


def _is_arbitrary(draft: Draft) -> bool:
    return bool(draft.spec.get("distribution", "").lower().startswith("arbitrary"))


def _read_host_file(draft: Draft) -> None:
    """Take the node of each task from SLURM_HOSTFILE where no option names nodes, whatever -m says (srun's manual).

    As many names are taken as there are to be tasks, or nodes where -n says nothing.
    """
    if draft.has("nodelist", "nodefile"):
        _cut_list_of_file(draft)
        return
    path = os.environ.get("SLURM_HOSTFILE")
    if path is None:
        return
    if not path:
        words = "SLURM_HOSTFILE is set and names no file; unset it for any nodes"
        raise OptionError(words, "Hostlist is empty!", _NO_HOST_FILE, exit_code=REFUSED_EXIT)
    try:
        names = host_file.read_names(path)
    except OptionError as error:
        raise OptionError(*error.lines, _NO_HOST_FILE, exit_code=REFUSED_EXIT) from None
    wanted = draft.spec["ntasks"] if draft.has("ntasks") else _asked_nodes(draft)
    if wanted > len(names):
        raise _too_few(f"SLURM_HOSTFILE={path}", names, wanted, _NO_HOST_FILE)
    draft.spec["required_nodes"] = names[:wanted] if wanted else names
    draft.given["nodefile"] = ENVIRONMENT
    if not _is_arbitrary(draft):
        draft.spec["distribution"] = "arbitrary"
        draft.given["distribution"] = ENVIRONMENT


def _cut_list_of_file(draft: Draft) -> None:
    """Leave as many of the nodes that -w /FILE names for tasks as there are to be; -F and a list are taken whole."""
    path = draft.own.get("host-file")
    if not path or not _is_arbitrary(draft) or not draft.has("ntasks"):
        return
    names, wanted = draft.spec["required_nodes"], draft.spec["ntasks"]
    if wanted > len(names):
        raise _too_few(path, names, wanted)
    draft.spec["required_nodes"] = names[:wanted]


def _too_few(where: str, names: Sequence[str], wanted: int, *lines: str) -> OptionError:
    words = f"{where} names {len(names)} nodes, {wanted} are needed"
    return OptionError(words, "Too few NodeNames in Slurm Hostfile", *lines, exit_code=REFUSED_EXIT)


def _asked_nodes(draft: Draft) -> int:
    """Return how many nodes -N asks for, 0 without it; a job's variable does not count the tasks of its steps."""
    is_asked = draft.given.get("nodes") not in (None, ENVIRONMENT)
    return draft.spec["min_nodes"] if is_asked else 0


def _settle_nodes(draft: Draft) -> None:
    """Settle how many nodes there are to be and which of the named ones."""
    asked, ntasks = _asked_counts(draft)
    settled, lines = settle_nodes(asked, ntasks, is_srun=draft.command == "srun")
    draft.remarks += lines
    _take(draft, asked, settled)


def settle_step(draft: Draft, nodes: int) -> list[str]:
    """Settle what a step in a job of that many nodes is to be; return the lines that the user gets to see of it."""
    asked, ntasks = _asked_counts(draft)
    settled, lines = settle_in_job(asked, ntasks, nodes)
    _take(draft, asked, settled)
    return lines


def _asked_counts(draft: Draft) -> tuple[NodeCounts, int]:
    """Return what the options say of nodes, and of tasks: 0 where they do not."""
    spec = draft.spec
    per_node = spec["ntasks_per_node"] if draft.has("ntasks-per-node") else 0
    named = spec.get("required_nodes", ())
    asked = NodeCounts(spec.get("min_nodes", 1), spec.get("max_nodes", 0), named, per_node)
    return asked, spec["ntasks"] if draft.has("ntasks") else 0


def _take(draft: Draft, asked: NodeCounts, settled: NodeCounts) -> None:
    spec = draft.spec
    if settled.low != asked.low:
        spec["min_nodes"] = settled.low
    if settled.high != asked.high:
        spec["max_nodes"] = settled.high
    if settled.named != asked.named:
        spec["required_nodes"] = settled.named
    if settled.ntasks_per_node != asked.ntasks_per_node:
        del spec["ntasks_per_node"], draft.given["ntasks-per-node"]


def _count_named_tasks(draft: Draft) -> None:
    """A list that names a node for each task tells how many there are, and how many nodes."""
    spec = draft.spec
    named = spec.get("required_nodes", ())
    if named and draft.command == "salloc" and draft.has("ntasks"):
        _check_every_task_is_named(spec["ntasks"], named)
    if not named or not (draft.command == "srun" or _is_for_tasks(draft, len(named))):
        return
    if draft.has("ntasks") and spec["ntasks"] != len(named):
        raise OptionError(
            f"You asked for {spec['ntasks']} tasks but hostlist specified {len(named)} nodes", exit_code=REFUSED_EXIT
        )
    spec["ntasks"] = len(named)
    draft.given["ntasks"] = draft.given.get("ntasks", ENVIRONMENT)
    nodes = len(set(named))
    if spec.get("min_nodes", 1) > nodes:
        if draft.given.get("nodes") == COMMAND_LINE:
            draft.warn(f"the tasks are on {nodes} nodes, not {spec['min_nodes']}, setting nnodes to {nodes}")
        spec["min_nodes"] = nodes


def _check_every_task_is_named(ntasks: int, named: Sequence[str]) -> None:
    """A batch script may give each of its steps a list; who waits at a terminal is told at once."""
    if ntasks not in (len(named), len(set(named))):
        raise OptionError(
            f"Asked for {ntasks} tasks have {len(named)} in the nodelist.  "
            f"Check your nodelist, or set the -n option to be {len(named)}",
            exit_code=REFUSED_EXIT,
        )


def _is_for_tasks(draft: Draft, named: int) -> bool:
    """Does the list of a job's nodes name one for each task?  Steps in it may have lists of their own."""
    if draft.has("ntasks"):
        return bool(draft.spec["ntasks"] == named)
    return not draft.has("ntasks-per-node")


def _count_tasks(draft: Draft) -> None:
    """Derive the tasks from nodes and GPUs where -n says nothing."""
    spec = draft.spec
    if not draft.has("ntasks"):
        per_gpu = _tasks_for_gpus(draft)
        spec["ntasks"] = per_gpu or max(1, spec.get("min_nodes", 1)) * spec.get("ntasks_per_node", 1)


def _tasks_for_gpus(draft: Draft) -> int:
    per_gpu = int(draft.other.get("ntasks-per-gpu") or draft.other.get("ntasks-per-tres") or 0)
    gpus: int = sum(count for _, _, count in draft.own.get("gpus", ()))
    on_nodes = sum(count for name, _, count in _per_node(draft) if name == "gpu")
    return per_gpu * (gpus or on_nodes * max(1, draft.spec.get("min_nodes", 1)))


def _per_node(draft: Draft) -> list[tuple[str, str, int]]:
    return [*draft.own.get("gres-entries", ()), *draft.own.get("gpus-per-node", ())]


def combine_gres(draft: Draft) -> None:
    """Collect the options of generic resources under the fields of the spec."""
    from sluice import gres_spec

    if draft.command == "srun":
        _drop_inherited_gres(draft)
    fields = {
        "gres_per_node": _per_node(draft),
        "gres_per_job": draft.own.get("gpus", ()),
        "gres_per_task": [*draft.own.get("gpus-per-task", ()), *draft.own.get("tres-per-task", ())],
        "gres_per_socket": draft.own.get("gpus-per-socket", ()),
    }
    for field, entries in fields.items():
        if entries:
            draft.spec[field] = _maps(gres_spec.merge(entries))


def _drop_inherited_gres(draft: Draft) -> None:
    """What srun's own options ask for stands in place of what the job's variables would."""
    own = {"gres": "gres-entries", "tres-per-task": "tres-per-task"} | {key: key for key in _GPU_KEYS}
    if any(draft.given.get(key) == COMMAND_LINE for key in own):
        for key, entries in own.items():
            if draft.given.get(key) == ENVIRONMENT:
                draft.own.pop(entries, None)


def _maps(entries: Iterable[tuple[str, str, int]]) -> list[dict[str, Any]]:
    return [{"name": name, "type": kind, "count": count} for name, kind, count in entries if count]


def _check(draft: Draft) -> None:
    if (
        draft.has("cpus-per-gpu")
        and draft.has("cpus-per-task")
        and _same_source(draft, "cpus-per-gpu", "cpus-per-task")
    ):
        raise _gres_error("--cpus-per-gpu is mutually exclusive with --cpus-per-task")
    if draft.has("gpus-per-socket") and not draft.has("sockets-per-node", "extra-node-info"):
        raise _gres_error("--gpus-per-socket option requires --sockets-per-node specification")
    if draft.has("gpus-per-task") and not draft.has("gpus", "ntasks", "ntasks-per-node"):
        raise _gres_error(
            "Failed to validate job spec. --gpus-per-task used without either --gpus or -n/--ntasks is not allowed."
        )
    if draft.has("hint") and draft.has(*_GEOMETRY):
        given = next(key for key in _GEOMETRY if draft.has(key))
        raise OptionError(f"--hint is mutually exclusive with --{given}.", exit_code=REFUSED_EXIT)
    # Inside a job the job may have named them.
    if _is_arbitrary(draft) and "jobid" not in draft.own and not draft.has("nodelist", "nodefile"):
        raise OptionError(
            "With Arbitrary distribution you need to specify a nodelist or hostfile with the -w option",
            exit_code=REFUSED_EXIT,
        )


def _same_source(draft: Draft, one: str, another: str) -> bool:
    return draft.given[one] == draft.given[another]


def _gres_error(line: str) -> OptionError:
    return OptionError(line, INVALID_GRES, exit_code=REFUSED_EXIT)
