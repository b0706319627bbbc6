"""The whole way of a job with the state in PostgreSQL, through a crash of the controller."""

from sluice.testing import LocalCluster
from tests.postgres import PostgresServer, postgres_server

__all__ = ["postgres_server"]


def test_jobs_live_on_in_postgresql_when_the_controller_is_killed(postgres_server: PostgresServer) -> None:
    """A running and a pending job survive; the journal and the tables agree afterwards."""
    url = postgres_server.create_database("system")
    with LocalCluster(nodes=1, cpus=2, settings={"SluiceDatabase": url}) as cluster:
        running = cluster.submit("-n2", "--wrap", "sleep 1; exit 5")
        waiting = cluster.submit("-n2", "--wrap", "true")
        cluster.wait_until(lambda: "R" in cluster.run("squeue", "-h", "-o", "%t", "-j", str(running)).stdout, "it runs")

        cluster.kill_controller()
        cluster.start_controller()

        cluster.wait_jobs_ended()
        rows = cluster.run("sacct", "-X", "-n", "-P", "-o", "JobID,State,ExitCode", "-j", f"{running},{waiting}").stdout
        assert rows.split() == [f"{running}|FAILED|5:0", f"{waiting}|COMPLETED|0:0"]
        assert cluster.run("sluice", "verify").returncode == 0
