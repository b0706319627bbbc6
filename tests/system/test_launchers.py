"""srun --launch: the job service, and frameworks on top of it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sluice.testing import LocalCluster

_ROOT = Path(__file__).parents[2]
_TORCH = Path(os.environ.get("SLUICE_TORCH", _ROOT / ".venv-torch/bin/python"))
needs_torch = pytest.mark.skipif(
    not _TORCH.exists(), reason="PyTorch is not there: make torch installs it, SLUICE_TORCH names a Python that has it"
)

_QUIET = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
_GLOO = """
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
n, rank = dist.get_world_size(), dist.get_rank()
t = torch.ones(4) * (rank + 1)
dist.all_reduce(t)
# In one write: torchrun's workers share a pipe.
os.write(1, f"rank {rank} of {n} on {os.environ['SLURMD_NODENAME']} sum {t[0].item()}\\n".encode())
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2, cpus=4) as made:
        yield made


def variables(output: str) -> dict[str, dict[str, str]]:
    """Return the variables of each labelled task."""
    found: dict[str, dict[str, str]] = {}
    for line in output.splitlines():
        task, _, pair = line.partition(": ")
        name, _, value = pair.partition("=")
        found.setdefault(task, {})[name] = value
    return found


def test_every_task_finds_its_rank_and_a_meeting_point(cluster: LocalCluster) -> None:
    done = cluster.run("srun", "-N2", "--ntasks-per-node=2", "--launch=env", "-l", "env")

    tasks = variables(done.stdout)
    assert [tasks[str(rank)]["RANK"] for rank in range(4)] == ["0", "1", "2", "3"]
    assert [tasks[str(rank)]["LOCAL_RANK"] for rank in range(4)] == ["0", "1", "0", "1"]
    assert [tasks[str(rank)]["SLUICE_ROLE"] for rank in range(4)] == ["head", "head", "worker", "worker"]
    same = {
        name: {task[name] for task in tasks.values()}
        for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLUICE_PORTS")
    }
    first = min(map(int, same["MASTER_PORT"]))
    assert same == {
        "WORLD_SIZE": {"4"},
        "MASTER_ADDR": {"127.0.0.1"},
        "MASTER_PORT": {str(first)},
        "SLUICE_PORTS": {f"{first}-{first + 7}"},
    }


def test_tasks_of_several_components_meet_at_one_point(cluster: LocalCluster) -> None:
    done = cluster.run("srun", "-wn1", "-n1", "--launch=env", "-l", "env", ":", "-wn2", "-n2", "env")

    tasks = [variables(done.stdout)[str(rank)] for rank in range(3)]
    assert [(task["RANK"], task["LOCAL_RANK"], task["NODE_RANK"]) for task in tasks] == [
        ("0", "0", "0"),
        ("1", "0", "1"),
        ("2", "1", "1"),
    ]
    assert {(task["WORLD_SIZE"], task["GROUP_WORLD_SIZE"]) for task in tasks} == {("3", "2")}
    assert len({(task["MASTER_ADDR"], task["MASTER_PORT"], task["SLUICE_PORTS"]) for task in tasks}) == 1


def test_the_temporary_folder_is_the_steps_own_and_goes_with_it(cluster: LocalCluster) -> None:
    script = "stat -c %a $TMPDIR; touch $TMPDIR/x; echo $TMPDIR"

    modes_and_paths = cluster.run("srun", "-n1", "--launch=env", "sh", "-c", script).stdout.split()

    mode, path = modes_and_paths
    assert (mode, len(path) < 40) == ("700", True)
    assert not Path(path).exists()


def test_a_step_that_cannot_begin_leaves_no_temporary_folder(cluster: LocalCluster) -> None:
    """Its output file cannot be opened."""
    before = set(Path("/tmp").glob("sluice.*"))

    done = cluster.run("srun", "-n1", "--launch=env", "--output=/none/such/file%t", "true", check=False)

    assert done.returncode != 0
    assert set(Path("/tmp").glob("sluice.*")) <= before


