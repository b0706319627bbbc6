"""A file that arrives on a node: there at once when it is whole, else not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from sluice.wire.messages import FileData, TakeFile
from sluiced.files.landing import Landing

_DATA = b"some bytes\n" * 1000
_DIGEST = hashlib.sha256(_DATA).hexdigest()


def test_a_whole_file_gets_its_place_mode_and_times(tmp_path: Path) -> None:
    landing = _landing(tmp_path / "file", mode=0o751, times=(100.0, 200.0))

    landing.write(FileData(data=_DATA[:5000]))
    landing.write(FileData(data=zlib.compress(_DATA[5000:]), is_compressed=True))
    assert not (tmp_path / "file").exists(), "nothing is seen before it is whole"
    landing.finish(_DIGEST)

    assert landing.problem is None
    facts = (tmp_path / "file").stat()
    assert (tmp_path / "file").read_bytes() == _DATA
    assert (facts.st_mode & 0o7777, facts.st_atime, facts.st_mtime) == (0o751, 100.0, 200.0)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([_DATA[:-1]], id="a byte is missing"),
        pytest.param([_DATA[:-1] + b"?"], id="a byte is another"),
        pytest.param([], id="nothing came"),
    ],
)
def test_a_damaged_file_is_not_kept(tmp_path: Path, parts: list[bytes]) -> None:
    landing = _landing(tmp_path / "file")

    for part in parts:
        landing.write(FileData(data=part))
    landing.finish(_DIGEST)

    assert landing.problem is not None
    assert "damaged" in landing.problem.text
    assert os.listdir(tmp_path) == []


def test_data_that_do_not_decompress_are_a_problem(tmp_path: Path) -> None:
    landing = _landing(tmp_path / "file")

    landing.write(FileData(data=b"no zlib", is_compressed=True))
    landing.finish(_DIGEST)

    assert landing.problem is not None
    assert landing.problem.number == errno.EBADMSG


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")

    assert _problem(_landing(tmp_path / "file")) == errno.EEXIST
    landing = _landing(tmp_path / "file", is_forced=True)
    landing.write(FileData(data=_DATA))
    assert (tmp_path / "file").read_text() == "old"
    landing.finish(_DIGEST)

    assert (tmp_path / "file").read_bytes() == _DATA


def test_nodes_that_share_a_file_system_agree_on_the_same_file(tmp_path: Path) -> None:
    landings = [_landing(tmp_path / "file"), _landing(tmp_path / "file", node="n2")]

    for landing in landings:
        landing.write(FileData(data=_DATA))
    for landing in landings:
        landing.finish(_DIGEST)

    assert [landing.problem for landing in landings] == [None, None]
    assert os.listdir(tmp_path) == ["file"]


def test_another_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    landing = _landing(tmp_path / "file")
    landing.write(FileData(data=_DATA))
    (tmp_path / "file").write_text("somebody else's")

    landing.finish(_DIGEST)

    assert _problem(landing) == errno.EEXIST
    assert (tmp_path / "file").read_text() == "somebody else's"


def test_places_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    assert _problem(_landing(tmp_path / "folder", is_forced=True)) == errno.EISDIR
    assert _problem(_landing(tmp_path / "missing" / "file")) == errno.ENOENT


def test_a_folder_is_made_and_a_name_completed_where_that_is_asked(tmp_path: Path) -> None:
    landing = _landing(tmp_path / "libs" / "file", makes_folder=True, names_node=True)
    landing.write(FileData(data=_DATA))
    landing.finish(_DIGEST)

    assert os.listdir(tmp_path / "libs") == ["file_n1"]


def test_a_file_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    landing = _landing(tmp_path / "file")
    landing.write(FileData(data=_DATA))

    landing.abandon()

    assert os.listdir(tmp_path) == []


def _landing(path: Path, node: str = "n1", **fields: Any) -> Landing:
    landing = Landing(TakeFile(credential="", node=node, path=str(path), size=len(_DATA), **fields))
    landing.open()
    return landing


def _problem(landing: Landing) -> int:
    assert landing.problem is not None
    return landing.problem.number
