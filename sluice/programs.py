"""A site's own programs: prolog, epilog, health check; run in order, with a deadline, their last words as evidence."""

from __future__ import annotations

import asyncio
import contextlib
import glob
import os
import signal
from collections.abc import Sequence

#: What is kept of what a program says.
EVIDENCE_MAX = 400
#: A program without a limit of its own: nothing waits for ever.
_FOR_EVER_S = 86400.0
#: How long what a program has left running may keep its output open.
_LAST_WORDS_S = 1.0
_CHUNK = 65536
_WILD = frozenset("*?[")
#: A shell that becomes the program $0: this process must not run code of its own between fork and exec.
_ENTER = 'for door; do echo $$ > "$door" || exit 125; done; exec "$0"'


def expand_programs(patterns: tuple[str, ...]) -> list[str]:
    """Return the paths in the order in which they run: of each pattern by name.

    A pattern with wildcards may match nothing; a plain path that is not there is a failure when it is run.
    """
    programs = []
    for pattern in patterns:
        found = sorted(glob.glob(pattern))
        programs += found or ([] if _WILD & set(pattern) else [pattern])
    return programs


async def run_programs(
    patterns: tuple[str, ...], environment: dict[str, str], deadline_s: float, doors: Sequence[str] = ()
) -> str:
    """Run every program that *patterns* name; return why the first one failed, empty when none did.

    deadline_s: for each; 0 is no limit.  Each leads a session of its own.  doors: files that each one's pid is written
    to before it begins, which brings it into a control group.
    """
    for program in expand_programs(patterns):
        argv = ("/bin/sh", "-c", _ENTER, program, *doors) if doors else (program,)
        problem = await run_program(argv, environment, deadline_s, program)
        if problem:
            return problem
    return ""


async def run_program(argv: tuple[str, ...], environment: dict[str, str], deadline_s: float, name: str = "") -> str:
    """Return why the program failed, empty if it did not.  name: of it in a message, where argv begins with another."""
    name = name or argv[0]
    words = _LastWords()
    try:
        process = await _start(argv, environment, words)
    except OSError as error:
        words.close()
        return f"{name}: {error.strerror}"
    try:
        async with asyncio.timeout(deadline_s or _FOR_EVER_S):
            await process.wait()
    except TimeoutError:
        return f"{name}: not done after {deadline_s:g} s, killed{words.told()}"
    finally:
        # What it leaves in its session goes with it; a daemon that is to stay makes a session of its own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await words.wait_end()
        words.close()
    code = process.returncode
    if not code:
        return ""
    how = f"signal {-code}" if code < 0 else f"exit {code}"
    return f"{name}: {how}{words.told()}"


async def _start(argv: tuple[str, ...], environment: dict[str, str], words: _LastWords) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            env=environment,
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=words.writer,
            stderr=words.writer,
            start_new_session=True,
        )
    finally:
        os.close(words.writer)


class _LastWords:
    """The end of a program's output in bounded memory.

    A pipe of our own: of asyncio's, whoever holds the other end keeps the program from counting as ended.
    """

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._kept = b""
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._reader, self._read)

    def told(self) -> str:
        """Return the last lines as one, with what stands before them in a message; empty when nothing was said."""
        lines = self._kept.decode(errors="replace").strip().splitlines()
        said = " | ".join(lines)[-EVIDENCE_MAX:]
        return f": {said}" if said else ""

    async def wait_end(self) -> None:
        """Return when nobody can say more, or after a while: a daemon may have kept the pipe."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._ended.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)

    def _read(self) -> None:
        try:
            data = os.read(self._reader, _CHUNK)
        except BlockingIOError:
            return
        self._kept = (self._kept + data)[-4 * EVIDENCE_MAX :]
        if not data:
            asyncio.get_running_loop().remove_reader(self._reader)
            self._ended.set()
