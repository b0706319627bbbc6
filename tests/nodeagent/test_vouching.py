"""Which launches wait for the controller's word that their job still runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sluice.clock import VirtualClock
from sluice.errors import NotFound, RequestError, SluiceError, Unreachable
from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.job import Job
from sluice.model.states import Ending, JobState
from sluice.wire.messages import EndJob, NodeClean, Orders, StartedJob
from sluiced import vouching
from sluiced.jobs import table
from sluiced.jobs.engine import StepEngine
from sluiced.spool import JobKey
from sluiced.vouching import Vouching
from tests.nodeagent.conftest import CONFIG, NODE, make_job

STARTED_AT = 1000.0
YOUNG_AT = STARTED_AT + 1
KEY = JobKey(1, 0)
RUNNING = make_job(1, "/")


class Caller:
    """Both the connection and the responder of an srun."""

    is_open = True

    def __init__(self) -> None:
        self.refusal: RequestError | None = None
        self.has_begun = False

    def resume(self) -> None:
        pass

    def error(self, error: RequestError) -> None:
        self.refusal = error

    def begin(self) -> None:
        self.has_begun = True


class Agent:
    """An agent that has just started.  answers: the controller's, in order; the last one again and again."""

    def __init__(self, *answers: Job | SluiceError) -> None:
        self.clock = VirtualClock(STARTED_AT)
        self.engine = StepEngine(NODE, CONFIG, None, self.clock)
        self.is_managing: Callable[[JobKey], bool] = lambda key: False
        self.asked = 0
        self._answers = list(answers)

    def ask(self, name: str, body: object, on_done: Callable[[Any], None]) -> None:
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Job):
            on_done(msgspec.Raw(msgspec.msgpack.encode(StartedJob(job=answer))))
        else:
            on_done(answer)

    def launch(self, since_at: float) -> Caller:
        return asyncio.run(self._launch(since_at))

    async def _launch(self, since_at: float) -> Caller:
        caller: Any = Caller()
        manager: Any = self
        Vouching(NODE, lambda: self.engine, manager, self.ask).when_running(KEY, since_at, caller, caller, caller.begin)
        while not caller.has_begun and caller.refusal is None:
            await asyncio.sleep(0)
        return caller  # type: ignore[no-any-return]

    def end(self, job_id: int = 1) -> None:
        self.engine.on_orders(
            Orders(ends=(EndJob(node=NODE, epoch=1, job_id=job_id, attempt=0, ending=Ending.CANCEL, kill_wait_s=1.0),))
        )


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vouching, "_PAUSE_S", 0.0)


def test_a_launch_that_is_younger_than_the_agent_asks_nobody() -> None:
    agent = Agent(Unreachable("away"))

    assert agent.launch(YOUNG_AT).has_begun
    assert agent.asked == 0


def test_a_job_that_is_here_asks_nobody() -> None:
    agent = Agent(Unreachable("away"))
    agent.engine.on_recovered(KEY, {}, is_ended=False)

    assert agent.launch(STARTED_AT - 5).has_begun
    assert agent.asked == 0


def test_a_job_whose_steps_are_managed_here_asks_nobody() -> None:
    agent = Agent(Unreachable("away"))
    agent.is_managing = lambda key: key == KEY

    assert agent.launch(STARTED_AT - 5).has_begun
    assert agent.asked == 0


def test_an_older_launch_begins_when_the_controller_says_that_its_job_runs() -> None:
    agent = Agent(RUNNING)

    assert agent.launch(STARTED_AT - 5).has_begun
    assert agent.asked == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(msgspec.structs.replace(RUNNING, state=JobState.COMPLETED), id="ended"),
        pytest.param(msgspec.structs.replace(RUNNING, ending=Ending.CANCEL), id="being ended"),
        pytest.param(msgspec.structs.replace(RUNNING, attempt=1), id="runs again"),
        pytest.param(
            msgspec.structs.replace(
                RUNNING, allocation=Allocation(grants=(NodeGrant(node="n2", cpus="0", cpu_count=1),))
            ),
            id="runs elsewhere",
        ),
        pytest.param(NotFound("job 1 is not known", "invalid_job"), id="not known"),
    ],
)
def test_an_older_launch_is_refused_when_its_job_runs_here_no_more(answer: Job | SluiceError) -> None:
    refusal = Agent(answer).launch(STARTED_AT - 5).refusal
    assert refusal is not None
    assert refusal.code == "ended"


def test_a_controller_that_is_being_started_is_waited_for() -> None:
    agent = Agent(Unreachable("away"), RequestError("not accepted: starting", "unavailable"), RUNNING)

    assert agent.launch(STARTED_AT - 5).has_begun
    assert agent.asked == 3


def test_without_a_controller_an_older_launch_is_told_why_it_cannot_begin() -> None:
    refusal = Agent(Unreachable("away")).launch(STARTED_AT - 5).refusal
    assert refusal is not None
    assert refusal.code == "unavailable"
    assert "does not answer (away); run it again" in str(refusal)


def test_who_has_many_jobs_ended_does_not_make_the_agent_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was forgotten for room is asked of the controller from then on."""
    monkeypatch.setattr(table, "_FINISHED_MAX", 3)
    agent = Agent(msgspec.structs.replace(RUNNING, state=JobState.COMPLETED))
    agent.clock.advance_to(YOUNG_AT + 10)
    agent.end(1)
    assert agent.launch(YOUNG_AT).has_begun, "refused by admission, which remembers it"
    for job_id in (2, 3, 4):
        agent.end(job_id)

    assert agent.launch(YOUNG_AT).refusal is not None
    assert agent.asked == 1
    assert agent.engine.on_acknowledged(NodeClean(node=NODE, job_id=4, attempt=0))
