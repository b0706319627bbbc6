"""`sluicectld [-f CONF] [-D]`: start the controller in the foreground."""

import asyncio
import gc
import logging
import os
import pwd
import sys
from pathlib import Path

import click
import uvloop

from sluice import __version__
from sluice.config.light import find_config
from sluice.errors import SluiceError
from sluicectld.daemon import Daemon, read_configuration

_SWITCH_INTERVAL_S = 0.0005
#: Records make no cycles; the little else that does can wait.
_GC_THRESHOLD = (50_000, 20, 50)
_LEVELS = {"quiet": "CRITICAL", "fatal": "CRITICAL", "error": "ERROR", "info": "INFO", "verbose": "INFO"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-f", "path", metavar="FILE", help="Configuration file (default: SLUICE_CONF, SLURM_CONF, /etc/sluice).")
@click.option("-D", "is_foreground", is_flag=True, help="Stay in the foreground (always so).")
@click.option("-v", "verbosity", count=True, help="Log more.")
@click.version_option(__version__, "-V", "--version", prog_name="sluicectld")
def main(path: str | None, is_foreground: bool, verbosity: int) -> None:
    """Start the controller daemon."""
    try:
        path = os.path.abspath(path or find_config())
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        config = read_configuration(path)
        settings = config.settings
        _log_to(settings.slurmctld_log_file, settings.slurmctld_debug, verbosity)
        Path(settings.state_save_location).mkdir(mode=0o700, parents=True, exist_ok=True)
        # The writer's thread has to win the interpreter back after every statement, from a loop that never rests.
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        gc.set_threshold(*_GC_THRESHOLD)
        daemon = Daemon(path, config, _administrators(settings.slurm_user))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(daemon.run(lambda: _write_pid(settings.slurmctld_pid_file)))
    except SluiceError as error:
        print(f"sluicectld: fatal: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _administrators(slurm_user: str) -> frozenset[int]:
    uids = {0, os.getuid()}
    try:
        uids.add(int(slurm_user) if slurm_user.isdecimal() else pwd.getpwnam(slurm_user).pw_uid)
    except KeyError:
        logging.getLogger(__name__).warning("SlurmUser %r does not exist", slurm_user)
    return frozenset(uids)


def _log_to(log_file: str, level: str, verbosity: int) -> None:
    name = "DEBUG" if verbosity or level.startswith("debug") else _LEVELS.get(level, "INFO")
    handlers: list[logging.Handler] = [logging.FileHandler(log_file)] if log_file else [logging.StreamHandler()]
    logging.basicConfig(
        level=name, format="%(asctime)s %(levelname)s %(name)s: %(message)s", handlers=handlers, force=True
    )


def _write_pid(path: str) -> None:
    """The pid file appears when the controller answers."""
    try:
        Path(path).write_text(f"{os.getpid()}\n")
    except OSError as error:
        logging.getLogger(__name__).warning("pid file %s: %s", path, error.strerror)


if __name__ == "__main__":
    main()
