"""Preemption of real processes: requeued, warned and cancelled, frozen and going on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sluice.testing import LocalCluster

#: Obeys the warning: says what it read, and ends.
HEEDFUL = """#!/bin/sh
cat > program <<'END'
trap 'cp $SLUICE_NOTICE_FILE notice; exit 4' TERM
touch started
while :; do sleep 0.05; done
END
sh program
exit $?
"""
#: Counts as long as it is let.
COUNTING = "while :; do echo x >> count; sleep 0.02; done"


@contextmanager
def cluster_with(low: str, **settings: str) -> Iterator[LocalCluster]:
    """A node of two CPUs with the partitions debug and urgent.  low: keys of debug."""
    keys = {"PreemptType": "preempt/partition_prio", "JobRequeue": "1"} | settings
    with LocalCluster(nodes=1, cpus=2, settings=keys) as cluster:
        conf = Path(cluster.conf_path)
        text = conf.read_text().replace("PartitionName=debug", f"PartitionName=debug {low}")
        conf.write_text(f"{text}\nPartitionName=urgent Nodes=ALL PriorityTier=2\n")
        cluster.run("scontrol", "reconfigure")
        yield cluster


def state_of(cluster: LocalCluster, job_id: int) -> str:
    return cluster.run("squeue", "-h", "-t", "all", "-j", str(job_id), "-o", "%t").stdout.strip()


def wait_state(cluster: LocalCluster, job_id: int, state: str) -> None:
    cluster.wait_until(lambda: state_of(cluster, job_id) == state, f"job {job_id} is {state}")


def size_of(cluster: LocalCluster, name: str) -> int:
    path = Path(cluster.folder, name)
    return path.stat().st_size if path.exists() else 0


def test_a_job_is_requeued_for_an_urgent_one_and_runs_again() -> None:
    with cluster_with("", PreemptMode="REQUEUE", KillWait="5") as cluster:
        victim = cluster.submit("-n2", "--wrap", "echo $SLURM_RESTART_COUNT >> runs; exec sleep 300")
        cluster.wait_until(lambda: size_of(cluster, "runs"), "the victim runs")
        urgent = cluster.submit("-n2", "-p", "urgent", "--wrap", "true")
        wait_state(cluster, urgent, "CD")
        cluster.wait_until(lambda: Path(cluster.folder, "runs").read_text().endswith("1\n"), "the victim runs again")
        assert "Restarts=1" in cluster.run("scontrol", "show", "job", str(victim)).stdout
        cluster.run("scancel", str(victim))
        cluster.wait_jobs_ended()
        assert "agree" in cluster.run("sluice", "verify").stdout


def test_a_heterogeneous_job_makes_room_for_another_one_and_runs_again() -> None:
    """Each has one CPU for each of its components."""
    with cluster_with("", PreemptMode="REQUEUE", KillWait="5") as cluster:
        script = "echo $SLURM_RESTART_COUNT >> runs; exec sleep 300"
        victim = cluster.submit("-n1", ":", "-n1", "--wrap", script)
        cluster.wait_until(lambda: size_of(cluster, "runs"), "the victim runs")
        urgent = cluster.submit("-n1", "-p", "urgent", ":", "-n1", "-p", "urgent", "--wrap", "true")
        cluster.wait_until(lambda: Path(cluster.folder, "runs").read_text().endswith("1\n"), "the victim runs again")
        assert state_of(cluster, urgent).split() == ["CD", "CD"]
        assert state_of(cluster, victim).split() == ["R", "R"]
        cluster.run("scancel", str(victim))
        cluster.wait_jobs_ended()
        assert "agree" in cluster.run("sluice", "verify").stdout


def test_a_program_is_warned_before_its_job_is_cancelled() -> None:
    """It reads why and until when; the controller that is killed meanwhile forgets nothing of it."""
    with cluster_with("PreemptMode=CANCEL GraceTime=600", PreemptMode="REQUEUE") as cluster:
        victim = cluster.submit("-n2", input=HEEDFUL)
        cluster.wait_until(lambda: Path(cluster.folder, "started").exists(), "the program runs")
        urgent = cluster.submit("-n2", "-p", "urgent", "--wrap", "true")
        wait_state(cluster, urgent, "CD")

        notice = json.loads(Path(cluster.folder, "notice").read_text())
        assert notice["reason"] == "preemption"
        assert 590 < notice["deadline_at"] - notice["sent_at"] < 610
        assert cluster.run("sacct", "-X", "-n", "-P", "-j", str(victim), "-o", "State").stdout == "PREEMPTED\n"
        assert state_of(cluster, victim) == "PR"


def test_a_program_that_does_not_heed_the_warning_is_killed_in_time() -> None:
    with cluster_with("PreemptMode=CANCEL GraceTime=1", PreemptMode="REQUEUE") as cluster:
        victim = cluster.submit("-n2", "--wrap", f"trap '' TERM; {COUNTING}")
        cluster.wait_until(lambda: size_of(cluster, "count"), "the program runs")
        urgent = cluster.submit("-n2", "-p", "urgent", "--wrap", "sleep 1")
        cluster.wait_until(lambda: "to be preempted" in explained(cluster, victim), "the victim is told")
        cluster.kill_controller()
        cluster.start_controller()
        wait_state(cluster, urgent, "CD")
        assert state_of(cluster, victim) == "PR"
        assert "agree" in cluster.run("sluice", "verify").stdout


def explained(cluster: LocalCluster, job_id: int) -> str:
    return cluster.run("sluice", "explain", str(job_id)).stdout


def test_a_suspended_job_stands_still_and_goes_on() -> None:
    with cluster_with("", PreemptMode="SUSPEND,GANG") as cluster:
        victim = cluster.submit("-n2", "--mem", "100", "--wrap", COUNTING)
        cluster.wait_until(lambda: size_of(cluster, "count"), "the program counts")
        urgent = cluster.submit(
            "-n2", "--mem", "100", "-p", "urgent", "--wrap", "touch on; while test -e on; do :; done"
        )
        cluster.wait_until(lambda: Path(cluster.folder, "on").exists(), "the urgent job runs")
        assert state_of(cluster, victim) == "S"
        assert f"was suspended for job {urgent}" in explained(cluster, victim)
        first = size_of(cluster, "count")
        cluster.run("squeue")
        assert size_of(cluster, "count") == first

        Path(cluster.folder, "on").unlink()
        wait_state(cluster, urgent, "CD")
        wait_state(cluster, victim, "R")
        cluster.wait_until(lambda: size_of(cluster, "count") > first, "the program counts on")
        cluster.run("scontrol", "suspend", str(victim))
        assert state_of(cluster, victim) == "S"
        cluster.run("scontrol", "resume", str(victim))
        assert state_of(cluster, victim) == "R"
        cluster.run("scancel", str(victim))
        cluster.wait_jobs_ended()
        assert "agree" in cluster.run("sluice", "verify").stdout
