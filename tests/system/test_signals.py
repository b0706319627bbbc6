"""Signals, notices, requeue and suspension as a job meets them, on a live cluster."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.testing import LocalCluster

_EXAMPLES = Path(__file__).parents[2] / "etc" / "examples"
#: Three processes that write down which signals they get: the shell, a child of it, and a step's task.
_LISTENERS = """#!/bin/bash
trap 'echo shell >> heard' USR1
bash -c 'trap "echo child >> heard" USR1; touch child.up; while :; do sleep 0.05; done' &
srun bash -c 'trap "echo task >> heard" USR1; touch task.up; while :; do sleep 0.05; done' &
touch shell.up
while :; do wait; done
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    settings = {"KillWait": "20", "RequeueExit": "70-72", "RequeueExitHold": "80", "MinJobAge": "300"}
    with LocalCluster(nodes=2, cpus=4, settings=settings) as running:
        yield running


@pytest.fixture
def work_dir(cluster: LocalCluster, tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    cluster.run("scancel", "--state=PENDING,RUNNING,SUSPENDED", "-u", "root", check=False)
    cluster.wait_jobs_ended()


def _states(cluster: LocalCluster, job_id: int) -> list[str]:
    """The states of all runs of a job, the oldest first."""
    done = cluster.run("sacct", "-n", "-P", "-D", "-X", "-j", str(job_id), "-o", "State")
    return done.stdout.split("\n")[:-1]


def _state(cluster: LocalCluster, job_id: int) -> str:
    return cluster.run("squeue", "-h", "-t", "all", "-j", str(job_id), "-o", "%T/%r").stdout.strip()


def _wait_for_file(cluster: LocalCluster, *paths: Path) -> None:
    cluster.wait_until(lambda: all(path.exists() for path in paths), f"{paths} are there")


@pytest.mark.parametrize(
    ("options", "heard"),
    [
        pytest.param(["-s", "USR1"], {"task"}, id="the steps by default"),
        pytest.param(["-s", "USR1", "-b"], {"shell"}, id="the batch shell alone"),
        pytest.param(["-s", "USR1", "-f"], {"shell", "child", "task"}, id="everything"),
    ],
)
def test_scancel_signals_whom_it_is_told_to(
    cluster: LocalCluster, work_dir: Path, options: list[str], heard: set[str]
) -> None:
    job_id = cluster.submit("-n2", input=_LISTENERS, cwd=work_dir)
    _wait_for_file(cluster, *(work_dir / f"{name}.up" for name in ("shell", "child", "task")))

    cluster.run("scancel", *options, str(job_id))

    log = work_dir / "heard"
    cluster.wait_until(lambda: log.exists() and set(log.read_text().split()) >= heard, f"{heard} heard it")
    cluster.run("scancel", str(job_id))
    cluster.wait_jobs_ended()
    assert set(log.read_text().split()) == heard


@pytest.mark.parametrize(
    ("option", "heard"),
    [
        pytest.param("--signal=USR1@58", {"task"}, id="the steps"),
        pytest.param("--signal=B:USR1@58", {"shell"}, id="the batch shell"),
    ],
)
def test_a_job_is_warned_before_its_limit(cluster: LocalCluster, work_dir: Path, option: str, heard: set[str]) -> None:
    job_id = cluster.submit("-n2", "-t1", option, input=_LISTENERS, cwd=work_dir)

    log = work_dir / "heard"
    cluster.wait_until(lambda: log.exists() and set(log.read_text().split()) >= heard, f"{heard} heard it")
    cluster.run("scancel", str(job_id))
    cluster.wait_jobs_ended()
    assert set(log.read_text().split()) == heard


def test_the_checkpoint_example_goes_on_where_it_was(cluster: LocalCluster, work_dir: Path) -> None:
    """Warned before its limit it saves and requeues itself; the last run counts to the end, in the same file."""
    for name in ("checkpoint.sh", "count.py"):
        shutil.copy(_EXAMPLES / name, work_dir)

    job_id = cluster.submit("-t1", "--signal=USR1@58", "checkpoint.sh", "450", cwd=work_dir)

    cluster.wait_jobs_ended()
    lines = (work_dir / f"checkpoint-{job_id}.out").read_text().splitlines()
    begun = [line.rpartition(" ")[2] for line in lines if line.startswith("run")]
    saved = [line.split()[1].rstrip(":") for line in lines if line.startswith("saved")]
    assert [line.split()[1] for line in lines if line.startswith("run")] == [str(run) for run in range(len(begun))]
    assert saved
    assert begun == ["0", *saved]
    assert all("time limit" in line for line in lines if line.startswith("saved"))
    assert "counted to 450" in lines
    assert _states(cluster, job_id) == ["REQUEUED"] * len(saved) + ["COMPLETED"]


def test_a_requeued_job_is_told_and_runs_again(cluster: LocalCluster, work_dir: Path) -> None:
    script = (
        "#!/bin/bash\n"
        "echo run ${SLURM_RESTART_COUNT:-0}\n"
        "[ ${SLURM_RESTART_COUNT:-0} = 1 ] && exit 0\n"
        "trap 'cat $SLUICE_NOTICE_FILE > notice; exit 1' TERM\n"
        "touch up; while :; do sleep 0.05; done\n"
    )
    job_id = cluster.submit("--requeue", "--open-mode=append", "-o", "out", input=script, cwd=work_dir)
    _wait_for_file(cluster, work_dir / "up")

    cluster.run("scontrol", "requeue", str(job_id))

    cluster.wait_jobs_ended()
    notice = json.loads((work_dir / "notice").read_text())
    assert (notice["reason"], notice["restart_count"], notice["signal"]) == ("requeue", 0, 15)
    assert [line for line in (work_dir / "out").read_text().splitlines() if line.startswith("run")] == [
        "run 0",
        "run 1",
    ]
    assert _states(cluster, job_id) == ["REQUEUED", "COMPLETED"]


def test_a_new_run_truncates_the_output_unless_told_otherwise(cluster: LocalCluster, work_dir: Path) -> None:
    script = "#!/bin/sh\necho run ${SLURM_RESTART_COUNT:-0}\nexit $((71 * (1 - ${SLURM_RESTART_COUNT:-0})))\n"

    cluster.submit("--open-mode=truncate", "-o", "out", input=script, cwd=work_dir)

    cluster.wait_jobs_ended()
    assert (work_dir / "out").read_text() == "run 1\n"


def test_an_exit_code_of_the_site_holds_the_job(cluster: LocalCluster, work_dir: Path) -> None:
    job_id = cluster.submit("--wrap", "exit 80", cwd=work_dir)

    cluster.wait_until(lambda: _state(cluster, job_id).startswith("SPECIAL_EXIT"), "the job is held")

    assert cluster.run("squeue", "-h", "-j", str(job_id), "-o", "%t").stdout.strip() == "SE"
    cluster.run("scontrol", "release", str(job_id))
    cluster.wait_until(lambda: _states(cluster, job_id)[:2] == ["REQUEUED", "REQUEUED"], "it ran again")


def test_requeuehold_keeps_the_job_back(cluster: LocalCluster, work_dir: Path) -> None:
    job_id = cluster.submit("--requeue", "--wrap", "touch up; sleep 300", cwd=work_dir)
    _wait_for_file(cluster, work_dir / "up")

    cluster.run("scontrol", "requeuehold", str(job_id))

    cluster.wait_until(lambda: _state(cluster, job_id) == "PENDING/JobHeldAdmin", "the job is held")


def test_a_suspended_job_stands_still_and_goes_on(cluster: LocalCluster, work_dir: Path) -> None:
    script = "#!/bin/bash\nwhile :; do echo tick >> ticks; sleep 0.05; [ -e stop ] && exit 0; done\n"
    job_id = cluster.submit(input=script, cwd=work_dir)
    ticks = work_dir / "ticks"
    _wait_for_file(cluster, ticks)

    cluster.run("scontrol", "suspend", str(job_id))

    cluster.wait_until(lambda: _state(cluster, job_id).startswith("SUSPENDED"), "it is suspended")
    seen: list[int] = []

    def is_still() -> bool:
        seen.append(len(ticks.read_text()))
        return len(seen) > 20 and len(set(seen[-20:])) == 1

    cluster.wait_until(is_still, "nothing is written any more")
    (work_dir / "stop").touch()
    cluster.run("scontrol", "resume", str(job_id))
    cluster.wait_jobs_ended()
    assert _states(cluster, job_id) == ["COMPLETED"]


def test_a_draining_node_tells_its_jobs(cluster: LocalCluster, work_dir: Path) -> None:
    """They go on, and know: no signal, no deadline, the administrator's words."""
    program = (
        "from sluice import job\n"
        "open('up', 'w').close()\n"
        "notice = job.wait_for_notice(60)\n"
        "print(notice.reason, notice.signal, notice.deadline_at, notice.text)\n"
    )
    (work_dir / "program.py").write_text(program)
    cluster.submit("-w", "n2", "-o", "out", "--wrap", "python3 program.py", cwd=work_dir)
    _wait_for_file(cluster, work_dir / "up")

    cluster.run("scontrol", "update", "NodeName=n2", "State=DRAIN", "Reason=new disk")

    cluster.wait_jobs_ended()
    cluster.run("scontrol", "update", "NodeName=n2", "State=RESUME")
    assert (work_dir / "out").read_text() == "drain None None new disk\n"


def test_a_program_knows_its_deadline_when_the_limit_is_changed_and_after_a_suspension(
    cluster: LocalCluster, work_dir: Path
) -> None:
    program = (
        "from sluice import job\n"
        "deadlines = [job.deadline()]\n"
        "for number in range(3):\n"
        "    open(f'up.{number}', 'w').close()\n"
        "    notice = job.wait_for_notice(60)\n"
        "    deadlines.append(job.deadline())\n"
        "    print(notice.reason, notice.text, notice.deadline_at, job.reason())\n"
        "print(round(deadlines[1] - deadlines[0]) // 10, deadlines[3] > deadlines[1])\n"
    )
    (work_dir / "program.py").write_text(program)
    job_id = str(cluster.submit("-t", "10", "-o", "out", "--wrap", "exec python3 program.py", cwd=work_dir))

    _wait_for_file(cluster, work_dir / "up.0")
    cluster.run("scontrol", "update", f"JobId={job_id}", "TimeLimit=20")
    _wait_for_file(cluster, work_dir / "up.1")
    cluster.run("scontrol", "suspend", job_id)
    cluster.wait_until(lambda: _state(cluster, int(job_id)).startswith("SUSPENDED"), "it stands still")
    cluster.run("scontrol", "resume", job_id)

    cluster.wait_jobs_ended()
    assert (work_dir / "out").read_text().splitlines() == [
        "new limit by root None None",
        "suspend by root None None",
        "resume by root None None",
        "60 True",
    ]


def test_a_program_learns_a_limit_that_was_changed_while_its_agent_was_away(
    cluster: LocalCluster, work_dir: Path
) -> None:
    program = (
        "import os\n"
        "from sluice import job\n"
        "first = job.deadline()\n"
        "open('up', 'w').close()\n"
        "notice = job.wait_for_notice(60)\n"
        "print(notice.reason, round(job.deadline() - first) // 10, flush=True)\n"
        "stream = job.notices()\n"
        "print(*(next(stream).reason for _ in range(2)))\n"
    )
    (work_dir / "program.py").write_text(program)
    job_id = str(cluster.submit("-w", "n1", "-t", "10", "-o", "out", "--wrap", "exec python3 program.py", cwd=work_dir))
    _wait_for_file(cluster, work_dir / "up")
    cluster.kill_agent("n1")
    cluster.run("scontrol", "update", f"JobId={job_id}", "TimeLimit=20")

    cluster.start_agent("n1")
    cluster.wait_until(lambda: (work_dir / "out").read_text() == "new limit 60\n", "the program is told")

    # What it knows is no news when the agent comes once more.
    cluster.kill_agent("n1")
    cluster.start_agent("n1")
    cluster.wait_ready()
    cluster.run("scontrol", "update", f"JobId={job_id}", "TimeLimit=30")
    cluster.wait_jobs_ended()
    assert (work_dir / "out").read_text() == "new limit 60\nnew limit new limit\n"


@pytest.mark.parametrize("options", [["-s", "KILL"], ["-f", "-s", "KILL"]], ids=["", "full"])
def test_a_kill_ends_at_once_what_does_not_heed_its_end(
    cluster: LocalCluster, work_dir: Path, options: list[str]
) -> None:
    """KillWait is 20 s; the second scancel does not wait for it."""
    job_id = cluster.submit("--wrap", "trap '' TERM; touch up; while :; do sleep 0.05; done", cwd=work_dir)
    _wait_for_file(cluster, work_dir / "up")
    cluster.run("scancel", str(job_id))
    assert cluster.run("squeue", "-h", "-j", str(job_id), "-o", "%T").stdout.strip() == "COMPLETING"

    cluster.run("scancel", *options, str(job_id))

    cluster.wait_until(lambda: _state(cluster, job_id) == "CANCELLED/None", "it is gone", limit_s=10)
