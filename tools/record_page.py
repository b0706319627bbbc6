"""Run the commands of a page of the documentation anew, and put what they print into it.

    python tools/record_page.py docs/explain.md

A line that begins with "$ " in a fenced block is run, in order, and what followed it is replaced by its output, stderr
included.  Comments that a reader does not see say where:

    <!-- cluster NAME             a cluster of these lines of a configuration, on which the page goes on
    NodeName=...
    -->
    <!-- on NAME -->              the page goes on on that cluster, which has stayed as it was
    <!-- run                      commands that the page does not show; they have to succeed
    scontrol update ...
    -->

Nothing is run before the first cluster.  All clusters are taken down at the end, and their files removed.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sluice import hostlist
from sluice.local import cluster
from sluice.local.place import Place
from sluice.local.ports import find_free_range

#: After each command: a pass follows, jobs start, what is asked next shall see it.
_SETTLE_S = 1.5
_LIMIT_S = 300.0
_CONF = """\
ClusterName=page
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool/%n
SlurmctldPidFile={place}/run/sluicectld.pid
SlurmdPidFile={place}/run/sluiced-%n.pid
SluiceKeyFile={place}/sluice.key
SluiceControllerSocket={place}/run/sluicectld.sock
SluiceAgentSocket={place}/run/sluiced-%n.sock
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
"""
_COMMENT = re.compile(r"<!-- (cluster|on|run)\b[ ]?(.*)")


class PageCluster:
    """A cluster that a page speaks of, up until close()."""

    def __init__(self, lines: list[str]) -> None:
        self._folder = tempfile.mkdtemp(prefix="sluice-page-", dir="/tmp")
        os.chmod(self._folder, 0o755)
        self.place = Place(self._folder)
        self.place.make()
        conf = Path(self._folder, "page.conf")
        conf.write_text(_configuration(self._folder, lines))
        self.jobs = Path(self._folder, "jobs")
        self.jobs.mkdir()
        cluster.up(self.place, conf=str(conf))
        programs = os.path.dirname(sys.executable)
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", "/"),
            "SLURM_CONF": str(conf),
        }

    def run(self, command: str, *, check: bool = False) -> list[str]:
        """Return the lines that the command prints."""
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=self.jobs,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        if check and done.returncode:
            raise SystemExit(f"{command}: exit status {done.returncode}\n{done.stdout}")
        time.sleep(_SETTLE_S)
        return done.stdout.splitlines()

    def close(self) -> None:
        subprocess.run(["rm", "-rf", str(self.jobs), f"{self._folder}/page.conf"], check=False)
        cluster.down(self.place, is_forced=True)
        self.place.delete()


def _configuration(folder: str, lines: list[str]) -> str:
    """Return the whole configuration: addresses and ports are no page's concern."""
    counts = [len(hostlist.expand(_nodes_of(line))) if line.startswith("NodeName=") else 0 for line in lines]
    port = find_free_range(1 + sum(counts), random.Random())
    text, first = _CONF.format(place=folder, port=port), port + 1
    for line, count in zip(lines, counts, strict=True):
        where = f" NodeAddr=127.0.0.1 Port={first}-{first + count - 1}" if count > 1 else ""
        text += line + (where or (f" NodeAddr=127.0.0.1 Port={first}" if count else "")) + "\n"
        first += count
    return text


def _nodes_of(line: str) -> str:
    return line.split()[0].removeprefix("NodeName=")


class Recorder:
    """One walk through a page."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._clusters: dict[str, PageCluster] = {}
        self._current: PageCluster | None = None

    def record(self, lines: list[str]) -> Iterator[str]:
        """Yield the lines of the page as it is to be."""
        is_block, is_output = False, False
        rest = iter(lines)
        for line in rest:
            if not is_block and (comment := _COMMENT.match(line)):
                yield from self._obey(comment[1], comment[2], line, rest)
                continue
            if line.startswith("```"):
                is_block, is_output = not is_block, False
            if is_block and line.startswith("$ ") and self._current is not None:
                is_output = True
                yield line
                yield from self._current.run(line[2:])
            elif not is_output:
                yield line

    def _obey(self, verb: str, argument: str, line: str, rest: Iterator[str]) -> Iterator[str]:
        yield line
        body: list[str] = []
        if not line.endswith("-->"):
            for each in rest:
                yield each
                if each == "-->":
                    break
                body.append(each)
        if verb == "cluster":
            made = self._current = self._clusters[argument] = PageCluster(body)
            self._stack.callback(made.close)
        elif verb == "on":
            self._current = self._clusters[argument.removesuffix("-->").strip()]
        else:
            assert self._current is not None, "a command before the first cluster"
            for command in body:
                self._current.run(command, check=True)


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name)
        with contextlib.ExitStack() as stack:
            lines = list(Recorder(stack).record(path.read_text().splitlines()))
        path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
