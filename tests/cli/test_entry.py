"""Ctrl-C at any moment of a command's life: no traceback, and the status that a shell expects."""

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sluice.start import run_main
from sluice_cli import entry

#: Begins a program that gets SIGINT when it imports the module that argv[2] names.
_PROGRAM = """
import builtins, os, sys
real = builtins.__import__
def interrupted(name, *more, **named):
    members = more[2] if len(more) > 2 else named.get("fromlist")
    if where in (name, *(f"{name}.{each}" for each in members or ())):
        os.kill(os.getpid(), 2)
    return real(name, *more, **named)
_, program, where, *sys.argv = sys.argv
builtins.__import__ = interrupted
from sluice_cli import entry
sys.exit(getattr(entry, program)())
"""


def interrupted(program: str, where: str, *words: str, **more: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", _PROGRAM, program, where, program, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, **more)  # type: ignore[call-overload]


@pytest.mark.parametrize("program", ["sbatch", "srun", "squeue", "sluice"])
def test_while_a_command_is_loaded(program: str) -> None:
    done = interrupted(program, f"sluice_cli.{entry._MODULES.get(program, program)}", "--help")

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("program", ["sbatch", "srun", "salloc", "squeue", "scancel", "sinfo", "scontrol", "sacct"])
def test_while_a_command_is_at_work(program: str) -> None:
    done = interrupted(program, "sluice_cli.help_text", "--help")

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_while_a_subcommand_is_at_work() -> None:
    done = interrupted("sluice", "sluice.config.show", "config", "check", "/dev/null")

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ignored_it_is_ignored() -> None:
    """As in a script's background."""
    done = interrupted(
        "squeue", "sluice_cli.squeue", "--version", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_every_installed_program_begins_there() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    assert {target.partition(".entry:")[1] for target in project["scripts"].values()} == {".entry:"}


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        pytest.param("pass", (3, "out", "err"), id="at once"),
        pytest.param("import atexit; atexit.register(print, 'later')", (3, "outlater\n", "err"), id="with handlers"),
        pytest.param("import threading", (3, "out", "err"), id="with threads"),
    ],
)
def test_what_a_program_has_said_is_out_before_it_ends(
    tmp_path: Path, ending: str, expected: tuple[object, ...]
) -> None:
    """Also what waits in a buffer; nothing of it is lost when the interpreter is not taken down."""
    said = "print('out', end=''); print('err', end='', file=sys.stderr)"
    (tmp_path / "ending.py").write_text(f"import sys\ndef main():\n    {said}\n    {ending}\n    return 3\n")
    code = (
        "import sys, ending; sys.modules['sluice_cli.squeue'] = ending;"
        "from sluice_cli import entry; sys.exit(entry.squeue())"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == expected


def test_output_that_nobody_takes_is_told() -> None:
    code = "from sluice_cli import entry; import sys; sys.argv = ['squeue', '--version']; sys.exit(entry.squeue())"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode != 0
    assert done.stderr


def test_the_status_of_a_program_is_mains() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        assert run_main("tests.cli.test_entry") == 7
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> int:
    return 7
