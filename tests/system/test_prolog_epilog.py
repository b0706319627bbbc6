"""The site's programs around jobs on a live cluster: who runs them, in which order, and what their failure means."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.testing import LocalCluster

#: What each program does: it writes a line, then what the test has put beside it.
_PROGRAM = """#!/bin/sh
echo "$SLURM_SCRIPT_CONTEXT $SLURM_JOB_ID ${SLURMD_NODENAME:-controller} ${SLURM_JOB_EXIT_CODE2:--}" >> FOLDER/log
if [ -e FOLDER/$SLURM_SCRIPT_CONTEXT.sh ]; then . FOLDER/$SLURM_SCRIPT_CONTEXT.sh; fi
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site's programs."""
    folder = tmp_path_factory.mktemp("site")
    program = folder / "program"
    program.write_text(_PROGRAM.replace("FOLDER", str(folder)))
    program.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def cluster(site: Path) -> Iterator[LocalCluster]:
    keys = ("Prolog", "Epilog", "PrologSlurmctld", "EpilogSlurmctld")
    settings = dict.fromkeys(keys, str(site / "program")) | {"PrologFlags": "Alloc", "KillWait": "5"}
    for key in ("MailProg", "ResvProlog", "ResvEpilog", "SrunProlog", "SrunEpilog"):
        path = site / key
        path.write_text(f'#!/bin/sh\necho "{key} $SLURM_SCRIPT_CONTEXT ${{SLURM_JOB_ID:--}} $*" >> {site}/others\n')
        path.chmod(0o755)
        settings[key] = str(path)
    with LocalCluster(nodes=2, cpus=4, settings=settings) as running:
        yield running


@pytest.fixture
def log(cluster: LocalCluster, site: Path) -> Iterator[Path]:
    """The programs' log, empty at first; afterwards the nodes are in service again and nothing fails any more."""
    path = site / "log"
    path.unlink(missing_ok=True)
    yield path
    for extra in site.glob("*.sh"):
        extra.unlink()
    cluster.run("scancel", "-u", "root", "--state=PENDING,RUNNING", check=False)
    cluster.wait_jobs_ended()
    for node in ("n1", "n2"):
        cluster.run("scontrol", "update", f"NodeName={node}", "State=UNDRAIN", check=False)
    cluster.wait_idle()


def shown(cluster: LocalCluster, job_id: int, form: str) -> str:
    return cluster.run("squeue", "-h", "-j", str(job_id), "-t", "all", "-o", form).stdout.strip()


def reason_of(cluster: LocalCluster, node: str) -> str:
    done = cluster.run("sinfo", "-h", "-n", node, "-o", "%T %E")
    return done.stdout.strip()


def test_every_node_is_prepared_and_tidied_up(cluster: LocalCluster, log: Path, tmp_path: Path) -> None:
    """The controller first, then all nodes before the script; at the end all of them, with the exit code."""
    job_id = cluster.submit("-N2", "--wrap", f"echo script {'$SLURM_JOB_ID'} >> {log}; exit 3", cwd=tmp_path)

    cluster.wait_jobs_ended()

    def lines() -> list[str]:
        return log.read_text().splitlines()

    cluster.wait_until(lambda: len(lines()) == 7, "all programs have run")
    assert lines()[0] == f"prolog_slurmctld {job_id} controller -"
    assert f"prolog_slurmd {job_id} n1 -" in lines()[: lines().index(f"script {job_id}")]
    assert set(lines()) == {
        f"prolog_slurmctld {job_id} controller -",
        f"prolog_slurmd {job_id} n1 -",
        f"prolog_slurmd {job_id} n2 -",
        f"script {job_id}",
        f"epilog_slurmd {job_id} n1 3:0",
        f"epilog_slurmd {job_id} n2 3:0",
        f"epilog_slurmctld {job_id} controller 3:0",
    }


