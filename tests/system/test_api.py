"""The public Python client against a live cluster."""

from collections.abc import Iterator

import pytest

from sluice.api import Client
from sluice.errors import RequestError
from sluice.model.states import JobState
from sluice.testing import LocalCluster


@pytest.fixture
def client(local_cluster: LocalCluster) -> Iterator[Client]:
    with Client(local_cluster.conf_path) as connected:
        yield connected


def test_a_job_is_submitted_waited_for_and_read(client: Client, local_cluster: LocalCluster) -> None:
    job_id = client.submit(
        "#!/bin/sh\necho from $GREETING; exit 4\n",
        name="greet",
        work_dir=local_cluster.folder,
        environment={"GREETING": "python", "PATH": "/usr/bin:/bin"},
    )

    ended = client.wait(job_id, 60)

    assert (ended.state, ended.exit_code) == ("FAILED", 4)
    assert [tail.tail for tail in client.output(job_id)] == [b"from python\n"]
    assert client.job(job_id).spec.name == "greet"


def test_many_jobs_go_in_one_call_and_come_back_in_order(client: Client, local_cluster: LocalCluster) -> None:
    scripts = [f"#!/bin/sh\nexit {code}\n" for code in (0, 1, 2)]

    job_ids = client.submit_many(scripts, name="many", work_dir=local_cluster.folder, std_out="/dev/null")

    assert [client.wait(job_id, 60).exit_code for job_id in job_ids] == [0, 1, 2]
    assert [row.job.id for row in client.history(names=["many"])] == job_ids


def test_a_refusal_says_why_and_what_was_accepted(client: Client) -> None:
    with pytest.raises(RequestError, match="nowhere") as refusal:
        client.submit("#!/bin/sh\ntrue\n", partitions=("nowhere",))
    assert refusal.value.code == "invalid_partition"


def test_a_pending_job_is_cancelled(client: Client, local_cluster: LocalCluster) -> None:
    job_id = client.submit("#!/bin/sh\ntrue\n", is_held=True, work_dir=local_cluster.folder)

    assert [outcome.code for outcome in client.cancel(job_id)] == [""]
    assert client.job(job_id).state is JobState.CANCELLED
