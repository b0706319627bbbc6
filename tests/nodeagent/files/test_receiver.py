"""Files that come to an agent: whose rights they are written with, and which credentials count."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from sluice.errors import RequestError, SluiceError
from sluice.model.base import EXTERN_STEP
from sluice.wire.messages import FileData, FileEnd, FileProblem, FileReady, FileTaken, TakeFile
from sluice.wire.step_credential import StepGrant, grant_access, mint_step_credential
from sluiced.files.peer import FilePeer
from tests.nodeagent.conftest import NODE, Cluster
from tests.nodeagent.fake_srun import Srun

pytestmark = pytest.mark.system

_DATA = b"for the nodes\n"
_STRANGER = 65534
_WAIT_S = 20.0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the file is another user's")
def test_a_file_is_written_with_the_users_rights(cluster: Cluster) -> None:
    """As that user it is theirs; what root alone may write is refused, with the errno."""
    cluster.folder.chmod(0o711)
    _let_through(cluster.folder)
    (cluster.work / "theirs").mkdir()
    (cluster.work / "theirs").chmod(0o777)
    (cluster.work / "ours").mkdir(mode=0o755)

    taken = _send(cluster, cluster.work / "theirs" / "file", uid=_STRANGER)
    refused = _send(cluster, cluster.work / "ours" / "file", uid=_STRANGER)

    assert taken == FileTaken(count=1)
    facts = (cluster.work / "theirs" / "file").stat()
    assert (facts.st_uid, facts.st_gid) == (_STRANGER, _STRANGER)
    assert refused == FileTaken(count=0, problems=(FileProblem(node=NODE, text="Permission denied", number=13),))


def test_a_damaged_file_is_told_and_not_kept(cluster: Cluster) -> None:
    taken = _send(cluster, cluster.work / "file", data=_DATA.upper())

    assert taken.count == 0
    assert "damaged" in taken.problems[0].text
    assert os.listdir(cluster.work) == []


@pytest.mark.parametrize(
    ("fields", "path", "text"),
    [
        pytest.param({"step_id": 0}, "file", "not for files", id="a step's credential"),
        pytest.param({"nodes": ("n2",)}, "file", "without part", id="another node's"),
        pytest.param({}, "", "not an absolute path", id="a relative path"),
    ],
)
def test_what_may_not_be_sent(cluster: Cluster, fields: dict[str, Any], path: str, text: str) -> None:
    with pytest.raises(SluiceError, match=text):
        _send(cluster, cluster.work / path if path else Path("file"), **fields)


def test_a_credential_for_files_launches_nothing(cluster: Cluster) -> None:
    grant = grant_access(cluster.new_job(), EXTERN_STEP, [NODE])
    credential = mint_step_credential(cluster.key, grant, "here", time.time())
    srun = Srun(cluster, ["true"], step_id=EXTERN_STEP, credential=credential)

    srun.wait(lambda: srun.error)

    assert srun.error is not None
    assert "launches nothing" in srun.error.message


def test_an_ended_job_gets_no_files(cluster: Cluster) -> None:
    job_id = cluster.submit("true")
    cluster.end(job_id)
    cluster.result(job_id)

    with pytest.raises(RequestError, match=f"job {job_id} has ended"):
        _send(cluster, cluster.work / "file", job_id=job_id)


def _send(cluster: Cluster, path: Path, data: bytes = _DATA, **fields: Any) -> FileTaken:
    """Send a file as sbcast does; return what came of it."""
    uid = fields.pop("uid", os.getuid())
    grant = StepGrant(
        **{"uid": uid, "gid": uid, "user": "", "job_id": 1, "attempt": 0, "step_id": EXTERN_STEP, "nodes": (NODE,)}
        | fields
    )
    credential = mint_step_credential(cluster.key, grant, "here", time.time())
    with socket.create_connection(("127.0.0.1", cluster.port)) as connection:
        peer = FilePeer(connection, _WAIT_S)
        peer.introduce(credential, TakeFile(credential=credential, node=NODE, path=str(path), size=len(_DATA)))
        peer.receive_as(FileReady, _WAIT_S)
        peer.notify(FileData(data=data))
        peer.notify(FileEnd(digest=hashlib.sha256(_DATA).hexdigest()))
        return peer.receive_as(FileTaken, _WAIT_S)


def _let_through(folder: Path) -> None:
    """Let another user reach *folder*, as far as these tests made the way."""
    for each in folder.parents:
        if each.stat().st_uid == os.getuid() and each != Path("/") and each != Path("/tmp"):
            each.chmod(each.stat().st_mode | 0o011)