def test_a_job_whose_nodes_are_being_prepared_is_configuring(
    cluster: LocalCluster, log: Path, site: Path, tmp_path: Path
) -> None:
    (site / "prolog_slurmctld.sh").write_text(f"while ! [ -e {tmp_path}/go ]; do sleep 0.02; done\n")
    job_id = cluster.submit("--wrap", "true", cwd=tmp_path)

    cluster.wait_until(lambda: shown(cluster, job_id, "%t %T") == "CF CONFIGURING", "squeue says CF")

    (tmp_path / "go").touch()
    cluster.wait_jobs_ended()


def test_an_interactive_job_waits_for_its_nodes(cluster: LocalCluster, log: Path, site: Path, tmp_path: Path) -> None:
    """srun's task starts when the prologs of both nodes have ended."""
    (site / "prolog_slurmd.sh").write_text(f"sleep 0.2; echo $SLURMD_NODENAME >> {tmp_path}/ready\n")

    done = cluster.run("srun", "-N2", "cat", f"{tmp_path}/ready", cwd=tmp_path)

    assert sorted(done.stdout.split()) == ["n1", "n1", "n2", "n2"]


def test_a_failing_prolog_drains_the_node_with_its_words(
    cluster: LocalCluster, log: Path, site: Path, tmp_path: Path
) -> None:
    """The job is held in the queue, and runs when it is released and the cause is gone."""
    (site / "prolog_slurmd.sh").write_text("[ $SLURMD_NODENAME = n2 ] || return 0; echo /scratch is full; exit 9\n")

    job_id = cluster.submit("-N2", "--requeue", "--wrap", "until [ -e go ]; do sleep 0.05; done", cwd=tmp_path)

    cluster.wait_until(lambda: shown(cluster, job_id, "%T") == "PENDING", "the job is back")
    cluster.wait_until(lambda: reason_of(cluster, "n2").startswith("drained"), "n2 is drained")
    assert reason_of(cluster, "n2") == f"drained Prolog error: {site}/program: exit 9: /scratch is full"
    assert reason_of(cluster, "n1") == "idle none"
    assert "JobHeldAdmin" in cluster.run("scontrol", "show", "job", str(job_id)).stdout
    (site / "prolog_slurmd.sh").unlink()
    cluster.run("scontrol", "update", "NodeName=n2", "State=RESUME")
    (tmp_path / "go").touch()
    cluster.run("scontrol", "release", str(job_id))
    cluster.wait_jobs_ended()
    assert "COMPLETED" in cluster.run("sacct", "-n", "-X", "-j", str(job_id), "-o", "State").stdout


def test_a_failing_epilog_drains_the_node(cluster: LocalCluster, log: Path, site: Path, tmp_path: Path) -> None:
    (site / "epilog_slurmd.sh").write_text("echo cannot unmount; exit 2\n")

    job_id = cluster.submit("-w", "n1", "--wrap", "true", cwd=tmp_path)

    cluster.wait_jobs_ended()
    cluster.wait_until(lambda: reason_of(cluster, "n1").startswith("drained"), "n1 is drained")
    assert reason_of(cluster, "n1") == f"drained Epilog error: {site}/program: exit 2: cannot unmount"
    assert "COMPLETED" in cluster.run("sacct", "-n", "-X", "-j", str(job_id), "-o", "State").stdout


def test_a_failing_controllers_prolog_holds_the_job(
    cluster: LocalCluster, log: Path, site: Path, tmp_path: Path
) -> None:
    (site / "prolog_slurmctld.sh").write_text("echo no licence server; exit 1\n")

    job_id = cluster.submit("--requeue", "--wrap", "true", cwd=tmp_path)

    cluster.wait_until(lambda: shown(cluster, job_id, "%T %r") == "PENDING JobHeldAdmin", "the job is held")
    assert "no licence server" in cluster.log_of("controller")


