"""sluice adopt: what it asks the agent, and how PAM's answers follow from what the agent says."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sluice.errors import RequestError, Unreachable
from sluice_cli.main import main
from sluice_cli.umbrella import adopt
from tests.cli.fake_controller import FakeController, Where

NOBODY = pwd.getpwnam("nobody")
NO_JOB = RequestError("user 65534 has no job with an extern step on node n1", "no_job")


class Ran(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> FakeController:
    fake = FakeController()
    monkeypatch.setattr("sluice_cli.client.find_endpoints", lambda: Where())
    monkeypatch.setattr(adopt, "connect_unix", lambda path: fake)
    fake.replies["AdoptProcess"] = {"job_id": 7, "node": "n1"}
    return fake


@pytest.fixture
def run_adopt(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def run(*arguments: str) -> Ran:
        monkeypatch.setattr("sys.argv", ["sluice", "adopt", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, *capfd.readouterr())

    return run


def test_a_process_is_its_owners(agent: FakeController, run_adopt: Callable[..., Ran]) -> None:
    ran = run_adopt(str(os.getpid()))

    assert ran.out == f"process {os.getpid()} adopted by job 7 on node n1\n"
    assert agent.asked("AdoptProcess") == {"pid": os.getpid(), "uid": os.geteuid(), "job_id": None}


def test_user_and_job_can_be_named(agent: FakeController, run_adopt: Callable[..., Ran]) -> None:
    run_adopt("--user", "nobody", "--job", "7", "123")

    assert agent.asked("AdoptProcess") == {"pid": 123, "uid": NOBODY.pw_uid, "job_id": 7}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param((), "Missing argument 'PID'", id="no process"),
        pytest.param(("--pam", "--action-no-jobs", "perhaps"), "perhaps", id="no such answer"),
    ],
)
def test_wrong_usage_exits_2(
    agent: FakeController, run_adopt: Callable[..., Ran], arguments: tuple[str, ...], told: str
) -> None:
    ran = run_adopt(*arguments)

    assert ran.status == 2
    assert told in ran.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(("4000000",), "there is no process 4000000", id="process"),
        pytest.param(("--user", "no such", "1"), "user 'no such' is not known on this host", id="user"),
    ],
)
def test_what_is_not_there_is_told(
    agent: FakeController, run_adopt: Callable[..., Ran], arguments: tuple[str, ...], told: str
) -> None:
    ran = run_adopt(*arguments)

    assert ran.status == 1
    assert told in ran.err


def test_a_host_of_several_nodes_tells_their_names(
    dead_cluster: Path, run_adopt: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dead_cluster / "sluice.conf"
    config.write_text(config.read_text().replace("agent.sock", "agent-%n.sock"))
    for name in ("n2", "n1"):
        (dead_cluster / f"agent-{name}.sock").touch()

    ran = run_adopt(str(os.getpid()))

    host = os.uname().nodename.partition(".")[0]
    assert (ran.status, ran.err) == (
        1,
        f"sluice: error: {dead_cluster}/agent-{host}.sock: No such file or directory; "
        "this host has the agents of n1, n2: name one with --nodename\n",
    )


def test_pam_has_the_process_adopted_that_runs_it(
    agent: FakeController, run_adopt: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAM_USER", "nobody")

    ran = run_adopt("--pam")

    assert (ran.status, ran.out) == (0, "")
    assert agent.asked("AdoptProcess") == {"pid": os.getppid(), "uid": NOBODY.pw_uid, "job_id": None}


@pytest.mark.parametrize(
    ("reply", "user", "arguments", "status"),
    [
        pytest.param(NO_JOB, "nobody", (), 1, id="no job"),
        pytest.param(NO_JOB, "nobody", ("--action-no-jobs=ignore",), 0, id="no job, and none is needed"),
        pytest.param(NO_JOB, "root", (), 0, id="root"),
        pytest.param(RequestError("busy", "not_adopted"), "nobody", (), 0, id="not adopted"),
        pytest.param(
            RequestError("busy", "not_adopted"), "nobody", ("--action-adopt-failure=deny",), 1, id="must be adopted"
        ),
        pytest.param(Unreachable("nobody there"), "nobody", (), 0, id="no agent"),
        pytest.param(
            Unreachable("nobody there"), "nobody", ("--action-generic-failure=deny",), 1, id="must have an agent"
        ),
        pytest.param({}, "no such", (), 0, id="unknown user"),
        pytest.param({}, "no such", ("--action-generic-failure=deny",), 1, id="unknown user is refused"),
    ],
)
def test_who_is_let_in(
    agent: FakeController,
    run_adopt: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    reply: Any,
    user: str,
    arguments: tuple[str, ...],
    status: int,
) -> None:
    agent.replies["AdoptProcess"] = reply
    monkeypatch.setenv("PAM_USER", user)

    ran = run_adopt("--pam", *arguments)

    assert ran.status == status
    assert ran.out.startswith("Access denied: ") is (status != 0)


def test_a_refused_user_reads_slurms_words(
    agent: FakeController, run_adopt: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.replies["AdoptProcess"] = NO_JOB
    monkeypatch.setenv("PAM_USER", "nobody")

    assert run_adopt("--pam").out == "Access denied: user nobody (uid=65534) has no active jobs on this node.\n"


def test_the_end_of_a_session_asks_for_nothing(
    agent: FakeController, run_adopt: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.replies["AdoptProcess"] = NO_JOB
    monkeypatch.setenv("PAM_USER", "nobody")
    monkeypatch.setenv("PAM_TYPE", "close_session")

    assert run_adopt("--pam") == (0, "", "")
