"""The agent is killed at each stage of a job's life, and its machine restarted: every job ends once, as it should.

Each stage is held by a file that the test removes when the agent is back, so that nothing depends on luck.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.local.daemons import MARKER
from sluice.testing import LocalCluster
from sluiced.spool import Spool
from sluiced.steps import descendants, notice

#: Writes that it has begun, and waits for leave if the test wants it to.
_GATE = """#!/bin/sh
echo $SLURM_SCRIPT_CONTEXT >> FOLDER/log
while [ -e FOLDER/$SLURM_SCRIPT_CONTEXT.shut ]; do sleep 0.02; done
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    program = tmp_path / "gate"
    program.write_text(_GATE.replace("FOLDER", str(tmp_path)))
    program.chmod(0o755)
    return tmp_path


@pytest.fixture
def cluster(site: Path) -> Iterator[LocalCluster]:
    settings = {key: str(site / "gate") for key in ("Prolog", "Epilog", "RebootProgram")}
    with LocalCluster(nodes=1, cpus=4, settings=settings) as running:
        yield running


def log_of(site: Path) -> list[str]:
    path = site / "log"
    return path.read_text().splitlines() if path.exists() else []


def states(cluster: LocalCluster, job_id: int) -> list[str]:
    done = cluster.run("sacct", "-n", "-P", "-D", "-X", "-j", str(job_id), "-o", "State,ExitCode")
    return done.stdout.splitlines()


def restart_agent(cluster: LocalCluster) -> None:
    cluster.kill_agent("n1")
    cluster.start_agent("n1")
    cluster.wait_ready()


@pytest.mark.parametrize(
    ("stage", "begun"),
    [
        pytest.param("prolog_slurmd", ["prolog_slurmd"], id="in the prolog"),
        pytest.param("script", ["prolog_slurmd", "script"], id="while the script runs"),
        pytest.param("epilog_slurmd", ["prolog_slurmd", "script", "epilog_slurmd"], id="in the epilog"),
    ],
)
def test_a_job_goes_on_after_its_agent_was_killed(
    cluster: LocalCluster, site: Path, stage: str, begun: list[str]
) -> None:
    """The script runs once, its result is told once; a prolog or an epilog that was cut off begins anew."""
    shut = site / f"{stage}.shut"
    shut.touch()
    script = f"#!/bin/sh\necho script >> {site}/log\nwhile [ -e {site}/script.shut ]; do sleep 0.02; done\nexit 3\n"
    job_id = cluster.submit("-o", "/dev/null", input=script, cwd=site)
    cluster.wait_until(lambda: log_of(site) == begun, f"{begun} have begun")

    restart_agent(cluster)
    restart_agent(cluster)
    shut.unlink()

    cluster.wait_jobs_ended()
    assert states(cluster, job_id) == ["FAILED|3:0"]
    assert log_of(site).count("script") == 1
    assert log_of(site)[-1] == "epilog_slurmd"


def test_a_script_that_ended_while_its_agent_was_away_is_told(cluster: LocalCluster, site: Path) -> None:
    """Its step daemon writes the result; the epilog waits for the next agent."""
    (site / "script.shut").touch()
    script = f"#!/bin/sh\necho script >> {site}/log\nwhile [ -e {site}/script.shut ]; do sleep 0.02; done\nexit 3\n"
    job_id = cluster.submit("-o", "/dev/null", input=script, cwd=site)
    cluster.wait_until(lambda: "script" in log_of(site), "the script runs")
    cluster.kill_agent("n1")

    (site / "script.shut").unlink()
    results = Path(cluster.folder) / "spool" / "n1" / "jobs" / f"{job_id}.0" / "batch.result"
    cluster.wait_until(results.exists, "the step has ended")
    assert log_of(site) == ["prolog_slurmd", "script"]
    cluster.start_agent("n1")

    cluster.wait_jobs_ended()
    assert states(cluster, job_id) == ["FAILED|3:0"]
    assert log_of(site) == ["prolog_slurmd", "script", "epilog_slurmd"]


@pytest.fixture
def reboot(cluster: LocalCluster, site: Path) -> Iterator[object]:
    """Give a function that ends everything of the node at once, and starts an agent that sees another boot id."""
    agents: list[subprocess.Popen[bytes]] = []

    def act() -> None:
        cluster.kill_agent("n1")
        spool = Spool(os.path.join(cluster.folder, "spool", "n1"))
        for job in spool.jobs():
            for step in spool.steps(job):
                claim = spool.read_claim(step)
                assert claim is not None
                os.kill(claim.pid, signal.SIGKILL)
                descendants.kill_strays(notice.marker(spool.notice_path(step)))
        spool.close()
        boot_id = site / "boot_id"
        boot_id.write_text("00000000-1111-2222-3333-444444444444\n")
        enter = f'mount --bind {boot_id} /proc/sys/kernel/random/boot_id && exec "$@"'
        agent = (sys.executable, "-P", "-m", "sluiced", "-f", cluster.conf_path, "-N", "n1", "-D")
        command = ["unshare", "--mount", "sh", "-c", enter, "sh", *agent]
        agents.append(subprocess.Popen(command, env=os.environ | {MARKER: cluster.folder}, cwd=cluster.folder))
        cluster.wait_ready()

    yield act
    for agent in agents:
        agent.terminate()
        agent.wait(20)


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None, reason="puts another boot id into place, which takes root"
)
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        pytest.param("--requeue", ["NODE_FAIL|0:0", "COMPLETED|0:0"], id="requeued"),
        pytest.param("--no-requeue", ["NODE_FAIL|0:0"], id="ended"),
    ],
)
def test_a_restarted_machine_ends_its_jobs(
    cluster: LocalCluster, site: Path, reboot: object, option: str, expected: list[str]
) -> None:
    """As NODE_FAIL; one that may be requeued runs again and knows that it does."""
    script = (
        f'#!/bin/sh\necho run ${{SLURM_RESTART_COUNT:-0}} >> {site}/runs\n[ "$SLURM_RESTART_COUNT" = 1 ] || sleep 300\n'
    )
    job_id = cluster.submit(option, "-o", "/dev/null", input=script, cwd=site)
    runs = site / "runs"
    cluster.wait_until(lambda: runs.exists() and runs.read_text(), "the script runs")

    assert callable(reboot)
    reboot()

    cluster.wait_jobs_ended()
    assert states(cluster, job_id) == expected
    assert runs.read_text().splitlines() == ["run 0", "run 1"][: len(expected)]


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None, reason="puts another boot id into place, which takes root"
)
def test_a_node_is_restarted_once_its_job_has_ended(cluster: LocalCluster, site: Path, reboot: object) -> None:
    """Nothing new starts there meanwhile; the job that waited runs when it is back."""
    running = cluster.submit("-o", "/dev/null", "--wrap", f"until [ -e {site}/go ]; do sleep 0.02; done")
    cluster.wait_until(lambda: log_of(site) == ["prolog_slurmd"], "the job runs")

    cluster.run("scontrol", "reboot", "ASAP", "reason=kernel", "n1")
    waiting = cluster.submit("-o", "/dev/null", "--wrap", "true")
    (site / "go").touch()

    cluster.wait_until(lambda: log_of(site)[-1] == "reboot", "the node is told")
    assert cluster.run("sinfo", "-h", "-o", "%T").stdout.strip() == "reboot^"
    assert states(cluster, waiting) == ["PENDING|0:0"]
    assert callable(reboot)
    reboot()
    cluster.wait_jobs_ended()
    assert states(cluster, running) + states(cluster, waiting) == ["COMPLETED|0:0", "COMPLETED|0:0"]