def test_ports_can_be_had_alone(cluster: LocalCluster) -> None:
    done = cluster.run("srun", "-n1", "--resv-ports=3", "sh", "-c", "echo $SLURM_STEP_RESV_PORTS")

    first, last = map(int, done.stdout.split("-"))
    assert last - first == 2


def test_a_leased_port_that_somebody_listens_on_is_named(cluster: LocalCluster) -> None:
    """The whole range is one block, and another program has a port of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with LocalCluster(nodes=1, cpus=1, settings={"MpiParams": f"ports={port}-{port}"}) as own:
            done = own.run("srun", "-n1", "--resv-ports=1", "true", check=False)

    assert done.returncode == 1
    assert f"port {port}, leased to the step with {port}-{port}, is in use on node n1" in done.stderr


def test_one_process_a_node_answers_for_all_its_tasks(cluster: LocalCluster, tmp_path: Path) -> None:
    """torchrun's place is taken by a program that shows how it was called."""
    tmp_path.chmod(0o755)
    torchrun = tmp_path / "torchrun"
    torchrun.write_text('#!/bin/sh\necho "$SLURMD_NODENAME $@"\nexit 3\n')
    torchrun.chmod(0o755)

    done = cluster.run(
        "srun", "-N2", "--ntasks-per-node=2", "--launch=torchrun", "train.py", "--epochs", "3",
        env={"PATH": f"{tmp_path}:{cluster.env['PATH']}"}, check=False,
    )  # fmt: skip

    assert done.returncode == 3
    lines = sorted(done.stdout.splitlines())
    port = re.search(r"127\.0\.0\.1:(\d+)", lines[0])
    assert port is not None
    for line, node, is_host in zip(lines, ("n1", "n2"), (1, 0), strict=True):
        assert re.sub(r"--rdzv-id=\S+ ", "", line) == (
            f"{node} --nnodes=2 --nproc-per-node=2 --rdzv-backend=c10d --rdzv-endpoint=127.0.0.1:{port[1]}"
            f" --rdzv-conf=is_host={is_host} --local-addr=127.0.0.1 train.py --epochs 3"
        )
    assert "srun: error: n1: tasks 0-1: Exited with exit code 3" in done.stderr


