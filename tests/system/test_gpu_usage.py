"""What steps had of their GPUs, from the driver's library (a double of it) to sacct, on a live cluster."""

from __future__ import annotations

import glob
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.model.confinement import CgroupSettings
from sluice.testing import LocalCluster
from sluiced.cgroup import detect
from sluiced.gpu.sampler import read_tally
from tests.system.nvml_double import Machine

_MIB = 1 << 20
#: Uses the step's first GPU until there is a file called go.
_USE = 'echo "$1 $2" > $USING/GPU-${SLURM_STEP_GPUS%%,*}.$$; until [ -e go ]; do sleep 0.05; done'
_FIELDS = ("TRESUsageInMax", "TRESUsageInAve", "TRESUsageInTot")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.fixture
def cluster(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    monkeypatch.setenv("USING", str(machine.using))
    settings = {"GresTypes": "gpu", "NodeName": "DEFAULT Gres=gpu:2"}
    with LocalCluster(nodes=2, cpus=2, settings=settings, files={"gres.conf": "AutoDetect=nvml\n"}) as running:
        yield running


def wait_seen(cluster: LocalCluster, job_id: int, step: str, *peaks_mib: int) -> None:
    """Wait until the nodes have seen these peaks of memory."""

    def seen() -> list[int]:
        paths = glob.glob(f"{cluster.folder}/**/jobs/{job_id}.0/{step}.gpu", recursive=True)
        return sorted(read_tally(path).memory_peak_bytes // _MIB for path in paths)

    cluster.wait_until(lambda: seen() == sorted(peaks_mib), f"{step} of job {job_id} is seen with {peaks_mib} MiB")


def go_on(cluster: LocalCluster) -> None:
    (Path(cluster.folder) / "go").touch()
    cluster.wait_jobs_ended()


def words_of(cluster: LocalCluster, step: str) -> list[dict[str, str]]:
    """Return the GPU words of each of sacct's fields for a step."""
    line = cluster.run("sacct", "-n", "-P", "-j", step, "-o", ",".join(_FIELDS)).stdout.strip()
    fields = [dict(word.split("=") for word in field.split(",")) for field in line.split("|")]
    return [{name: value for name, value in words.items() if name.startswith("gres/")} for words in fields]


def test_a_steps_gpus_are_in_its_account(cluster: LocalCluster) -> None:
    """Two nodes, of which the second has more memory in use and less work."""
    use = f"[ $SLURM_NODEID = 0 ] && set -- x {1024 * _MIB} 90 || set -- x {3072 * _MIB} 50; shift; {_USE}"
    job_id = cluster.submit("-N2", "--gres=gpu:1", "--wrap", f"srun sh -c '{use}'")
    wait_seen(cluster, job_id, "0", 1024, 3072)

    go_on(cluster)

    most, average, total = words_of(cluster, f"{job_id}.0")
    assert (most["gres/gpumem"], most["gres/gpuutil"]) == ("3G", "90")
    assert total["gres/gpumem"] == "4G"
    assert 0 < int(average["gres/gpuutil"]) <= 70
    assert average["gres/gpumem"]


def test_the_batch_script_and_a_step_beside_it_have_their_own(cluster: LocalCluster) -> None:
    own = _USE.replace("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
    script = f"srun sh -c '{_USE}' x {200 * _MIB} 20 & set -- {100 * _MIB} 10; {own}; wait"
    job_id = cluster.submit("--gres=gpu:1", "--wrap", script)
    wait_seen(cluster, job_id, "batch", 100)
    wait_seen(cluster, job_id, "0", 200)

    go_on(cluster)

    assert [words_of(cluster, f"{job_id}.{step}")[0]["gres/gpumem"] for step in ("batch", "0")] == ["100M", "200M"]


def test_an_agent_that_is_killed_loses_nothing_that_was_seen(cluster: LocalCluster, machine: Machine) -> None:
    job_id = cluster.submit("-w", "n1", "--gres=gpu:2", "--wrap", f"srun sh -c '{_USE}' x {500 * _MIB} 60")
    wait_seen(cluster, job_id, "0", 500)
    cluster.kill_agent("n1")
    for path in machine.using.iterdir():
        path.write_text(f"{2 * _MIB} 0")
    cluster.start_agent("n1")
    cluster.wait_ready()

    go_on(cluster)

    assert words_of(cluster, f"{job_id}.0")[0] == {"gres/gpumem": "500M", "gres/gpuutil": "60"}


def test_a_gpu_that_hangs_in_the_driver_keeps_no_step_and_no_agent(cluster: LocalCluster, machine: Machine) -> None:
    job_id = cluster.submit("-w", "n1", "--gres=gpu:1", "--wrap", f"set -- {400 * _MIB} 40; SLURM_STEP_GPUS=0; {_USE}")
    wait_seen(cluster, job_id, "batch", 400)
    machine.hang.touch()

    go_on(cluster)
    done = cluster.run("srun", "-w", "n1", "--gres=gpu:2", "echo", "ran")

    assert done.stdout == "ran\n"
    assert words_of(cluster, f"{job_id}.batch")[0] == {"gres/gpumem": "400M", "gres/gpuutil": "40"}


def test_a_step_that_ended_while_no_agent_was_there_has_its_figures(cluster: LocalCluster) -> None:
    job_id = cluster.submit("-w", "n1", "--gres=gpu:1", "--wrap", f"set -- {300 * _MIB} 30; SLURM_STEP_GPUS=0; {_USE}")
    wait_seen(cluster, job_id, "batch", 300)
    cluster.kill_agent("n1")
    (Path(cluster.folder) / "go").touch()
    result = f"{cluster.folder}/**/jobs/{job_id}.0/batch.result"
    cluster.wait_until(lambda: bool(glob.glob(result, recursive=True)), "the script has ended")

    cluster.start_agent("n1")
    cluster.wait_jobs_ended()

    assert words_of(cluster, f"{job_id}.batch")[0] == {"gres/gpumem": "300M", "gres/gpuutil": "30"}


def test_a_step_without_gpus_has_no_words_of_them(cluster: LocalCluster) -> None:
    rest = "srun --gres=none sh -c 'until [ -e go ]; do sleep 0.05; done'"
    script = f"{rest} & set -- {_MIB} 10; SLURM_STEP_GPUS=0; {_USE}; wait"
    job_id = cluster.submit("-w", "n1", "--gres=gpu:1", "--wrap", script)
    wait_seen(cluster, job_id, "batch", 1)

    go_on(cluster)

    assert words_of(cluster, f"{job_id}.0") == [{}, {}, {}]
    steps = json.loads(cluster.run("sacct", "--json", "-j", str(job_id)).stdout)["jobs"][0]["steps"]
    by_name = {step["step"]["id"]: step["usage"]["gpu"] for step in steps}
    assert by_name[f"{job_id}.0"]["nodes"] == 0
    assert by_name[f"{job_id}.batch"]["memory_peak_bytes"] == _MIB
    assert by_name[f"{job_id}.batch"]["util_peak_percent"] == 10.0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root submits for others and has jobs adopt processes")
@pytest.mark.skipif(
    os.geteuid() == 0 and "freezing" in detect.find_tree(CgroupSettings()).gaps(),
    reason="no control groups can be made here",
)
def test_a_process_that_a_job_adopted_counts_for_its_extern_step(machine: Machine) -> None:
    settings = {"GresTypes": "gpu", "NodeName": "DEFAULT Gres=gpu:2", "PrologFlags": "Contain"}
    files = {"gres.conf": "AutoDetect=nvml\n"}
    login = subprocess.Popen(["sleep", "1000"], user="nobody", cwd="/")
    try:
        (machine.using / f"GPU-0.{login.pid}").write_text(f"{700 * _MIB} 70")
        with LocalCluster(nodes=1, cpus=2, settings=settings, files=files) as cluster:
            wait = f"until [ -e {cluster.folder}/go ]; do sleep 0.05; done"
            job_id = cluster.submit("--uid=nobody", "-o/dev/null", "--gres=gpu:1", "--wrap", wait, cwd="/tmp")
            wait_seen(cluster, job_id, "extern", 0)

            cluster.run("sluice", "adopt", "--nodename", "n1", str(login.pid))

            wait_seen(cluster, job_id, "extern", 700)
            go_on(cluster)
            steps = json.loads(cluster.run("sacct", "--json", "-j", str(job_id)).stdout)["jobs"][0]["steps"]
            had_mib = {step["step"]["name"]: step["usage"]["gpu"]["memory_peak_bytes"] // _MIB for step in steps}
            assert had_mib == {"batch": 0, "extern": 700}
    finally:
        login.kill()
        login.wait()
