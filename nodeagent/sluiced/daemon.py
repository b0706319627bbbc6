"""The process around an agent: log, pid file, signals, event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import sys
from typing import Protocol

import uvloop

from sluice.errors import ConfigError, SluiceError
from sluiced.agent import Agent
from sluiced.emulated import EmulatedAgents
from sluiced.options import Options, parse_options

logger = logging.getLogger(__name__)


class _Service(Protocol):
    async def run(self) -> None: ...


def main(arguments: list[str]) -> int:
    """Run an agent until SIGTERM or SIGINT; return the exit status."""
    try:
        options = parse_options(arguments)
    except ConfigError as error:
        print(f"sluiced: error: {error}", file=sys.stderr)
        return 1
    _set_log(options)
    try:
        _write_pid(options.pid_file)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(options))
    except SluiceError as error:
        logger.critical("stopping: %s", error)
        return 1
    finally:
        _remove_pid(options.pid_file)
    return 0


async def _serve(options: Options) -> None:
    rng = random.Random()
    service: _Service = EmulatedAgents(options, rng) if options.is_emulated else Agent(options, rng)
    task = asyncio.ensure_future(service.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        logger.info("stopped")
    except BaseExceptionGroup as group:
        # One task's failure ended the others: it is the reason.
        raise group.exceptions[0] from None


def _set_log(options: Options) -> None:
    level = logging.DEBUG if options.verbosity > 1 else logging.INFO
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    if options.log_file:
        os.makedirs(os.path.dirname(options.log_file) or ".", exist_ok=True)
        logging.basicConfig(level=level, format=form, filename=options.log_file)
    else:
        logging.basicConfig(level=level, format=form)


def _write_pid(path: str) -> None:
    if not path:
        return
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        logger.warning("pid file %s: %s", path, error.strerror)


def _remove_pid(path: str) -> None:
    if path:
        with contextlib.suppress(OSError):
            os.unlink(path)
