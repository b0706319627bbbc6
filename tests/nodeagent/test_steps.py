"""Steps that an srun launches: streams, terminals, signals, files, and who may."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.model.allocation import Allocation, GresGrant, NodeGrant
from sluice.model.base import BATCH_STEP
from sluice.model.job import Job
from sluice.model.request import StepSpec
from sluice.model.states import Ending
from sluice.model.step import Step, StepNode
from sluice.wire.messages import EndStep, TaskInput, TaskSignal, TellStep
from sluice.wire.step_credential import grant_launch, mint_step_credential
from tests.nodeagent.conftest import NODE, Cluster
from tests.nodeagent.fake_srun import Srun
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def test_every_task_has_its_streams_and_its_end(cluster: Cluster) -> None:
    srun = Srun(cluster, ["sh", "-c", "echo out $SLURM_PROCID; echo err >&2; exit $SLURM_PROCID"], ntasks=3).wait_done()

    assert [srun.output(task) for task in range(3)] == ["out 0\n", "out 1\n", "out 2\n"]
    assert srun.output(2, 2) == "err\n"
    assert [srun.exits[task].exit_code for task in range(3)] == [0, 1, 2]
    assert srun.started is not None
    assert len(srun.started.pids) == 3
    result = cluster.result(1, 0)
    assert (result.exit_code, result.is_node_clean) == (2, False)


def test_the_environment_names_job_step_and_task(cluster: Cluster) -> None:
    srun = Srun(cluster, ["env"], ntasks=2).wait_done()

    variables = dict(line.split("=", 1) for line in srun.output(1).splitlines())
    expected = {
        "SLURM_JOB_ID": "1",
        "SLURM_STEP_ID": "0",
        "SLURM_PROCID": "1",
        "SLURM_LOCALID": "1",
        "SLURM_NODEID": "0",
        "SLURM_GTIDS": "0,1",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_TASKS_PER_NODE": "2",
        "SLURMD_NODENAME": NODE,
        "SLURM_UMASK": "0022",
    }
    assert {name: variables.get(name) for name in expected} == expected
    assert srun.started is not None
    assert variables["SLURM_TASK_PID"] == str(dict(srun.started.pids)[1])


@pytest.mark.parametrize(
    ("std_in", "expected"),
    [
        pytest.param("all", ["all\n", "all\n"], id="to all"),
        pytest.param("1", ["", "all\n"], id="to one"),
        pytest.param("none", ["", ""], id="to none"),
    ],
)
def test_input_goes_where_it_is_wanted(cluster: Cluster, std_in: str, expected: list[str]) -> None:
    srun = Srun(cluster, ["cat"], ntasks=2, std_in=std_in).wait_started()

    srun.give(b"all\n")
    srun.give(is_end=True)

    srun.wait_done()
    assert [srun.output(0), srun.output(1)] == expected


def test_large_streams_arrive_whole_at_a_slow_reader(cluster: Cluster) -> None:
    size = 10 * 1024 * 1024
    srun = Srun(cluster, ["sh", "-c", f"head -c {size} /dev/zero | tr '\\0' x; echo end"]).wait_started()
    assert srun.started is not None
    pid = srun.started.pids[0][1]
    # Nothing is read: the task must come to a stop in a full pipe, its output bounded in memory.
    wait_until(lambda: _state(pid) in "SD")

    srun.wait_done()

    assert hashlib.sha256(srun.outputs[0, 1]).digest() == hashlib.sha256(b"x" * size + b"end\n").digest()
    tail = cluster.result(1, 0).tails[0]
    assert (len(tail.tail), tail.is_cut, tail.tail[-4:]) == (4096, True, b"end\n")


def test_large_input_arrives_whole(cluster: Cluster) -> None:
    data = bytes(range(256)) * 4096 * 3
    srun = Srun(cluster, ["sha256sum"]).wait_started()

    for start in range(0, len(data), 65536):
        srun.give(data[start : start + 65536])
    srun.give(is_end=True)

    assert srun.wait_done().output().split()[0] == hashlib.sha256(data).hexdigest()


def test_input_that_nobody_reads_does_no_harm(cluster: Cluster) -> None:
    srun = Srun(cluster, ["sh", "-c", "exec <&-; echo closed"]).wait_started()

    srun.give(b"x" * 100_000)

    assert srun.wait_done().output() == "closed\n"


def test_a_missing_program_and_one_that_is_not_executable(cluster: Cluster) -> None:
    missing = Srun(cluster, ["/no/such/program"]).wait_done()
    forbidden = Srun(cluster, ["/etc/passwd"], step_id=1).wait_done()
    folder = Srun(cluster, ["/etc"], step_id=2).wait_done()

    assert missing.output(0, 2) == "slurmstepd-n1: error: execve(): /no/such/program: No such file or directory\n"
    assert missing.exits[0].exit_code == 2
    assert forbidden.output(0, 2) == (
        "slurmstepd-n1: error: execve(): /etc/passwd: Permission denied"
        " (not executable: chmod +x it, or name its interpreter before it)\n"
    )
    assert forbidden.exits[0].exit_code == 13
    assert folder.output(0, 2) == (
        "slurmstepd-n1: error: execve(): /etc: Permission denied (a directory, expected a program)\n"
    )


def test_a_script_that_does_not_name_its_interpreter(cluster: Cluster) -> None:
    script = cluster.work / "script"
    script.write_text("echo hi\n")
    script.chmod(0o755)

    srun = Srun(cluster, [str(script)]).wait_done()

    assert srun.output(0, 2) == (
        f"slurmstepd-n1: error: execve(): {script}: Exec format error"
        " (no program of this machine; of a script the first line must begin with #!)\n"
    )


def test_signals_reach_the_tasks(cluster: Cluster) -> None:
    srun = Srun(cluster, ["sh", "-c", "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.1; done"])
    srun.wait(lambda: srun.output() == "ready\n")

    srun.signal(signal.SIGINT)

    assert srun.wait_done().output() == "ready\ncaught\n"
    assert srun.exits[0].exit_code == 3


def test_what_srun_sends_with_its_launch_reaches_the_step(cluster: Cluster) -> None:
    """Typed and interrupted while the step was being started."""
    fed = Srun(cluster, ["cat"], early=(TaskInput(data=b"early\n"), TaskInput(is_end=True)))
    ended = Srun(cluster, ["sleep", "300"], step_id=1, early=(TaskSignal(signal=signal.SIGKILL),))

    assert fed.wait_done().output() == "early\n"
    assert ended.wait_done().exits[0].exit_signal == signal.SIGKILL


def test_a_step_whose_srun_died_while_it_started_ends(cluster: Cluster) -> None:
    srun = Srun(cluster, ["sleep", "300"], early=(TaskSignal(signal=signal.SIGTERM),))

    srun.hang_up()

    result = cluster.result(1, 0)
    assert result.exit_signal == signal.SIGTERM or "srun went away" in result.reason_text


def test_an_early_interrupt_ends_the_task_like_a_late_one(cluster: Cluster) -> None:
    ended = Srun(cluster, ["sleep", "300"], early=(TaskSignal(signal=signal.SIGINT),)).wait_done()

    assert ended.exits[0].exit_signal == signal.SIGINT
    assert ended.output(0, 2) == ""


def test_a_terminal_for_the_first_task(cluster: Cluster) -> None:
    srun = Srun(cluster, ["sh"], is_pty=True, pty_size=(30, 100)).wait_started()

    srun.give(b"tty; stty size\n")
    srun.wait(lambda: "30 100" in srun.output())
    srun.resize(-1, 1 << 20)
    srun.resize(50, 120)
    srun.give(b"stty size\n")
    srun.wait(lambda: "50 120" in srun.output())
    srun.give(b"exit 4\n")

    assert "/dev/pts/" in srun.wait_done().output()
    assert srun.exits[0].exit_code == 4


def test_a_program_that_closes_its_terminal_first_is_not_hung_up_on(cluster: Cluster) -> None:
    srun = Srun(cluster, ["sh", "-c", "exec <&- >&- 2>&-; sleep 0.3; exit 3"], is_pty=True).wait_done()

    assert (srun.exits[0].exit_code, srun.exits[0].exit_signal) == (3, 0)


@pytest.mark.parametrize(
    ("waits_for_children", "expected"),
    [
        pytest.param(True, "task\nchild\n", id="waited for"),
        pytest.param(False, "task\n", id="ended with the last task"),
    ],
)
def test_what_a_task_leaves_behind(cluster: Cluster, waits_for_children: bool, expected: str) -> None:
    script = "setsid sh -c 'sleep 0.5; echo child' & echo task"

    srun = Srun(cluster, ["sh", "-c", script], waits_for_children=waits_for_children).wait_done()

    assert srun.output() == expected
    assert srun.exits[0].exit_code == 0


def test_output_files_one_a_task(cluster: Cluster) -> None:
    Srun(cluster, ["sh", "-c", "echo $SLURM_PROCID"], ntasks=2, std_out="o-%t-%s-%J").wait_done()

    assert [cluster.read("o-0-0-1.0"), cluster.read("o-1-0-1.0")] == ["0\n", "1\n"]


def test_an_output_file_that_cannot_be_written(cluster: Cluster) -> None:
    srun = Srun(cluster, ["true"], std_out="/nonexistent/%t").wait_done()

    assert srun.talk == [
        "slurmstepd-n1: error: output file '/nonexistent/0': the directory '/nonexistent' does not exist (ENOENT)"
    ]
    result = cluster.result(1, 0)
    assert (result.reason, result.exit_code) == ("OutputNotWritable", 1)


def test_a_step_whose_srun_is_gone_is_ended(cluster: Cluster) -> None:
    srun = Srun(cluster, ["sleep", "300"]).wait_started()

    srun.hang_up()

    assert cluster.result(1, 0).exit_signal == signal.SIGTERM


def test_a_message_is_told_by_srun_and_in_the_batch_scripts_errors(cluster: Cluster) -> None:
    job_id = cluster.submit("while ! test -e go; do sleep 0.05; done")
    srun = Srun(cluster, ["sleep", "300"]).wait_started()
    wait_until((cluster.work / "out.txt").exists)

    for step_id, text in ((BATCH_STEP, "hello batch"), (0, "hello step")):
        order = TellStep(node=NODE, epoch=1, job_id=job_id, attempt=0, step_id=step_id, text=text)
        cluster.controller.order(talks=(order,))

    srun.wait(lambda: srun.talk == ["srun: hello step"])
    wait_until(lambda: cluster.read() == "slurmstepd-n1: error: hello batch\n")


def test_a_cancelled_step_is_told(cluster: Cluster) -> None:
    srun = Srun(cluster, ["sleep", "300"]).wait_started()

    order = EndStep(node=NODE, epoch=1, job_id=1, attempt=0, step_id=0, kill_wait_s=5.0, ending=Ending.TIME_LIMIT)
    cluster.controller.order(step_ends=(order,))

    srun.wait_done()
    assert srun.talk[0].startswith("slurmstepd-n1: error: *** STEP 1.0 ON n1 CANCELLED AT ")
    assert srun.talk[0].endswith(" DUE TO TIME LIMIT ***")
    assert srun.exits[0].exit_signal == signal.SIGTERM
    assert srun.done is not None
    assert srun.done.ending is Ending.TIME_LIMIT


def test_the_end_of_the_batch_script_ends_the_steps(cluster: Cluster) -> None:
    job_id = cluster.submit("while ! test -e go; do sleep 0.05; done")
    srun = Srun(cluster, ["sleep", "300"]).wait_started()

    (cluster.work / "go").touch()

    assert srun.wait_done().exits[0].exit_signal == signal.SIGTERM
    wait_until(lambda: cluster.controller.is_clean(job_id))


def test_a_step_is_launched_once(cluster: Cluster) -> None:
    first = Srun(cluster, ["sleep", "300"]).wait_started()

    second = Srun(cluster, ["true"]).wait_done()

    assert second.error is not None
    assert second.error.code == "launched"
    first.hang_up()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"step_id": 5}, "is for step 1.5, not 1.0", id="of another step"),
        pytest.param({"nodes": ("n2",)}, "has no part on node n1", id="for other nodes"),
        pytest.param({"records": "0" * 64}, "not those that were granted", id="of other records"),
        pytest.param({"records": ""}, "launches nothing", id="for a listener"),
    ],
)
def test_a_foreign_credential_starts_nothing(cluster: Cluster, changes: dict[str, Any], says: str) -> None:
    step = Step(job_id=1, step_id=0, spec=StepSpec(name="x"), nodes=(StepNode(node=NODE, ntasks=1),))
    grant = replace(grant_launch(cluster.new_job(), step), **changes)
    credential = mint_step_credential(cluster.key, grant, "here", time.time())

    srun = Srun(cluster, ["true"], credential=credential).wait_done()

    assert srun.error is not None
    assert says in srun.error.message


def test_a_launch_without_a_program_is_refused(cluster: Cluster) -> None:
    srun = Srun(cluster, []).wait_done()

    assert srun.error is not None
    assert srun.error.message.endswith("names no program")


def test_a_launch_that_the_kernel_does_not_take_is_refused(cluster: Cluster) -> None:
    srun = Srun(cluster, ["true"], umask=10**12).wait_done()

    assert srun.error is not None
    assert srun.error.message == "umask 1000000000000 is not within 0 and 4095"


@pytest.mark.parametrize(
    ("text", "says"),
    [("1 true", "--multi-prog: no program for rank 0"), ("x-y true", "--multi-prog: 'x-y' is not a list of numbers")],
)
def test_a_rank_without_a_program_fails_its_step(cluster: Cluster, text: str, says: str) -> None:
    """srun checks the configuration; who speaks to the agent himself gets a sentence, too."""
    srun = Srun(cluster, ["conf"], multi_prog=text).wait_done()

    assert [line for line in srun.talk if says in line]
    assert says in cluster.result(1, 0).reason_text


def _with_all_of_the_node(job: Job, step: Step) -> tuple[Job, Step]:
    grant = NodeGrant(node=NODE, cpus="0-3", cpu_count=4, memory_mib=7777)
    return replace(job, allocation=Allocation(grants=(grant,), tasks_per_node=(1,))), step


def _with_all_of_the_node_for_the_step(job: Job, step: Step) -> tuple[Job, Step]:
    part = replace(step.nodes[0], cpus="0-3", cpu_count=4, memory_mib=7777)
    return job, replace(step, nodes=(part,))


def _with_gpus(job: Job, step: Step) -> tuple[Job, Step]:
    part = replace(step.nodes[0], gres=(GresGrant(name="gpu", units="0-7", count=8),))
    return job, replace(step, nodes=(part,))


def _of_another_user(job: Job, step: Step) -> tuple[Job, Step]:
    return replace(job, spec=replace(job.spec, uid=job.spec.uid + 1)), step


@pytest.mark.parametrize(
    "forge", [_with_all_of_the_node, _with_all_of_the_node_for_the_step, _with_gpus, _of_another_user]
)
def test_an_srun_that_says_it_was_granted_something_else_starts_nothing(
    cluster: Cluster, forge: Callable[[Job, Step], tuple[Job, Step]]
) -> None:
    srun = Srun(cluster, ["true"], forge=forge).wait_done()

    assert srun.error is not None
    assert srun.error.code == "not_permitted"
    assert "step 1.0: the records of job and step are not those that were granted" in srun.error.message
    assert not list(cluster.spool.glob("jobs/*"))
    # As it was granted it still may.
    assert Srun(cluster, ["true"]).wait_done().exits[0].exit_code == 0


@pytest.mark.parametrize("forge", [lambda text: text[:-2] + "AA", lambda text: "sl1.x.y.z", lambda text: "x"])
def test_a_forged_credential_starts_nothing(cluster: Cluster, forge: object) -> None:
    step = Step(job_id=1, step_id=0, spec=StepSpec(name="x"), nodes=(StepNode(node=NODE, ntasks=1),))
    credential = mint_step_credential(cluster.key, grant_launch(cluster.new_job(), step), "here", time.time())

    srun = Srun(cluster, ["true"], credential=forge(credential)).wait_done()  # type: ignore[operator]

    assert srun.error is not None
    assert srun.error.code == "authentication_failed"


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]
