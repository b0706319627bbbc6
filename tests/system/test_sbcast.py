"""sbcast over a tree of agents: whole files, as the job's user, whatever happens to a node or the sender."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sluice.testing import LocalCluster
from tests.system.running import running

_MIB = 1024 * 1024


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of several parts that do not repeat."""
    path = tmp_path / "big"
    path.write_bytes(os.urandom(5 * _MIB + 7))
    path.chmod(0o750)
    return path


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["-F1"], id="one after the other"),
        pytest.param(["-F2", "--size=70000"], id="a tree of small parts"),
        pytest.param(["-C"], id="compressed"),
    ],
)
def test_every_node_gets_the_whole_file(
    local_cluster: LocalCluster, big: Path, tmp_path: Path, options: list[str]
) -> None:
    target = tmp_path / "copy"

    local_cluster.run("salloc", "-N3", "sbcast", "-p", *options, str(big), str(target))

    assert target.read_bytes() == big.read_bytes()
    assert (target.stat().st_mode, target.stat().st_mtime) == (big.stat().st_mode, big.stat().st_mtime)
    assert sorted(os.listdir(tmp_path)) == ["big", "copy"]


def test_an_agent_that_is_down_is_told_and_the_others_get_the_file(local_cluster: LocalCluster, big: Path) -> None:
    """In a chain the next node takes the place of the one that is gone."""
    target = big.parent / "copy"
    script = f"echo ready; read go; sbcast -v -F1 {big} {target}; echo $?"
    with running(local_cluster, "salloc", "-N3", "sh", "-c", script) as salloc:
        assert salloc.stdout is not None
        assert salloc.stdout.readline() == "ready\n"
        local_cluster.kill_agent("n2")
        told, talk = salloc.communicate("go\n", timeout=60)
    local_cluster.start_agent("n2")
    local_cluster.wait_idle()

    assert told == "1\n"
    assert "sbcast: error: REQUEST_FILE_BCAST(n2): cannot be reached" in talk
    assert "on 2 nodes" in talk
    assert target.read_bytes() == big.read_bytes()


def test_a_sender_that_is_killed_leaves_nothing_behind(local_cluster: LocalCluster, tmp_path: Path) -> None:
    """The source is a FIFO without an end: the receivers have begun when the sender dies."""
    source = tmp_path / "endless"
    with source.open("wb") as file:
        file.truncate(1 << 40)
    folder = tmp_path / "there"
    folder.mkdir()
    with running(local_cluster, "salloc", "-N2", "sbcast", str(source), str(folder / "file")) as salloc:
        local_cluster.wait_until(lambda: any(each.stat().st_size for each in folder.iterdir()), "data arrive")
        (child,) = local_cluster.run("pgrep", "-P", str(salloc.pid)).stdout.split()
        os.kill(int(child), signal.SIGKILL)
        local_cluster.wait_until(lambda: not list(folder.iterdir()), "the receivers have gone")


def test_srun_runs_what_it_has_broadcast(local_cluster: LocalCluster, tmp_path: Path) -> None:
    """Without a name each node has its own copy, in the folder where srun was started."""
    done = local_cluster.run("srun", "-N2", "--bcast", "sh", "-c", "readlink /proc/$$/exe", cwd=tmp_path)

    assert sorted(done.stdout.split()) == [str(tmp_path / f"slurm_bcast_{_job(done.stdout)}.0_n{n}") for n in (1, 2)]


def test_srun_runs_a_program_with_its_shared_objects(local_cluster: LocalCluster, tmp_path: Path) -> None:
    options = [f"--bcast={tmp_path}/there", "--send-libs", "--bcast-exclude=none"]

    done = local_cluster.run("srun", "-N2", "-n2", *options, "sh", "-c", "echo $LD_LIBRARY_PATH")

    assert [line.split(":")[0] for line in done.stdout.split()] == [f"{tmp_path}/there_libs"] * 2
    assert (tmp_path / "there_libs" / "libc.so.6").exists()


def test_a_program_that_cannot_be_put_there_is_not_started(local_cluster: LocalCluster) -> None:
    done = local_cluster.run("srun", "-N2", "--bcast=/no/such/folder/sh", "sh", "-c", "echo started", check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert "REQUEST_FILE_BCAST(n2): No such file or directory" in done.stderr
    local_cluster.wait_idle()


def _job(text: str) -> str:
    return text.partition("slurm_bcast_")[2].partition(".")[0]
