"""The cluster key's file."""

import os
from pathlib import Path

import pytest

from sluice.errors import ConfigError
from sluice.wire.keyfile import create_key_file, read_key_file


def test_a_created_key_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "cluster.key"
    key = create_key_file(str(path))

    assert read_key_file(str(path)) == key
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_is_not_overwritten(tmp_path: Path) -> None:
    path = str(tmp_path / "cluster.key")
    create_key_file(path)

    with pytest.raises(ConfigError, match="cannot be created: File exists"):
        create_key_file(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = str(tmp_path / "cluster.key")
    create_key_file(path)
    os.chmod(path, mode)

    with pytest.raises(ConfigError, match=f"mode {mode:04o}, others can reach it; use chmod 0600"):
        read_key_file(path)


@pytest.mark.parametrize(
    ("text", "reason"), [("zz" * 32, "not hexadecimal"), ("ab" * 8, "8 bytes, 32 are needed"), ("é", "not hex")]
)
def test_what_is_no_key_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "cluster.key"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(ConfigError, match=reason):
        read_key_file(str(path))


def test_no_file_and_no_regular_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_key_file(str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match="not a regular file"):
        read_key_file(str(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "cluster.key")
    create_key_file(path)
    os.chown(path, 4321, 4321)

    with pytest.raises(ConfigError, match="belongs to uid 4321"):
        read_key_file(path)
