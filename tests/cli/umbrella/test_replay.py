"""sluice replay hands its words to the controller's program, and exits as it does."""

import subprocess
import sys

import pytest


def sluice(*words: str) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-m", "sluice_cli.main", "replay", *words]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_help_is_the_programs_own() -> None:
    done = sluice("--help")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: sluice replay [OPTIONS] [TRACE.swf[.gz]]")
    assert "--reservations N" in done.stdout


@pytest.mark.parametrize(("words", "status"), [((), 2), (("/no/such/trace.swf", "--processors", "4"), 1)])
def test_it_exits_as_the_program_does(words: tuple[str, ...], status: int) -> None:
    assert sluice(*words).returncode == status
