"""Reservations on a live cluster: made by scontrol, seen by sinfo, squeue and the job itself, kept over a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.testing import LocalCluster


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2, cpus=2) as running:
        yield running


def test_a_reservation_from_its_making_to_its_end(cluster: LocalCluster) -> None:
    user = cluster.run("id", "-un").stdout.strip()
    made = cluster.run("scontrol", "create", "reservation", f"user={user}", "starttime=now", "duration=60", "nodes=n1")
    assert made.stdout == f"Reservation created: {user}_1\n"
    name = f"{user}_1"
    assert cluster.run("sinfo", "-h", "-n", "n1", "-o", "%t %i").stdout.split() == ["resv", name]

    inside = cluster.submit("--reservation", name, "-t", "10", "--wrap", 'echo "$SLURM_JOB_RESERVATION" > inside')
    outside = cluster.submit("-w", "n1", "-t", "10", "--wrap", "true")
    cluster.wait_until(lambda: Path(cluster.folder, "inside").exists(), "the job inside has run")

    assert Path(cluster.folder, "inside").read_text() == f"{name}\n"
    assert cluster.run("sacct", "-X", "-n", "-P", "-o", "Reservation", "-j", str(inside)).stdout == f"{name}\n"
    waits = cluster.run("squeue", "-h", "-j", str(outside), "-o", "%r").stdout
    assert waits.startswith("ReqNodeNotAvail, May be reserved for other job")

    cluster.run("scontrol", "update", f"reservationname={name}", "flags+=maint")
    assert cluster.run("sinfo", "-h", "-n", "n1", "-o", "%t").stdout.split() == ["maint"]
    cluster.run("scontrol", "delete", f"reservationname={name}")
    cluster.wait_jobs_ended()
    assert cluster.run("scontrol", "show", "res").stdout == "No reservations in the system\n"
    assert "tables and journal agree" in cluster.run("sluice", "verify").stdout


def _state(cluster: LocalCluster, job_id: int) -> str:
    return cluster.run("squeue", "-h", "-t", "all", "-j", str(job_id), "-o", "%T").stdout.strip()


def test_borrowed_nodes_are_given_back_when_somebody_wants_them(cluster: LocalCluster, tmp_path: Path) -> None:
    keys = (
        "StartTime=now",
        "Duration=60",
        f"Users={cluster.run('id', '-un').stdout.strip()}",
        "Nodes=n1",
        "MaxStartDelay=5",
    )
    cluster.run("scontrol", "create", "reservation", "ReservationName=lent", *keys)
    script = "trap 'echo warned; exit 0' USR1; while :; do sleep 0.1; done"
    how = ("--exclusive", "-w", "n1", "-D", str(tmp_path))
    borrower = cluster.submit("-t", "6:00:00", "--signal=RB:USR1@5", "-o", "out", *how, "--wrap", script)
    cluster.wait_until(lambda: _state(cluster, borrower) == "RUNNING", "the nodes are borrowed")

    wanted = cluster.submit("-t", "10", "--reservation=lent", "-o", "/dev/null", *how, "--wrap", "true")

    cluster.wait_until(lambda: _state(cluster, wanted) == "COMPLETED", "the reservation's own job has run")
    assert (tmp_path / "out").read_text() == "warned\n"
    cluster.run("scontrol", "delete", "ReservationName=lent")
