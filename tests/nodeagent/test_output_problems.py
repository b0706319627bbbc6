"""A job whose output cannot be written fails, and says which file and why."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodeagent.conftest import Cluster

pytestmark = pytest.mark.system

_as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root mounts and becomes another user")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a mounted file system of a few pages."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=777", "none", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def _fail(cluster: Cluster, path: str, **fields: object) -> str:
    """Run a job with output *path*; return why it failed."""
    result = cluster.run("touch ran", std_out=path, **fields)

    assert result.reason == "OutputNotWritable"
    assert (result.exit_code, result.exit_signal) == (0, 53)
    assert result.is_node_clean
    assert not (cluster.work / "ran").exists()
    assert result.tails[0].error == f"slurmstepd-n1: error: {result.reason_text}"
    return result.reason_text


def test_a_missing_directory(cluster: Cluster) -> None:
    assert _fail(cluster, "/nonexistent/x") == (
        "output file '/nonexistent/x': the directory '/nonexistent' does not exist (ENOENT)"
    )


def test_a_directory_in_the_way(cluster: Cluster) -> None:
    assert _fail(cluster, "/tmp") == "output file '/tmp': it is a directory (EISDIR)"


def test_a_file_where_a_directory_should_be(cluster: Cluster) -> None:
    assert _fail(cluster, "/dev/null/x") == "output file '/dev/null/x': '/dev/null' is not a directory (ENOTDIR)"


@_as_root
def test_a_place_that_the_user_may_not_write_to(cluster: Cluster) -> None:
    text = _fail(cluster, "/etc/x.out", uid=65534, gid=65534, user="nobody")

    assert text == "output file '/etc/x.out': permission denied (EACCES)"


@_as_root
def test_a_read_only_file_system(cluster: Cluster, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    assert _fail(cluster, f"{small_disk}/x") == f"output file '{small_disk}/x': read-only file system (EROFS)"


@_as_root
def test_a_full_disk(cluster: Cluster, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(b"x" * 16384)

    assert _fail(cluster, f"{small_disk}/x") == f"output file '{small_disk}/x': no space left on device (ENOSPC)"


def test_a_fifo_as_input_is_refused_and_not_waited_for(cluster: Cluster) -> None:
    os.mkfifo(cluster.work / "fifo")

    result = cluster.run("cat", std_in=str(cluster.work / "fifo"))

    assert result.reason_text.endswith("fifo': it is a FIFO, and a step does not wait for its writer (ESPIPE)")


def test_a_missing_input_is_a_launch_failure(cluster: Cluster) -> None:
    result = cluster.run("true", std_in="/nonexistent")

    assert (result.reason, result.exit_signal) == ("JobLaunchFailure", 53)
    assert result.reason_text == "input file '/nonexistent': no such file or directory (ENOENT)"


@_as_root
def test_a_job_that_fills_its_output_disk_ends_as_its_program_does(cluster: Cluster, small_disk: Path) -> None:
    """The program is told by the file system; the agent keeps what was written, and the exit code."""
    result = cluster.run("echo first; yes data | head -c 100000; exit 6", std_out=f"{small_disk}/x")

    assert (result.exit_code, result.reason, result.is_node_clean) == (6, "", True)
    assert (small_disk / "x").stat().st_size == 16384
    assert b"data\n" * 10 in result.tails[0].tail


def test_a_job_that_closes_its_streams_goes_on(cluster: Cluster) -> None:
    result = cluster.run("echo before; exec <&- >&- 2>&-; echo lost; touch went_on; exit 4")

    assert result.exit_code == 4
    assert (cluster.work / "went_on").exists()
    assert cluster.read() == "before\n"
