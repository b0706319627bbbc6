"""Host files: what a line may be, how often a name counts, and what is no such file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice import hostlist
from sluice.errors import InvalidRequest
from sluice_cli import host_file
from sluice_cli.draft import OptionError


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], list[str]]:
    def write_and_read(content: str) -> list[str]:
        path = tmp_path / "hosts"
        path.write_text(content)
        return host_file.read_names(str(path))

    return write_and_read


def refusal_of(path: str) -> tuple[str, ...]:
    with pytest.raises(OptionError) as refusal:
        host_file.read_names(path)
    assert all(len(line) < 150 for line in refusal.value.lines)
    return refusal.value.lines


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("n3\nn1\nn3\n", "n3 n1 n3"),
        ("n1 # the first\n#n2\n\nn3", "n1 n3"),
        ("n[1-2],n4 n3\r\n", "n1 n2 n4 n3"),
        ("n1*3\nn2\n", "n1 n1 n1 n2"),
        ("n1 * 2, n2\n", "n1 n1 n2"),
        ("n1,n2*2\n", "n1 n2 n2"),
        ("n[1-2]*2\n", "n1 n2 n1 n2"),
        ("n[1,2]*2,n3\n", "n1 n2 n1 n2 n3"),
        ("n1*x n2*0\n", "n1*x n2*0"),
    ],
    ids=[
        "a name a line",
        "comments and empty lines",
        "lists",
        "a node for three tasks",
        "blanks around the star",
        "the last of a line alone",
        "a list over and over",
        "brackets with commas",
        "what is no number stays in the name",
    ],
)
def test_the_names_are_those_of_the_lines(read: Callable[[str], list[str]], content: str, names: str) -> None:
    assert read(content) == names.split()


@pytest.mark.parametrize("content", ["", "\n\n", "#n1\n# n2\n"], ids=["empty", "empty lines", "comments"])
def test_a_file_without_a_name_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "hosts"
    path.write_text(content)

    assert refusal_of(str(path)) == (f"{path} names no node", "Hostlist is empty!")


@pytest.mark.parametrize("line", ["   ", " n1", ",n1", "*3", "n1\0", "n1\x1b[2J", "n\udc80"], ids=ascii)
def test_a_line_that_begins_with_no_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hosts").write_bytes(f"n1\n\n{line}\n".encode(errors="surrogateescape"))

    assert refusal_of("hosts")[-1] == "Invalid hostfile ./hosts contents on line 3"


@pytest.mark.parametrize("line", ["n[1-2", "n1*999999999", f"n1*2\nn2*{hostlist.NAMES_MAX - 1}"])
def test_lines_that_stand_for_no_nodes_or_too_many_are_refused(read: Callable[[str], list[str]], line: str) -> None:
    with pytest.raises((InvalidRequest, OptionError), match=r"not a hostlist|names more than"):
        read(line)


def test_what_never_ends_is_refused() -> None:
    assert refusal_of("/dev/zero") == ("/dev/zero is larger than 4194304 bytes, no list of nodes is",)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal_of(str(tmp_path))[0].endswith(", Is a directory")


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("n2\nn1*2\n",))
    writer.start()

    assert host_file.read_names(str(tmp_path / "pipe")) == ["n2", "n1", "n1"]
    writer.join()


def test_a_pipe_that_nobody_writes_into_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(host_file, "PIPE_WAIT_S", 0.01)

    assert refusal_of(str(tmp_path / "pipe")) == (f"nothing came from {tmp_path / 'pipe'} for 0.01 s",)
