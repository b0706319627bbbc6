"""Explanations over real sockets: pending jobs, array tasks, ended jobs, and jobs that are not submitted."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from sluice.errors import RequestError
from sluice.model.explanation import Explanation
from sluice.model.reason import Reason
from sluice.wire.messages import ExplainJobs, Explanations, Submitted, TestedJob, TestJob
from tests.live_controller import LiveController, Peer, submission

Scene = Callable[[LiveController, Peer], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scene], None]:
    """Plays a scene with a controller and a user of its own; there is no agent, so nothing starts."""

    def run(scene: Scene) -> None:
        async def main() -> None:
            async with LiveController(tmp_path) as controller:
                await scene(controller, await controller.user(1000, "ann"))

        asyncio.run(main())

    return run


async def explain(user: Peer, *ids: str, is_brief: bool = True) -> tuple[Explanation, ...]:
    answer: Explanations = await user.ask("ExplainJobs", ExplainJobs(ids=ids, is_brief=is_brief), Explanations)
    return answer.jobs


def test_a_held_job_is_explained_with_its_nodes(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController, ann: Peer) -> None:
        await ann.ask("SubmitJob", submission(is_held=True), Submitted)
        (found,) = await explain(ann, "1", is_brief=False)

        assert [blocker.reason for blocker in found.blockers] == [Reason.JOB_HELD_USER, Reason.REQ_NODE_NOT_AVAIL]
        assert found.outlooks[0].steps[1].demand == "up"
        assert found.is_searched

    play(scene)


def test_tasks_of_a_waiting_array_are_named_as_asked(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController, ann: Peer) -> None:
        await ann.ask("SubmitJob", submission(array=((0, 9, 1),)), Submitted)
        found = await explain(ann, "1", "1_3", "1_[5-6]")

        assert [each.name for each in found] == ["1_[0-9]", "1_3", "1_[5-6]"]

    play(scene)


def test_unknown_jobs_and_too_many_of_them_are_refused(
    play: Callable[[Scene], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluicectld.rpc.explain.EXPLAINED_MAX", 1)

    async def scene(controller: LiveController, ann: Peer) -> None:
        for _ in range(2):
            await ann.ask("SubmitJob", submission(), Submitted)
        with pytest.raises(RequestError, match="job 9 is not known"):
            await explain(ann, "9")
        with pytest.raises(RequestError, match="more than 1 jobs"):
            await explain(ann, "1", "2")

    play(scene)


def test_a_job_is_explained_before_it_is_submitted(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController, ann: Peer) -> None:
        await controller.agent("n1")
        spec = submission().spec
        tested: TestedJob = await ann.ask("TestJob", TestJob(spec=spec, is_explained=True), TestedJob)

        assert tested.explanation is not None
        assert tested.start_at == tested.now_at
        assert (tested.explanation.place, tested.explanation.queue_length) == (1, 1)
        assert [blocker.reason for blocker in tested.explanation.blockers] == [Reason.NONE]

    play(scene)


def test_what_a_submission_accepts_is_accepted_before_it_although_no_start_is_in_sight(
    play: Callable[[Scene], None],
) -> None:
    async def scene(controller: LiveController, ann: Peer) -> None:
        await controller.agent("n1")
        request = submission(min_nodes=9)
        tested: TestedJob = await ann.ask("TestJob", TestJob(spec=request.spec, is_explained=True), TestedJob)
        submitted: Submitted = await ann.ask("SubmitJob", request, Submitted)

        assert tested.explanation is not None
        assert (tested.start_at, tested.warnings) == (0.0, submitted.warnings)
        assert [blocker.reason for blocker in tested.explanation.blockers] == [Reason.PARTITION_NODE_LIMIT]
        with pytest.raises(RequestError, match="9 nodes, partition"):
            await ann.ask("TestJob", TestJob(spec=request.spec), TestedJob)

    play(scene)