def test_a_controller_killed_during_its_prolog_runs_it_again(
    cluster: LocalCluster, log: Path, site: Path, tmp_path: Path
) -> None:
    (site / "prolog_slurmctld.sh").write_text(f"while ! [ -e {tmp_path}/go ]; do sleep 0.02; done\n")
    job_id = cluster.submit("-o", str(tmp_path / "out"), "--wrap", "echo ran", cwd=tmp_path)
    cluster.wait_until(log.exists, "the prolog has begun")

    cluster.kill_controller()
    cluster.start_controller()
    (tmp_path / "go").touch()

    cluster.wait_jobs_ended()
    assert (tmp_path / "out").read_text() == "ran\n"
    assert log.read_text().count(f"prolog_slurmctld {job_id}") == 2


def test_the_controllers_epilog_holds_no_node_and_runs_again_after_a_kill(
    cluster: LocalCluster, log: Path, site: Path, tmp_path: Path
) -> None:
    wait = f"if [ $SLURM_JOB_NAME = held ]; then while ! [ -e {tmp_path}/go ]; do sleep 0.02; done; fi\n"
    (site / "epilog_slurmctld.sh").write_text(wait)
    held = cluster.submit("-J", "held", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", "exit 3", cwd=tmp_path)
    cluster.wait_until(lambda: log.exists() and f"epilog_slurmctld {held}" in log.read_text(), "its epilog runs")

    other = cluster.submit("-N2", "--exclusive", "-o", "/dev/null", "--wrap", "true", cwd=tmp_path)
    cluster.wait_until(lambda: shown(cluster, other, "%T") == "COMPLETED", "the nodes take another job")
    assert shown(cluster, held, "%T") == "COMPLETING"
    cluster.kill_controller()
    cluster.start_controller()
    (tmp_path / "go").touch()

    cluster.wait_until(lambda: shown(cluster, held, "%T") == "FAILED", "the epilog has ended")
    assert log.read_text().count(f"epilog_slurmctld {held} controller 3:0") == 2


@pytest.fixture
def others(site: Path) -> Path:
    """What the programs that are not around jobs have written, nothing at first."""
    path = site / "others"
    path.write_text("")
    return path


def test_mail_is_sent_by_the_sites_program(cluster: LocalCluster, log: Path, others: Path, tmp_path: Path) -> None:
    options = ("--mail-type=END,FAIL", "--mail-user=ann@example.org", "-J", "big")
    job_id = cluster.submit(*options, "--wrap", "exit 4", cwd=tmp_path)

    cluster.wait_until(others.read_text, "a mail is sent")

    subject = f"Slurm Job_id={job_id} Name=big Failed, Run time "
    assert others.read_text().startswith(f"MailProg mail {job_id} -s {subject}")
    assert others.read_text().endswith(", FAILED, ExitCode 4 ann@example.org\n")


def test_srun_runs_the_sites_programs_around_a_step(
    cluster: LocalCluster, log: Path, others: Path, tmp_path: Path
) -> None:
    cluster.run("srun", "true", cwd=tmp_path)
    assert [line.split()[:2] for line in others.read_text().splitlines()] == [
        ["SrunProlog", "prolog_srun"],
        ["SrunEpilog", "epilog_srun"],
    ]

    others.write_text("")
    cluster.run("srun", "--prolog=none", "--epilog=none", "true", cwd=tmp_path)
    assert others.read_text() == ""


def test_a_reservation_has_its_programs(cluster: LocalCluster, log: Path, others: Path) -> None:
    wish = ("ReservationName=r1", "StartTime=now", "Duration=1", "Nodes=n2", "Users=root")
    cluster.run("scontrol", "create", "reservation", *wish)
    cluster.wait_until(others.read_text, "it has begun")
    assert others.read_text() == "ResvProlog prolog_resv - r1\n"

    cluster.run("scontrol", "update", "ReservationName=r1", "EndTime=now+1")

    cluster.wait_until(lambda: "ResvEpilog epilog_resv - r1\n" in others.read_text(), "it has ended", 90)
