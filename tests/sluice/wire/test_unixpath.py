"""A listening UNIX socket at a path."""

import contextlib
import socket
from pathlib import Path

import pytest

from sluice.errors import ConfigError
from sluice.wire.unixpath import bind_unix


def test_the_socket_listens_with_the_mode_asked_for(folder: Path) -> None:
    with (
        contextlib.closing(bind_unix(str(folder / "s"), 0o666, 5)),
        contextlib.closing(socket.socket(socket.AF_UNIX)) as peer,
    ):
        peer.connect(str(folder / "s"))
        assert (folder / "s").stat().st_mode & 0o777 == 0o666


def test_a_socket_file_that_nobody_answers_on_is_replaced(folder: Path) -> None:
    bind_unix(str(folder / "s"), 0o600, 5).close()

    bind_unix(str(folder / "s"), 0o600, 5).close()


def test_a_socket_that_somebody_answers_on_is_left_alone(folder: Path) -> None:
    with (
        contextlib.closing(bind_unix(str(folder / "s"), 0o600, 5)),
        pytest.raises(ConfigError, match="another process answers"),
    ):
        bind_unix(str(folder / "s"), 0o600, 5)


def test_a_file_that_is_no_socket_is_left_alone(folder: Path) -> None:
    (folder / "s").write_text("precious")

    with pytest.raises(ConfigError, match="no socket"):
        bind_unix(str(folder / "s"), 0o600, 5)
    assert (folder / "s").read_text() == "precious"


def test_a_folder_that_everybody_may_write_to_is_refused(folder: Path) -> None:
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match=r"everybody may write .* chmod o-w"):
        bind_unix(str(folder / "s"), 0o600, 5)

    folder.chmod(0o1777)
    bind_unix(str(folder / "s"), 0o600, 5).close()


@pytest.mark.parametrize(
    ("path", "reason"),
    [("absent/s", "No such file"), ("x" * 120, "longer than 107"), ("file/s", "not a folder|Not a dir")],
)
def test_an_impossible_path_is_refused(folder: Path, path: str, reason: str) -> None:
    (folder / "file").write_text("")

    with pytest.raises(ConfigError, match=reason):
        bind_unix(str(folder / path), 0o600, 5)
