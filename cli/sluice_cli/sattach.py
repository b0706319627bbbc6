"""sattach: hear what a running step writes, and type into it, beside its srun.

It has none of srun's rights: its end changes nothing for the step, and Ctrl-C ends sattach alone.

Source: CONTRACT.md section 12; recorded from Slurm 22.05.
"""

from __future__ import annotations

import sys

from sluice import jobid_spec
from sluice.errors import InvalidRequest, PeerError, SluiceError
from sluice_cli import client, inbox, srun_launch, talk
from sluice_cli.draft import OptionError
from sluice_cli.getopt import REQUIRED, Option, OptionTable, UsageError
from sluice_cli.inbox import Interrupted, Raising

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sluice_cli.srun_launch import NodeLink
    from sluice_cli.talk import Voice

TABLE = OptionTable(
    Option("input-filter", "", REQUIRED, "taskid", "send stdin to only the specified task"),
    Option("output-filter", "", REQUIRED, "taskid", "only print stdout from the specified task"),
    Option("error-filter", "", REQUIRED, "taskid", "only print stderr from the specified task"),
    Option("label", "l", help="prepend task number to lines of stdout & stderr"),
    Option("layout", help="print task layout info and exit (does not attach to tasks)"),
    Option("pty", help="the terminal is task zero's (of a step with --pty)"),
    Option("quiet", "Q", help="quiet mode (suppress informational messages)"),
    Option("verbose", "v", help="verbose mode (multiple -v's increase verbosity)"),
    Option("version", "V", help="print the version and exit"),
    Option("help", "h", help="print this help message"),
    Option("usage", "u", help="print a brief usage message"),
)
_SYNOPSIS = "[options] <jobid.stepid>"
_USAGE = f"Usage: sattach {_SYNOPSIS}\n"
_EXIT = 1
_SIGNALS = (inbox.SIGHUP, inbox.SIGINT, inbox.SIGQUIT, inbox.SIGTERM, inbox.SIGWINCH)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run sattach; return the highest exit code of the tasks that ended meanwhile, or 1 when it could not attach."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    voice = talk.Voice("sattach")
    try:
        with Raising():
            return _run(words, voice)
    except UsageError as error:
        voice.usage_error(error)
    except OptionError as refusal:
        for line in refusal.lines:
            voice.error(line)
    except srun_launch.LaunchFailed as failure:
        voice.error(f"node {failure.node}: {failure.reason}")
    except SluiceError as error:
        client.tell_failure(voice, error, "Could not get job step info")
    except Interrupted as interrupt:
        return interrupt.status
    return _EXIT


def _run(words: list[str], voice: Voice) -> int:
    found, positionals = TABLE.parse(words)
    for key, _ in found:
        if key == "usage":
            talk.put(_USAGE)
            return 0
        if talk.put_standard_answer("sattach", key, TABLE, _SYNOPSIS):
            return 0
    values = dict(found)
    voice.is_quiet = "quiet" in values
    voice.verbosity = 0 if voice.is_quiet else sum(key == "verbose" for key, _ in found)
    step_id = _step_id(positionals)
    filters = {stream: _rank(values, f"{name}-filter") for stream, name in enumerate(("input", "output", "error"))}
    attached = client.call("AttachStep", {"id": step_id})
    if "layout" in values:
        talk.put(_layout_text(attached))
        return 0
    return _attach(attached, filters, values, voice)


def _step_id(positionals: Sequence[str]) -> str:
    """Return the id that the command line names.  Raises OptionError."""
    problem = "Failed to parse stepid from command line options"
    if len(positionals) != 1:
        problem = "too many parameters" if positionals else "no step is named"
    else:
        try:
            if jobid_spec.parse(positionals[0]).step is not None:
                return positionals[0]
        except InvalidRequest:
            pass
    talk.put(_USAGE)
    raise OptionError(problem)


def _rank(values: dict[str, str | None], key: str) -> int | None:
    text = values.get(key)
    if text is not None and not text.isdecimal():
        raise OptionError(f"--{key}={text}: a task's rank is a number")
    return None if text is None else int(text)


def _layout_text(attached: dict[str, Any]) -> str:
    from sluice import cpuset, hostlist

    nodes = attached["step"]["nodes"]
    names = hostlist.fold([node["node"] for node in nodes])
    lines = ["Job step layout:", f"\t{sum(node['ntasks'] for node in nodes)} tasks, {len(nodes)} nodes ({names})", ""]
    for index, node in enumerate(nodes):
        ranks = "".join(f"{rank} " for rank in cpuset.numbers(cpuset.parse(node.get("ranks", ""))))
        lines.append(f"\tNode {index} ({node['node']}), {node['ntasks']} task(s): {ranks}")
    return "\n".join(lines) + "\n"


def _attach(attached: dict[str, Any], filters: dict[int, int | None], values: dict[str, Any], voice: Voice) -> int:
    """Listen until the step ends on every node."""
    from sluice_cli.sattach_control import AttachControl, FilteredWriter
    from sluice_cli.srun_files import Streams
    from sluice_cli.srun_loop import StepLoop

    links = srun_launch.connect(attached)
    ranks = {rank for link in links for rank in link.ranks}
    streams = Streams()
    has_terminal = "pty" in values and _is_terminal()
    target = 0 if has_terminal else filters[0]
    streams.std_in = "all" if target is None else str(target)
    writer = FilteredWriter(
        {stream: rank for stream, rank in filters.items() if rank is not None},
        streams.outputs,
        len(ranks),
        "label" in values,
        is_unbuffered=has_terminal,
    )
    control = AttachControl(links, voice, has_terminal)
    inbox.ignore(inbox.SIGTTIN)
    with inbox.Inbox(_SIGNALS) as signals, _terminal(has_terminal):
        _ask_nodes(links, attached["credential"])
        StepLoop(links, streams, writer, control, signals).run()
    srun_launch.close(links)
    return control.status


def _ask_nodes(links: Sequence[NodeLink], credential: str) -> None:
    for link in links:
        try:
            link.request_id = link.connection.send_request("TaskAttach", {"credential": credential, "node": link.node})
        except PeerError as error:
            raise srun_launch.LaunchFailed(link.node, str(error)) from None


def _is_terminal() -> bool:
    from sluice_cli import srun_terminal

    try:
        srun_terminal.size()
    except OSError as error:
        raise OptionError(f"--pty: stdin is no terminal: {error.strerror}") from None
    return True


def _terminal(has_terminal: bool) -> Any:
    import contextlib

    if not has_terminal:
        return contextlib.nullcontext()
    from sluice_cli.srun_terminal import Terminal

    return Terminal()


if __name__ == "__main__":
    sys.exit(main())
