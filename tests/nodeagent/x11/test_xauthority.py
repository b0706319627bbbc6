"""The cookie's file, as the X library's own tool reads it; and display numbers that nobody else has."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from sluiced.steps.user import load_user
from sluiced.x11.display import take_display
from sluiced.x11.xauthority import HomeFile, OwnFile, xauthority_entry

_USER = load_user(os.geteuid(), os.getegid(), "me")


def test_an_entry_is_in_the_format_of_libxau() -> None:
    assert xauthority_entry(12, b"\1\2") == b"\xff\xff\0\0\0\x0212\0\x12MIT-MAGIC-COOKIE-1\0\2\1\2"


needs_xauth = pytest.mark.skipif(
    shutil.which("xauth") is None, reason="xauth is not installed (tools/x11.sh installs it)"
)


def xauth(path: str, *words: str) -> list[str]:
    """Return what xauth says of a file."""
    done = subprocess.run(["xauth", "-q", "-f", path, *words], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@needs_xauth
def test_xauth_finds_the_cookie(tmp_path: Path) -> None:
    file = OwnFile(str(tmp_path), "7.extern", _USER, 12, bytes(range(16)))

    [told] = xauth(file.path, "list")

    assert told.split()[1:] == ["MIT-MAGIC-COOKIE-1", bytes(range(16)).hex()]
    assert ":12" in told
    file.remove()
    assert list(tmp_path.iterdir()) == []


@needs_xauth
def test_at_home_other_cookies_stay(tmp_path: Path) -> None:
    home = _USER._replace(home=str(tmp_path))
    own = str(tmp_path / ".Xauthority")
    Path(own).touch()
    xauth(own, "add", "unix:0", ".", "ab" * 16)

    file = HomeFile(home, 12, bytes(range(16)))
    assert file.path == own
    assert next(line.split()[2] for line in xauth(own, "list") if ":12" in line) == bytes(range(16)).hex()
    file.remove()

    assert [line.split()[2] for line in xauth(own, "list")] == ["ab" * 16]


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = OwnFile(str(tmp_path), "7.extern", _USER, 10, b"secret")

    assert os.stat(file.path).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(file.path)).st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_the_file_is_the_users(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents[:3]:
        folder.chmod(folder.stat().st_mode | 0o011)

    file = OwnFile(str(tmp_path), "7.extern", load_user(65534, 65534, "nobody"), 10, b"secret")

    assert os.stat(file.path).st_uid == 65534


def test_no_two_have_the_same_display() -> None:
    first, listeners = take_display()
    second, others = take_display()
    try:
        assert first >= 10
        assert second > first
        assert {each.getsockname()[1] for each in listeners} == {6000 + first}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", 6000 + first), 5)
    finally:
        for each in (*listeners, *others):
            each.close()