def test_torchruns_of_several_components_have_one_rendezvous(cluster: LocalCluster, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    torchrun = tmp_path / "torchrun"
    torchrun.write_text('#!/bin/sh\necho "$SLURMD_NODENAME $@"\n')
    torchrun.chmod(0o755)

    done = cluster.run(
        "srun", "-wn1", "-n1", "--launch=torchrun", "a.py", ":", "-wn2", "-n2", "b.py",
        env={"PATH": f"{tmp_path}:{cluster.env['PATH']}"},
    )  # fmt: skip

    first, second = sorted(done.stdout.splitlines())
    assert first.startswith("n1 --nnodes=2 --nproc-per-node=1 "), first
    assert second.startswith("n2 --nnodes=2 --nproc-per-node=2 "), second
    places = [re.findall(r"--rdzv-(?:id|endpoint)=\S+", line) for line in (first, second)]
    assert places[0] == places[1]
    assert ["is_host=1" in first, "is_host=0" in second] == [True, True]


def test_the_head_is_told_to_end_after_the_workers(cluster: LocalCluster, tmp_path: Path) -> None:
    """Each process writes when TERM reaches it; the worker takes its time, and the head waits for it."""
    tmp_path.chmod(0o777)
    log = tmp_path / "log"
    script = f"""
        trap 'echo told $SLUICE_ROLE >> {log}
              [ $SLUICE_ROLE = head ] || sleep 0.5
              echo gone $SLUICE_ROLE >> {log}
              exit 0' TERM
        touch {tmp_path}/up-$SLUICE_ROLE
        while :; do sleep 0.05; done"""
    ready = [tmp_path / "up-head", tmp_path / "up-worker"]
    command = ["srun", "-N2", "--ntasks-per-node=1", "--launch=env", "sh", "-c", script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=cluster.env, cwd=cluster.folder, stdin=pipe, stdout=pipe, stderr=pipe) as srun:
        cluster.wait_until(lambda: all(path.exists() for path in ready), "both nodes run")
        srun.terminate()
        srun.communicate(timeout=60)

    assert log.read_text().splitlines() == ["told worker", "gone worker", "told head", "gone head"]


def test_an_unknown_launcher_is_refused_with_the_list(cluster: LocalCluster) -> None:
    done = cluster.run("srun", "--launch=bogus", "true", check=False)

    assert done.returncode == 1
    assert done.stderr == "srun: error: Invalid launcher 'bogus', --launch=list for acceptable ones: env, torchrun\n"


@pytest.mark.slow
@needs_torch
@pytest.mark.parametrize("launcher", ["env", "torchrun"])
@pytest.mark.timeout(300)
def test_torch_sums_over_two_components(cluster: LocalCluster, tmp_path: Path, launcher: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "gloo.py").write_text(_GLOO)
    command = (str(_TORCH), str(tmp_path / "gloo.py"))
    options = ("-wn1", "-n1", f"--launch={launcher}")

    done = cluster.run("srun", *options, *command, ":", "-wn2", "-n2", *command, env=_QUIET, limit_s=280)

    lines = re.findall(r"rank (\d) of (\d) on (n\d) sum (\S+)", done.stdout)
    assert sorted((rank, size, total) for rank, size, _, total in lines) == [
        (f"{rank}", "3", "6.0") for rank in range(3)
    ]
    # Which of the nodes has which ranks is torchrun's own choice.
    assert sorted(node for _, _, node, _ in lines) == ["n1", "n2", "n2"]


@pytest.mark.slow
@needs_torch
@pytest.mark.parametrize("launcher", ["env", "torchrun"])
@pytest.mark.timeout(300)
def test_torch_reduces_over_two_nodes(cluster: LocalCluster, tmp_path: Path, launcher: str) -> None:
    """Two such jobs at once on the same nodes: four ranks each, by gloo."""
    tmp_path.chmod(0o755)
    (tmp_path / "gloo.py").write_text(_GLOO)

    def run(_: int) -> str:
        command = ("srun", "-N2", "--ntasks-per-node=2", f"--launch={launcher}", str(_TORCH), str(tmp_path / "gloo.py"))
        return cluster.run(*command, env=_QUIET, limit_s=280).stdout

    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(run, range(2)))

    for output in outputs:
        found = sorted(re.findall(r"rank (\d) of 4 on (n\d) sum 10\.0", output))
        assert [rank for rank, _ in found] == ["0", "1", "2", "3"]
        assert sorted(node for _, node in found) == ["n1", "n1", "n2", "n2"]


def test_a_torchrun_that_is_not_there_is_told_with_what_would_work(cluster: LocalCluster) -> None:
    done = cluster.run("srun", "-n1", "--export=ALL,PATH=/usr/bin:/bin", "--launch=torchrun", "train.py", check=False)

    assert done.returncode == 2
    assert "execve(): torchrun: No such file or directory\n" in done.stderr
    assert "--launch=torchrun starts torchrun, which comes with PyTorch: activate its environment" in done.stderr
    assert "--launch=env needs no torchrun" in done.stderr


def test_ports_that_are_not_wanted_are_refused_before_anything_runs(cluster: LocalCluster) -> None:
    done = cluster.run("srun", "-n1", "--launch=env", "--resv-ports=0", "true", check=False)

    assert done.returncode == 1
    assert "--launch=env: the processes need a leased port to meet at; leave --resv-ports=0 out" in done.stderr
