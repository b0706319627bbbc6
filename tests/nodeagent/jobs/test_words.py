"""Requests of users' commands that say what no kernel call takes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.errors import InvalidRequest
from sluice.model.request import StepSpec
from sluice.model.step import Step
from sluice.wire.messages import FileTarget, PeerAddress, TakeFile, TaskLaunch
from sluiced.jobs.words import check_file, check_launch
from tests.nodeagent.conftest import NODE, make_job

LAUNCH = TaskLaunch(
    credential="",
    job=make_job(1, "/tmp"),
    step=Step(job_id=1, step_id=0, spec=StepSpec(name="true"), nodes=()),
    node=NODE,
    argv=("true", ""),
    environment=(b"A=1", b"\xff", b"=", b"NAME"),
    umask=0o777,
    rlimits=(("NOFILE", -1, 2**63 - 1),),
    pty_size=(0, 65535),
    peers=(
        PeerAddress(address="127.0.0.1", port=1),
        PeerAddress(address="::1", port=65535),
        PeerAddress(address=f"{'n' * 63}.example.", port=7000),
    ),
)
FILE = TakeFile(
    credential="",
    node=NODE,
    path="/tmp/x",
    size=0,
    times=(-1.5, 2e9),
    targets=(FileTarget(node="n2", address="n2", port=1),),
)


def test_what_commands_send_is_taken() -> None:
    check_launch(LAUNCH)
    check_file(FILE)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"argv": ("true", "a\0b")}, "the program or its arguments has a NUL in it"),
        ({"work_dir": "/tmp\0"}, "the working directory has a NUL in it"),
        ({"std_err": "\0"}, "a file of stdin, stdout or stderr has a NUL in it"),
        ({"task_prolog": "/bin/true\0"}, "the task prolog or epilog has a NUL in it"),
        ({"multi_prog": "0 true\0"}, "the configuration of --multi-prog has a NUL in it"),
        ({"environment": (b"A=\0",)}, "the environment has a NUL in it"),
        ({"own_environment": (b"A=\0",)}, "the environment has a NUL in it"),
        ({"umask": 10**12}, "umask 1000000000000 is not within 0 and 4095"),
        ({"umask": -1}, "umask -1 is not within 0 and 4095"),
        ({"pty_size": (24, 65536)}, "terminal size 65536 is not within 0 and 65535"),
        ({"rlimits": (("NOFILE", 2**63, 0),)}, f"resource limit NOFILE {2**63} is not within -1 and {2**63 - 1}"),
        ({"peers": (PeerAddress(address="n1", port=0),)}, "port 0 is not within 1 and 65535"),
        ({"peers": (PeerAddress(address="a" * 400, port=1),)}, f"'{'a' * 63}' is no address of a node"),
        ({"peers": (PeerAddress(address="", port=1),)}, "'' is no address of a node"),
        ({"peers": (PeerAddress(address="n1\0", port=1),)}, "is no address of a node"),
        ({"peers": (PeerAddress(address="n\u00e4", port=1),)}, "is no address of a node"),
        ({"peers": (PeerAddress(address=".".join(["n"] * 150), port=1),)}, "is no address of a node"),
    ],
)
def test_a_launch_is_refused_for(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_launch(replace(LAUNCH, **fields))

    assert says in refused.value.message
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"path": "x"}, "'x' is not an absolute path"),
        ({"path": "/x\0"}, "'/x\\x00' is not an absolute path"),
        ({"size": -1}, "size of the file -1 is not within 0"),
        ({"times": (math.nan, 0.0)}, "time of the file nan is not within"),
        ({"times": (0.0, math.inf)}, "time of the file inf is not within"),
        ({"timeout_s": math.nan}, "timeout nan is not within 0"),
        ({"targets": (FileTarget(node="n2", address="n2", port=65536),)}, "port 65536 is not within 1 and 65535"),
    ],
)
def test_a_file_is_refused_for(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_file(replace(FILE, **fields))

    assert says in refused.value.message
