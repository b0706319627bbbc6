"""scontrol reconfigure on a live cluster: a good file applies under running jobs, a bad one changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.testing import LocalCluster


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2, cpus=2) as running:
        yield running


def test_a_new_partition_is_there_and_the_running_job_goes_on(cluster: LocalCluster) -> None:
    job_id = cluster.submit("--wrap", "while [ ! -e go ]; do sleep 0.05; done; exit 7")
    cluster.wait_until(lambda: cluster.run("squeue", "-h", "-t", "R").stdout, "the job runs")
    conf = Path(cluster.conf_path)
    conf.write_text(conf.read_text() + "PartitionName=short Nodes=n1 MaxTime=30 State=UP\n")

    cluster.run("scontrol", "reconfigure")

    assert "short" in cluster.run("sinfo", "-h", "-o", "%R").stdout.split()
    assert cluster.run("squeue", "-h", "-o", "%i %t").stdout.split() == [str(job_id), "R"]
    Path(cluster.folder, "go").touch()
    cluster.wait_jobs_ended()
    assert cluster.run("sacct", "-X", "-n", "-P", "-o", "ExitCode", "-j", str(job_id)).stdout.strip() == "7:0"


def test_a_bad_file_is_refused_line_by_line_and_the_last_version_stays(cluster: LocalCluster) -> None:
    conf = Path(cluster.conf_path)
    good = conf.read_text()
    line = len(good.splitlines()) + 1
    conf.write_text(good + "PartitionName=short Nods=n1\n")

    refused = cluster.run("scontrol", "reconfigure", check=False)

    assert refused.returncode == 1
    assert f"{conf}:{line}: Nods" in refused.stderr
    assert "Nodes" in refused.stderr
    assert cluster.run("sinfo", "-h", "-o", "%R").stdout.split() == ["debug"]
    cluster.submit("--wrap", "true")
    cluster.wait_jobs_ended()


def test_a_partition_that_scontrol_deleted_comes_back(cluster: LocalCluster) -> None:
    cluster.run("scontrol", "delete", "PartitionName=debug")

    first, second = cluster.run("scontrol", "reconfigure"), cluster.run("scontrol", "reconfigure")

    assert cluster.run("sinfo", "-h", "-o", "%R").stdout.split() == ["debug"]
    assert (first.stdout, first.stderr) == ("", "scontrol: partition debug: put back, the configuration has it\n")
    assert (second.stdout, second.stderr) == ("", "")
