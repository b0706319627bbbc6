"""A site's programs: order, failures with their last words, deadlines, and what they leave behind."""

import asyncio
import os
from pathlib import Path

import pytest

from sluice.programs import expand_programs, run_programs
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def run(*patterns: str, deadline_s: float = 20.0) -> str:
    return asyncio.run(run_programs(patterns, {"PATH": os.environ["PATH"], "COLOUR": "red"}, deadline_s))


def test_programs_run_by_name_until_one_fails(tmp_path: Path) -> None:
    for name, code in (("10-a", 0), ("20-b", 7), ("30-c", 0)):
        program(tmp_path / name, f"echo {name} $COLOUR >> {tmp_path}/log; echo {name} is here; exit {code}")

    problem = run(f"{tmp_path}/[0-9]*")

    assert problem == f"{tmp_path}/20-b: exit 7: 20-b is here"
    assert (tmp_path / "log").read_text() == "10-a red\n20-b red\n"


def test_an_empty_folder_of_programs_is_no_failure(tmp_path: Path) -> None:
    assert expand_programs((f"{tmp_path}/*.sh",)) == []
    assert run(f"{tmp_path}/*.sh") == ""


def test_a_program_that_is_missing_is_one(tmp_path: Path) -> None:
    assert run(f"{tmp_path}/prolog") == f"{tmp_path}/prolog: No such file or directory"


def test_a_program_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    path = program(tmp_path / "slow", "echo waiting; sleep 300")

    assert run(path, deadline_s=0.3) == f"{path}: not done after 0.3 s, killed: waiting"


def test_the_end_of_a_long_speech_is_kept(tmp_path: Path) -> None:
    path = program(tmp_path / "loud", "yes noise | head -c 3000000; echo the last word; exit 1")

    problem = run(path)

    assert problem.endswith("noise | the last word")
    assert len(problem) < 500


def test_what_a_program_leaves_in_its_session_goes_with_it(tmp_path: Path) -> None:
    """Nor does it hold up the end by an output that it keeps open."""
    path = program(tmp_path / "left", f"sleep 300 & echo $! > {tmp_path}/pid")

    assert run(path) == ""

    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not _is_running(pid))


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_signal_that_ends_a_program_is_named(tmp_path: Path) -> None:
    path = program(tmp_path / "dead", "kill -9 $$")

    assert run(path) == f"{path}: signal 9"
