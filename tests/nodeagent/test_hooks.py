"""Prolog and epilog on a real agent, also when it is killed while they run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.states import Ending
from sluice.model.step import Step
from sluice.wire.messages import EndJob, PrepareJob
from tests.nodeagent.conftest import NODE, Cluster, make_job
from tests.nodeagent.fake_srun import Srun
from tests.waiting import wait_until

pytestmark = pytest.mark.system

MakeCluster = Callable[..., Cluster]
#: Says that it began, waits until it may go on, and says that it ended.
_PATIENT = """
echo $SLURM_SCRIPT_CONTEXT began >> $LOG
while ! [ -e $0.go ]; do sleep 0.02; done
echo $SLURM_SCRIPT_CONTEXT ended >> $LOG
"""


def with_hooks(make_cluster: MakeCluster, prolog: str = "", epilog: str = "", flags: tuple[str, ...] = ()) -> Cluster:
    cluster = make_cluster()
    paths: dict[str, tuple[str, ...]] = {"prolog_flags": flags}
    for name, text in (("prolog", prolog), ("epilog", epilog)):
        if text:
            path = cluster.folder / name
            path.write_text(f"#!/bin/sh\nLOG={cluster.folder}/log\n{text}\n")
            path.chmod(0o755)
            paths[name] = (str(path),)
    cluster.controller.config = msgspec.structs.replace(cluster.controller.config, **paths)
    cluster.start_agent()
    return cluster


def log_of(cluster: Cluster) -> list[str]:
    path = cluster.folder / "log"
    return path.read_text().splitlines() if path.exists() else []


def wait_logged(cluster: Cluster, count: int) -> None:
    wait_until(lambda: len(log_of(cluster)) >= count, 20)


def test_a_prolog_sees_the_job_and_nothing_of_its_users_environment(make_cluster: MakeCluster) -> None:
    cluster = with_hooks(make_cluster, prolog="env > $LOG")

    cluster.run("true", environment={"PATH": os.environ["PATH"], "LD_PRELOAD": "/tmp/evil.so", "SLURM_X": "1"})

    seen = dict(line.partition("=")[::2] for line in log_of(cluster))
    assert {name: seen.get(name) for name in ("SLURM_JOB_ID", "SLURM_JOB_UID", "SLURMD_NODENAME")} == {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_UID": str(os.getuid()),
        "SLURMD_NODENAME": NODE,
    }
    assert (seen["SLURM_SCRIPT_CONTEXT"], seen["SLURM_CLUSTER_NAME"]) == ("prolog_slurmd", "test")
    assert seen["SLURM_CONF"] == str(cluster.conf)
    assert not {"LD_PRELOAD", "SLURM_X", "HOME"} & set(seen)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_nothing_that_an_srun_says_of_its_job_reaches_the_prolog(make_cluster: MakeCluster) -> None:
    cluster = with_hooks(make_cluster, prolog="env > $LOG", epilog="env > $LOG.epilog")

    def forge(job: Job, step: Step) -> tuple[Job, Step]:
        return replace(job, spec=replace(job.spec, user="admin", account="other", work_dir="/etc")), step

    srun = Srun(cluster, ["true"], forge=forge).wait_done()
    cluster.end(1)

    wait_until(lambda: cluster.controller.is_clean(1), 20)
    assert srun.error is not None
    assert "are not those that were granted" in srun.error.message
    assert not (cluster.folder / "log").exists()
    assert not (cluster.folder / "log.epilog").exists()


def test_an_agent_killed_during_the_prolog_runs_it_again(make_cluster: MakeCluster) -> None:
    """Never two at once: what the killed agent has left running is ended first.  The job then runs, once."""
    cluster = with_hooks(make_cluster, prolog=f"echo $$ >> {'$LOG'}.pids; {_PATIENT}")
    job = make_job(1, cluster.work)
    cluster.launch(job, "#!/bin/sh\necho ran >> ../log\n")
    wait_logged(cluster, 1)

    cluster.kill_agent()
    cluster.start_agent()
    assert cluster.controller.registrations[-1].steps == ()
    cluster.launch(job, "#!/bin/sh\necho ran >> ../log\n")
    wait_logged(cluster, 2)
    (cluster.folder / "prolog.go").touch()

    assert cluster.result(1).exit_code == 0
    first = int((cluster.folder / "log.pids").read_text().split()[0])
    assert not _is_running(first)
    assert log_of(cluster) == ["prolog_slurmd began", "prolog_slurmd began", "prolog_slurmd ended", "ran"]


def test_an_agent_killed_during_the_epilog_runs_it_again(make_cluster: MakeCluster) -> None:
    cluster = with_hooks(make_cluster, epilog=_PATIENT)
    cluster.submit("echo ran >> ../log; exit 3")
    wait_logged(cluster, 2)
    assert not cluster.controller.is_clean(1)

    cluster.kill_agent()
    cluster.start_agent()
    wait_logged(cluster, 3)
    (cluster.folder / "epilog.go").touch()

    wait_until(lambda: cluster.controller.is_clean(1), 20)
    assert cluster.result(1).exit_code == 3
    assert log_of(cluster) == ["ran", "epilog_slurmd began", "epilog_slurmd began", "epilog_slurmd ended"]


def test_a_prepared_node_is_remembered_by_the_next_agent(make_cluster: MakeCluster) -> None:
    """The prolog is not run twice, and the epilog runs although nothing else ever did."""
    cluster = with_hooks(
        make_cluster, prolog="echo prolog >> $LOG", epilog="echo epilog $SLURM_JOB_NAME >> $LOG", flags=("Alloc",)
    )
    order = PrepareJob(node=NODE, epoch=1, job_id=7, attempt=0, variables={"SLURM_JOB_NAME": "big"})
    cluster.controller.order(prepares=(order,))
    wait_until(lambda: len(cluster.controller.prepared) == 1, 20)

    cluster.kill_agent()
    cluster.start_agent()
    cluster.controller.order(prepares=(order,))
    wait_until(lambda: len(cluster.controller.prepared) == 2, 20)
    end = EndJob(node=NODE, epoch=1, job_id=7, attempt=0, ending=Ending.CANCEL, kill_wait_s=5.0)
    cluster.controller.order(ends=(end,))

    wait_until(lambda: cluster.controller.is_clean(7), 20)
    assert log_of(cluster) == ["prolog", "epilog big"]


def test_with_serial_one_prolog_runs_at_a_time(make_cluster: MakeCluster) -> None:
    cluster = with_hooks(make_cluster, prolog="echo in >> $LOG; sleep 0.1; echo out >> $LOG", flags=("Serial",))

    jobs = [cluster.submit("true", std_out=f"out-{number}") for number in range(4)]

    for job_id in jobs:
        cluster.result(job_id)
    assert log_of(cluster) == ["in", "out"] * 4


def test_a_prolog_that_takes_too_long_drains_the_node(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    path = cluster.folder / "prolog"
    path.write_text("#!/bin/sh\necho mounting /scratch; sleep 300\n")
    path.chmod(0o755)
    cluster.controller.config = msgspec.structs.replace(
        cluster.controller.config, prolog=(str(path),), prolog_timeout_s=0.3
    )
    cluster.start_agent()

    result = cluster.run("true")

    assert result.reason == "Prolog"
    evidence = f"Prolog error: {path}: not done after 0.3 s, killed: mounting /scratch"
    assert cluster.controller.drains == [(NODE, evidence)]
