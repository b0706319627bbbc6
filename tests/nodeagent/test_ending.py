"""Ending jobs: nobody escapes, the user is told why, and KILL follows TERM."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sluice.model.states import Ending
from sluice.wire.messages import SignalJob
from tests.nodeagent.conftest import NODE, Cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def _pid(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "escape",
    [
        pytest.param("setsid sh -c 'echo $$ > pid; exec sleep 300' &", id="setsid"),
        pytest.param("( ( setsid sh -c 'echo $$ > pid; exec sleep 300' & ) & ) &", id="double fork and setsid"),
        pytest.param("nohup sh -c 'echo $$ > pid; exec sleep 300' > /dev/null 2>&1 &", id="nohup"),
        pytest.param("sh -c 'trap \"\" TERM HUP; echo $$ > pid; while :; do sleep 1; done' &", id="deaf"),
    ],
)
def test_what_a_script_leaves_behind_ends_with_it(cluster: Cluster, escape: str) -> None:
    result = cluster.run(f"{escape}\nwhile ! test -s pid; do :; done; exit 3")

    assert result.exit_code == 3
    assert not _is_alive(_pid(cluster.work / "pid"))


@pytest.mark.parametrize(
    ("ending", "suffix"),
    [
        pytest.param(Ending.CANCEL, "", id="cancelled"),
        pytest.param(Ending.TIME_LIMIT, " DUE TO TIME LIMIT", id="out of time"),
        pytest.param(Ending.REQUEUE, " DUE TO JOB REQUEUE", id="requeued"),
        pytest.param(Ending.PREEMPTION, " DUE TO PREEMPTION", id="preempted"),
    ],
)
def test_an_ended_job_is_told_why(cluster: Cluster, ending: Ending, suffix: str) -> None:
    job_id = cluster.submit("echo $$ > pid; exec sleep 300")
    pid = _pid(cluster.work / "pid")

    cluster.end(job_id, ending)

    result = cluster.result(job_id)
    assert result.exit_signal == signal.SIGTERM
    assert result.is_node_clean
    assert not _is_alive(pid)
    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
    line = rf"slurmstepd-n1: error: \*\*\* JOB {job_id} ON n1 CANCELLED AT {when}{suffix} \*\*\*\n"
    assert re.fullmatch(line, cluster.read())


def test_a_job_that_ignores_term_is_killed(cluster: Cluster) -> None:
    job_id = cluster.submit("trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done")
    pid = _pid(cluster.work / "pid")

    cluster.end(job_id, kill_wait_s=0.3)

    assert cluster.result(job_id).exit_signal == signal.SIGKILL
    assert not _is_alive(pid)


def test_a_stopped_job_can_still_end(cluster: Cluster) -> None:
    job_id = cluster.submit("trap 'exit 9' TERM; echo $$ > pid; kill -STOP $$; while :; do sleep 0.1; done")
    pid = _pid(cluster.work / "pid")
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "T")

    cluster.end(job_id, kill_wait_s=30)

    assert cluster.result(job_id).exit_code == 9


def test_the_program_can_read_why_it_is_signalled(cluster: Cluster) -> None:
    job_id = cluster.submit(
        "trap 'cat $SLUICE_NOTICE_FILE > notice; exit 0' TERM; echo $$ > pid; while :; do sleep 0.1; done"
    )
    _pid(cluster.work / "pid")

    cluster.end(job_id, Ending.TIME_LIMIT, kill_wait_s=30)

    cluster.result(job_id)
    notice = json.loads(cluster.read("notice"))
    assert (notice["reason"], notice["signal"]) == ("time limit", signal.SIGTERM)
    assert notice["deadline_at"] == pytest.approx(notice["sent_at"] + 30)


def test_a_signal_goes_to_the_batch_shell_alone(cluster: Cluster) -> None:
    job_id = cluster.submit("trap 'exit 5' USR1; echo $$ > pid; while :; do sleep 0.1; done")
    _pid(cluster.work / "pid")

    order = SignalJob(node=NODE, epoch=1, job_id=job_id, attempt=0, signal=signal.SIGUSR1, to_batch=True)
    cluster.controller.order(signals=(order,))

    assert cluster.result(job_id).exit_code == 5


def test_ending_a_job_that_is_not_here_is_clean(cluster: Cluster) -> None:
    cluster.end(77)

    wait_until(lambda: cluster.controller.is_clean(77))


def test_orders_of_an_older_controller_are_refused(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    cluster.controller.epoch = 5
    cluster.start_agent()
    cluster.end(77)
    cluster.controller.epoch = 4

    cluster.submit("true")
    cluster.controller.epoch = 5
    second = cluster.submit("true", std_out="second.txt")

    cluster.result(second)
    assert [result.job_id for result in cluster.controller.results] == [second]
    assert not cluster.controller.is_clean(77)


@pytest.mark.skipif(os.getuid() != 0, reason="prologs of another user")
def test_prolog_and_epilog_surround_the_job(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _cluster_with_hooks(
        make_cluster, "echo prolog $SLURM_JOB_ID >> $LOG", "echo epilog $SLURM_JOB_EXIT_CODE2 >> $LOG"
    )

    result = cluster.run("echo job >> ../log; exit 2")

    wait_until(lambda: cluster.controller.is_clean(1))
    assert result.exit_code == 2
    assert (cluster.folder / "log").read_text() == "prolog 1\njob\nepilog 2:0\n"


def test_a_failing_prolog_drains_the_node(make_cluster: Callable[..., Cluster]) -> None:
    cluster = _cluster_with_hooks(make_cluster, "echo no disk; exit 4", "true")

    result = cluster.run("touch ran")

    assert result.reason == "Prolog"
    wait_until(lambda: cluster.controller.is_clean(1))
    assert cluster.controller.drains == [("n1", f"Prolog error: {cluster.folder}/prolog: exit 4: no disk")]
    assert not (cluster.work / "ran").exists()


def _cluster_with_hooks(make_cluster: Callable[..., Cluster], prolog: str, epilog: str) -> Cluster:
    cluster = make_cluster()
    paths = {}
    for name, text in (("prolog", prolog), ("epilog", epilog)):
        path = cluster.folder / name
        path.write_text(f"#!/bin/sh\nLOG={cluster.folder}/log\n{text}\n")
        path.chmod(0o755)
        paths[name] = (str(path),)

    cluster.controller.config = msgspec.structs.replace(cluster.controller.config, **paths)
    cluster.start_agent()
    return cluster


#: In the year 2100.
DEADLINE_AT = 4102444800.0
WARNED_PROGRAM = """cat > program <<'END'
trap 'cat $SLUICE_NOTICE_FILE >> notice; exit 4' TERM
echo $$ > pid
kill -STOP $$
while :; do sleep 0.1; done
END
sh program
echo "the program said $?"
exit 7
"""


def _warn(cluster: Cluster, job_id: int, times: int = 1) -> None:
    order = SignalJob(
        node=NODE,
        epoch=1,
        job_id=job_id,
        attempt=0,
        signal=signal.SIGTERM,
        to_batch=True,
        reason=Ending.PREEMPTION.value,
        deadline_at=DEADLINE_AT,
    )
    for _ in range(times):
        cluster.controller.order(signals=(order,))


def test_the_programs_of_a_script_are_warned_and_its_shell_is_not(cluster: Cluster) -> None:
    """The shell lives on to tidy up; a stopped program hears too, once, and can read until when it has time."""
    job_id = cluster.submit(WARNED_PROGRAM)
    pid = _pid(cluster.work / "pid")
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "T")

    _warn(cluster, job_id, times=3)

    assert cluster.result(job_id).exit_code == 7
    assert cluster.read() == "the program said 4\n"
    notice = json.loads(cluster.read("notice"))
    assert (notice["reason"], notice["signal"], notice["deadline_at"]) == ("preemption", signal.SIGTERM, DEADLINE_AT)


def test_a_script_that_became_its_program_is_warned_itself(cluster: Cluster) -> None:
    job_id = cluster.submit("echo $$ > pid; exec sleep 300")
    _pid(cluster.work / "pid")

    _warn(cluster, job_id)

    assert cluster.result(job_id).exit_signal == signal.SIGTERM
