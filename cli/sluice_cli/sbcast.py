"""sbcast: put a file on all nodes of a job.

Source: CONTRACT.md section 12; recorded from Slurm 22.05.
"""

from __future__ import annotations

import os
import sys

from sluice import size
from sluice.errors import InvalidRequest, SluiceError
from sluice_cli import client, talk
from sluice_cli.draft import OptionError
from sluice_cli.getopt import OPTIONAL, REQUIRED, Option, OptionTable, UsageError
from sluice_cli.inbox import Interrupted, Raising

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sluice_cli.broadcast import Manner
    from sluice_cli.talk import Voice

TABLE = OptionTable(
    Option("compress", "C", OPTIONAL, "lib", "compress the file being transmitted (zlib or none)"),
    Option("exclude", "", REQUIRED, "path_list", "shared object paths to be excluded"),
    Option("fanout treewidth", "F", REQUIRED, "num", "how many nodes each node passes the file on to"),
    Option("force", "f", help="replace destination file as required"),
    Option("jobid", "j", REQUIRED, "#[+#][.#]", "job ID with optional hetjob offset and/or step ID"),
    Option("nodelist", "w", REQUIRED, "hosts", "only to these nodes of the job"),
    Option("no-allocate", "Z", help="send to nodes outside of a job (refused here)"),
    Option("preserve", "p", help="preserve modes and times of source file"),
    Option("send-libs", "", OPTIONAL, "yes|no", "autodetect and broadcast executable's shared objects"),
    Option("size", "s", REQUIRED, "num", "block size in bytes"),
    Option("timeout", "t", REQUIRED, "secs", "message timeout (seconds)"),
    Option("verbose", "v", help="provide detailed event logging"),
    Option("version", "V", help="print version information and exit"),
    Option("help", "", help="display this help message"),
    Option("usage", "", help="display brief usage message"),
)
_SYNOPSIS = "[OPTIONS] SOURCE DEST"
_USAGE = "Usage: sbcast [--exclude] [-CfFjpvV] [--send-libs] SOURCE DEST\n"
_EXIT = 1
#: Options that the environment may give, as SBCAST_NAME.
_VARIABLES = ("compress", "exclude", "fanout", "force", "preserve", "send-libs", "size", "timeout")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run sbcast; return 0, or the errno with which nodes failed."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    voice = talk.Voice("sbcast")
    try:
        with Raising():
            return _run(words, voice)
    except UsageError as error:
        voice.usage_error(error)
    except OptionError as refusal:
        for line in refusal.lines:
            voice.error(line)
        return refusal.exit_code
    except SluiceError as error:
        client.tell_failure(voice, error)
    except Interrupted as interrupt:
        return interrupt.status
    return _EXIT


def _run(words: list[str], voice: Voice) -> int:
    from sluice_cli import broadcast

    found, names = TABLE.parse(words)
    for key, _ in found:
        if key == "usage":
            talk.put(_USAGE)
            return 0
        if talk.put_standard_answer("sbcast", key, TABLE, _SYNOPSIS):
            return 0
    values = {**_from_environment(os.environ), **dict(found)}
    voice.verbosity = sum(key == "verbose" for key, _ in found)
    if len(names) != 2:
        talk.plain(f'Need two file names, have {len(names)} names\nTry "sbcast --help" for more information')
        return _EXIT
    if "no-allocate" in values:
        raise OptionError("--no-allocate: files are sent within a job only; get one with salloc", exit_code=_EXIT)
    manner = read_manner(values)
    job = _job(values)
    source = broadcast.Source(names[0])
    path = os.path.abspath(names[1])
    if names[1].endswith("/") or os.path.isdir(path):
        path = os.path.join(path, os.path.basename(names[0]))
    granted = _chosen(broadcast.grant(job), values.get("nodelist"))
    voice.verbose(f"jobid      = {granted['job_id']}")
    voice.verbose(f"node_list  = {_names(granted)}")
    voice.verbose(f"size       = {source.facts.st_size}")
    return broadcast.send_all(source, path, granted, manner, voice)


def _from_environment(variables: Mapping[str, str]) -> dict[str, str | None]:
    named = {key: variables.get("SBCAST_" + key.upper().replace("-", "_")) for key in _VARIABLES}
    return {key: value for key, value in named.items() if value is not None}


def _job(values: Mapping[str, str | None]) -> str:
    job = values.get("jobid") or os.environ.get("SLURM_JOB_ID") or os.environ.get("SLURM_JOBID")
    if not job:
        text = "Need a job id to run this command.  Run from within a Slurm job or use the --jobid option."
        raise OptionError(text, exit_code=_EXIT)
    return job


def read_manner(values: Mapping[str, str | None]) -> Manner:
    """Return how to send from the options of sbcast, or of srun --bcast.  Raises OptionError."""
    from sluice_cli.broadcast import BLOCK_MAX, Manner

    manner = Manner()
    manner.is_forced = "force" in values
    manner.is_preserved = "preserve" in values
    if "compress" in values:
        manner.is_compressed = _is_compressed(values["compress"])
    if "send-libs" in values:
        manner.sends_libraries = (values["send-libs"] or "yes").lower() not in ("no", "0")
    if excluded := values.get("exclude"):
        manner.excluded = () if excluded.lower() == "none" else tuple(excluded.split(","))
    manner.fanout = _number(values, "fanout", manner.fanout)
    manner.timeout_s = _number(values, "timeout", manner.timeout_s) or manner.timeout_s
    if block := values.get("size"):
        manner.block = max(1, min(BLOCK_MAX, _bytes(block)))
    return manner


def _is_compressed(library: str | None) -> bool:
    name = (library or "zlib").lower()
    # lz4 is what Slurm knows; a script that asks for it wants compression, whichever.
    if name not in ("zlib", "lz4", "none"):
        raise OptionError(f"--compress={library}: known are zlib and none", exit_code=_EXIT)
    return name != "none"


def _number(values: Mapping[str, str | None], key: str, default: int) -> int:
    text = values.get(key)
    if text is None:
        return default
    if not text.isdecimal():
        raise OptionError(f"--{key}={text}: a number is expected", exit_code=_EXIT)
    return int(text)


def _bytes(text: str) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return size.parse_mib(text) * 1024 * 1024
    except InvalidRequest:
        raise OptionError(f"--size={text}: a number of bytes is expected", exit_code=_EXIT) from None


def _chosen(granted: dict[str, Any], nodes: str | None) -> dict[str, Any]:
    """Return the grant for the nodes that are asked for.  Raises OptionError."""
    if not nodes:
        return granted
    from sluice import hostlist

    wanted = set(hostlist.expand(nodes))
    places = [place for place in granted["addresses"] if place["node"]["node"] in wanted]
    missing = wanted - {place["node"]["node"] for place in places}
    if missing:
        raise OptionError(f"node {sorted(missing)[0]} is not of job {granted['job_id']}", exit_code=_EXIT)
    return {**granted, "addresses": places}


def _names(granted: dict[str, Any]) -> str:
    from sluice import hostlist

    return hostlist.fold([place["node"]["node"] for place in granted["addresses"]])


if __name__ == "__main__":
    sys.exit(main())
