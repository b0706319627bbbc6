"""Requests over real sockets: who may, what is said against nonsense, tokens, waiting, and what agents get."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.errors import NotPermitted, RequestError
from sluice.model.base import BATCH_STEP
from sluice.model.node import Inventory
from sluice.model.request import Dependency, DependencyTerm, StepSpec
from sluice.steps import grant
from sluice.steps.layout import lay_out
from sluice.wire import messages
from sluice.wire.messages import Done, Submitted
from tests.live_controller import DEADLINE_S, LiveController, Peer, submission

_SPEC = {"name": "x", "uid": 1, "gid": 1, "user": "u"}
Scene = Callable[[LiveController], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scene], None]:
    """Plays a scene with a controller of its own; at the end journal and tables must agree."""

    def run(scene: Scene) -> None:
        async def main() -> None:
            async with LiveController(tmp_path) as controller:
                await scene(controller)
                assert controller.differences() == []

        asyncio.run(main())

    return run


async def wait_until(condition: Callable[[], object]) -> None:
    """Return once *condition* holds; whatever makes it true happens in this loop."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


async def launched(agent: Peer) -> messages.LaunchJob:
    """Return the first launch that the agent gets."""
    found: list[messages.LaunchJob] = []

    def has_one() -> bool:
        found.extend(launch for orders in agent.orders() for launch in orders.launches)
        return bool(found)

    await wait_until(has_one)
    return found[0]


def result(launch: messages.LaunchJob, **fields: Any) -> messages.Report:
    job = launch.job
    ended = messages.StepResult(
        node=launch.node, job_id=job.id, attempt=job.attempt, step_id=BATCH_STEP, is_node_clean=True, **fields
    )
    return messages.Report(results=(ended,))


def test_a_job_from_submission_to_the_accounting(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        agent = await controller.agent("n1")
        ann = await controller.user(1000, "ann")
        submitted = await ann.ask("SubmitJob", submission(), Submitted)
        launch = await launched(agent)
        assert (launch.job.id, launch.job.spec.user, bytes(launch.script)) == (
            submitted.job_id,
            "ann",
            b"#!/bin/sh\ntrue\n",
        )
        waiting = asyncio.create_task(ann.ask("WaitJobEnd", messages.WaitJobEnd(job_id=1), messages.EndedJob))
        await agent.ask("Report", result(launch, exit_code=3), Done)

        assert await waiting == messages.EndedJob(state="FAILED", exit_code=3)
        rows = await ann.ask("QueryAccounting", messages.QueryAccounting(all_users=True), messages.AccountingRows)
        # The rows come in parts before the last, empty one.
        assert rows.rows == ()

    play(scene)


def test_a_repeated_token_returns_the_same_job_over_a_restart(tmp_path: Path) -> None:
    async def submit() -> int:
        async with LiveController(tmp_path) as controller:
            ann = await controller.user(1000, "ann")
            replies = [await ann.ask("SubmitJob", submission("token"), Submitted) for _ in range(2)]
            assert replies[0] == replies[1]
            return replies[0].job_id

    assert asyncio.run(submit()) == asyncio.run(submit()) == 1


def test_a_token_counts_for_its_own_user(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        ann, bob = await controller.user(1000, "ann"), await controller.user(1001, "bob")
        first = await ann.ask("SubmitJob", submission("token"), Submitted)
        second = await bob.ask("SubmitJob", submission("token"), Submitted)

        assert first.job_id != second.job_id

    play(scene)


def test_nobody_submits_as_another(play: Callable[[Scene], None]) -> None:
    """What the client says of itself does not count."""

    async def scene(controller: LiveController) -> None:
        ann = await controller.user(1000, "ann")
        await ann.ask("SubmitJob", submission(uid=1001, gid=1001, user="bob"), Submitted)
        wait = messages.WaitJobStart(job_id=1)
        await controller.agent("n1")
        started = await ann.ask("WaitJobStart", wait, messages.StartedJob)

        assert (started.job.spec.uid, started.job.spec.user) == (1000, "ann")

    play(scene)


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("ChangeJobs", messages.ChangeJobs(action="hold", ids=("1",))),
        ("ChangeJobs", messages.ChangeJobs(action="requeue", ids=("1",))),
        ("ChangeJobs", messages.ChangeJobs(action="suspend", ids=("1",))),
        ("NotifyJob", messages.NotifyJob(id="1", text="hi")),
        ("UpdateJobs", messages.UpdateJobs(ids=("1",), changes=(("Comment", "x"),))),
        ("CreateStep", messages.CreateStep(token="t", job_id=1, spec=StepSpec(name="s"))),
        ("FinishStep", messages.FinishStep(job_id=1, step_id=0)),
        ("FinishAllocation", messages.FinishAllocation(job_id=1)),
        ("QueryScript", messages.QueryScript(job_id=1)),
        ("QueryOutput", messages.QueryOutput(job_id=1)),
        ("UpdateNodes", messages.UpdateNodes(nodes="n1", changes=(("State", "DOWN"), ("Reason", "x")))),
        ("UpdatePartition", messages.UpdatePartition(name="batch", changes=(("State", "DOWN"),))),
        ("Reconfigure", messages.Reconfigure()),
        ("Shutdown", messages.Shutdown()),
        ("Register", messages.Register(nodes=())),
        ("Report", messages.Report()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_user_is_refused(play: Callable[[Scene], None], name: str, request_: messages.Message) -> None:
    async def scene(controller: LiveController) -> None:
        ann, bob = await controller.user(1000, "ann"), await controller.user(1001, "bob")
        await ann.ask("SubmitJob", submission(), Submitted)

        with pytest.raises(NotPermitted):
            await bob.ask(name, request_, Done)

    play(scene)


def test_another_users_cancel_is_refused_and_the_owners_is_not(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        ann, bob = await controller.user(1000, "ann"), await controller.user(1001, "bob")
        await ann.ask("SubmitJob", submission(), Submitted)
        kill = messages.KillJobs(ids=("1",))
        codes = [(await peer.ask("KillJobs", kill, messages.KilledJobs)).outcomes[0].code for peer in (bob, ann)]

        assert codes == ["not_permitted", ""]

    play(scene)


def test_an_agent_does_not_register_another_node(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        agent = await controller.agent("n1")
        inventory = Inventory(cpus=4, memory_mib=4000)
        report = messages.NodeReport(node="n2", inventory=inventory)

        with pytest.raises(NotPermitted, match="n1"):
            await agent.ask("Register", messages.Register(nodes=(report,)), messages.Registered)

    play(scene)


def test_a_refused_registration_takes_no_nodes_over(play: Callable[[Scene], None]) -> None:
    """A foreign agent names n1 as its own: orders go on to the real one."""

    async def scene(controller: LiveController) -> None:
        agent, intruder = await controller.agent("n1"), await controller.agent("n2")
        inventory = Inventory(cpus=4, memory_mib=4000)
        report = messages.NodeReport(node="n1", inventory=inventory)
        with pytest.raises(NotPermitted):
            await intruder.ask("Register", messages.Register(nodes=(report,)), messages.Registered)
        ann = await controller.user(1000, "ann")
        await ann.ask("SubmitJob", submission(required_nodes=("n1",)), Submitted)

        assert (await launched(agent)).node == "n1"

    play(scene)


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("SubmitJob", {"token": "t", "spec": _SPEC | {"min_nodes": "many"}}, "min_nodes"),
        ("SubmitJob", {"token": "t"}, "spec"),
        ("KillJobs", {"ids": 7}, "ids"),
        ("ChangeJobs", {"ids": ["1"]}, "action"),
        ("UpdateNodes", {"nodes": ["n1"]}, "nodes"),
        ("CreateStep", {"token": "t", "job_id": "one", "spec": {"name": "s"}}, "job_id"),
    ],
)
def test_garbage_is_refused_with_the_fields_name(
    play: Callable[[Scene], None], name: str, body: dict[str, Any], field: str
) -> None:
    async def scene(controller: LiveController) -> None:
        ann = await controller.user(1000, "ann")

        with pytest.raises(RequestError, match=field) as refusal:
            await ann.ask(name, body, Done)

        assert refusal.value.code == "invalid_request"
        assert await ann.ask("Ping", messages.Ping(), messages.Pong)

    play(scene)


def test_an_unknown_request_is_told(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        ann = await controller.user(1000, "ann")

        with pytest.raises(RequestError, match="Frobnicate"):
            await ann.ask("Frobnicate", {}, Done)

    play(scene)


def test_a_script_is_shown_to_its_owner(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        ann = await controller.user(1000, "ann")
        await ann.ask("SubmitJob", submission(), Submitted)
        shown = await ann.ask("QueryScript", messages.QueryScript(job_id=1), messages.ScriptText)

        assert shown.script == b"#!/bin/sh\ntrue\n"

    play(scene)


def test_a_job_that_left_memory_is_explained_and_its_output_kept(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        ann, agent = await controller.user(1000, "ann"), await controller.agent("n1")
        job_id = (await ann.ask("SubmitJob", submission(), Submitted)).job_id
        tail = messages.StreamTail(step_id=BATCH_STEP, node="n1", stream="stdout", path="/tmp/x", tail=b"the end")
        await agent.ask("Report", result(await launched(agent), exit_code=3, tails=(tail,)), Done)
        controller.forget(job_id)

        question = messages.ExplainJobs(ids=(str(job_id),))
        (explained,) = (await ann.ask("ExplainJobs", question, messages.Explanations)).jobs
        output = await ann.ask("QueryOutput", messages.QueryOutput(job_id=job_id), messages.OutputView)

        assert (explained.job.state, explained.job.reason, explained.nodes) == ("FAILED", "NonZeroExitCode", "n1")
        assert explained.job.ended_at is not None
        assert output.tails == (tail,)
        with pytest.raises(RequestError, match="job 99 is not known"):
            await ann.ask("ExplainJobs", messages.ExplainJobs(ids=("99",)), messages.Explanations)

    play(scene)


def test_a_batch_job_needs_a_script(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        ann = await controller.user(1000, "ann")
        empty = messages.SubmitJob(token="", spec=submission().spec)

        with pytest.raises(RequestError, match="script"):
            await ann.ask("SubmitJob", empty, Submitted)

    play(scene)


def test_an_environment_that_no_process_can_have_is_refused(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        ann = await controller.user(1000, "ann")
        with pytest.raises(RequestError, match=r"b'A=b\\x00c' is in the environment, possible is text without NUL"):
            await ann.ask("SubmitJob", replace(submission(), environment=(b"A=b\0c",)), Submitted)

    play(scene)


def test_of_several_submissions_each_is_answered(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        ann = await controller.user(1000, "ann")
        several = messages.SubmitJobs(submissions=(submission(), submission(partitions=("nosuch",)), submission()))
        reply = await ann.ask("SubmitJobs", several, messages.SubmittedJobs)

        assert [outcome.code for outcome in reply.outcomes] == ["", "invalid_partition", ""]

    play(scene)


def test_a_job_that_left_memory_is_judged_by_the_accounting(play: Callable[[Scene], None]) -> None:
    """It failed and was forgotten; afterok on it can never hold, afterany does; one that never was counts as met."""

    async def scene(controller: LiveController) -> None:
        agent = await controller.agent("n1")
        ann = await controller.user(1000, "ann")
        await ann.ask("SubmitJob", submission(), Submitted)
        await agent.ask("Report", result(await launched(agent), exit_code=1), Done)
        controller.forget(1)
        for kind, other in (("afterok", 1), ("afterany", 1), ("afterok", 999_999)):
            dependency = Dependency(terms=(DependencyTerm(type=kind, job_id=other),))
            several = messages.SubmitJobs(submissions=(submission(dependency=dependency, is_held=True),))
            await ann.ask("SubmitJob", submission(dependency=dependency, is_held=True), Submitted)
            await ann.ask("SubmitJobs", several, messages.SubmittedJobs)
        reasons = [controller.job(job_id).reason.value for job_id in range(2, 8)]
        await ann.ask("SubmitJob", submission(is_held=True), Submitted)
        update = messages.UpdateJobs(ids=("8",), changes=(("Dependency", "afterok:1"),))
        await ann.ask("UpdateJobs", update, Done)

        assert reasons == ["DependencyNeverSatisfied"] * 2 + ["None"] * 4
        assert controller.job(8).reason.value == "DependencyNeverSatisfied"

    play(scene)


def test_a_dependency_is_judged_before_the_job_is_submitted(play: Callable[[Scene], None]) -> None:
    """As it will be: of a job that has failed, of one that runs, and of one that never was."""
    gates = {
        ("afterok", 1): ("its dependency can not be fulfilled any more: afterok:1 (job 1 has ended: FAILED)",),
        ("afterany", 1): (),
        ("afternotok", 1): (),
        ("afterok", 2): ("waits for afterok:2 (job 2 runs, has no time limit)",),
        ("after", 2): (),
        ("afterok", 999_999): (),
        ("singleton", 0): ("waits for singleton",),
    }

    async def scene(controller: LiveController) -> None:
        agent = await controller.agent("n1")
        ann = await controller.user(1000, "ann")
        await ann.ask("SubmitJob", submission(), Submitted)
        await agent.ask("Report", result(await launched(agent), exit_code=1), Done)
        await ann.ask("SubmitJob", submission(), Submitted)
        await wait_until(lambda: controller.job(2).state.value == "RUNNING")
        told, warnings = {}, {}
        for kind, other in gates:
            dependency = Dependency(terms=(DependencyTerm(type=kind, job_id=other),))
            request = messages.TestJob(spec=submission(dependency=dependency).spec, is_explained=True)
            tested = await ann.ask("TestJob", request, messages.TestedJob)
            told[kind, other], warnings[kind, other] = tested.gates, tested.warnings

        assert told == gates
        assert [key for key, lines in warnings.items() if lines] == [("afterok", 999_999)]

    play(scene)


def test_waiting_for_a_start_ends_when_the_job_is_cancelled(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        ann = await controller.user(1000, "ann")
        await ann.ask("SubmitJob", submission(), Submitted)
        waiting = asyncio.create_task(ann.ask("WaitJobStart", messages.WaitJobStart(job_id=1), messages.StartedJob))
        await ann.ask("KillJobs", messages.KillJobs(ids=("1",)), messages.KilledJobs)

        with pytest.raises(RequestError) as refusal:
            await waiting
        assert refusal.value.code == "revoked"

    play(scene)


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["in time", "cancelled"])
def test_who_waits_at_most_so_long_is_told_why_not(play: Callable[[Scene], None], is_cancelled: bool) -> None:
    async def scene(controller: LiveController) -> None:
        ann = await controller.user(1000, "ann")
        job_id = (await ann.ask("SubmitJob", submission(is_batch=False, immediate_s=1), Submitted)).job_id
        waits = messages.WaitJobStart(job_id=job_id)
        asked = asyncio.create_task(ann.ask("WaitJobStart", waits, messages.StartedJob))
        if is_cancelled:
            await ann.ask("KillJobs", messages.KillJobs(ids=(str(job_id),)), messages.KilledJobs)

        with pytest.raises(RequestError) as refusal:
            await asked

        assert refusal.value.code == ("revoked" if is_cancelled else "immediate")

    play(scene)


def test_a_message_reaches_the_waiting_owner_alone(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        ann, bob = await controller.user(1000, "ann"), await controller.user(1001, "bob")
        job_id = (await ann.ask("SubmitJob", submission(is_batch=False, is_held=True), Submitted)).job_id
        waits = messages.WaitJobStart(job_id=job_id, hears_messages=True)
        asked = [asyncio.create_task(peer.ask("WaitJobStart", waits, messages.StartedJob)) for peer in (ann, bob)]
        await wait_until(lambda: len(controller.core.waiting) == 2)

        await ann.ask("NotifyJob", messages.NotifyJob(id=str(job_id), text="fan"), Done)

        assert [name for name, _ in ann.notices] == ["UserMessage"]
        assert bob.notices == []
        for each in asked:
            each.cancel()

    play(scene)


def test_an_allocation_is_held_by_its_owners_connection_alone(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        ann, bob = await controller.user(1000, "ann"), await controller.user(1001, "bob")
        spec = submission(is_batch=False, is_held=True, origin="salloc")
        job_id = (await ann.ask("SubmitJob", spec, Submitted)).job_id
        clients = controller.core.clients
        assert clients.gone().keys() == {job_id}
        waits = messages.WaitJobStart(job_id=job_id, holds_allocation=True)

        asked = [asyncio.create_task(bob.ask("WaitJobStart", waits, messages.StartedJob))]
        await wait_until(lambda: len(controller.core.waiting) == 1)
        assert clients.gone().keys() == {job_id}
        asked.append(asyncio.create_task(ann.ask("WaitJobStart", waits, messages.StartedJob)))
        await wait_until(lambda: not clients.gone())
        ann.connection.close()
        await wait_until(lambda: clients.gone().keys() == {job_id})

        asked[0].cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    play(scene)


def test_a_step_waits_for_another_is_told_so_once_and_gets_its_turn(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        agent = await controller.agent("n1")
        ann = await controller.user(1000, "ann")
        await ann.ask("SubmitJob", submission(ntasks=2), Submitted)
        await launched(agent)
        create = messages.CreateStep(token="a", job_id=1, spec=StepSpec(name="first", ntasks=2))
        await ann.ask("CreateStep", create, messages.StepCreated)
        again = messages.CreateStep(token="b", job_id=1, spec=StepSpec(name="second", ntasks=1))
        waiting = asyncio.create_task(ann.ask("CreateStep", again, messages.StepCreated))
        await wait_until(lambda: ann.notices)
        assert [name for name, _ in ann.notices] == ["StepWaits"]

        ended = messages.StepResult(node="n1", job_id=1, attempt=0, step_id=0)
        await agent.ask("Report", messages.Report(results=(ended,)), Done)

        assert (await waiting).step.step_id == 1
        assert len(ann.notices) == 1

    play(scene)


def test_many_equal_steps_that_wait_are_looked_at_once_at_a_time(
    play: Callable[[Scene], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty wait for a job's two CPUs; each end of a step lets one in, without trying all of the others."""
    looked: list[int] = []
    monkeypatch.setattr(grant, "lay_out", lambda *words: looked.append(1) or lay_out(*words))

    async def scene(controller: LiveController) -> None:
        agent = await controller.agent("n1")
        ann = await controller.user(1000, "ann")
        await ann.ask("SubmitJob", submission(ntasks=2), Submitted)
        await launched(agent)
        requests = [
            messages.CreateStep(token=str(n), job_id=1, spec=StepSpec(name=f"s{n}", ntasks=2, srun_pid=n))
            for n in range(20)
        ]
        waiting = [asyncio.create_task(ann.ask("CreateStep", each, messages.StepCreated)) for each in requests]
        await wait_until(lambda: len(ann.notices) == 19)

        for number, task in enumerate(waiting):
            assert (await task).step.step_id == number
            ended = messages.StepResult(node="n1", job_id=1, attempt=0, step_id=number)
            await agent.ask("Report", messages.Report(results=(ended,)), Done)

        # One that gets in, and one that does not after each beginning and each end; not 20 * 20 / 2.
        assert len(looked) <= 20 * 3

    play(scene)


def test_a_stranger_is_refused_where_the_owner_waits(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        agent = await controller.agent("n1")
        ann, bob = await controller.user(1000, "ann"), await controller.user(1001, "bob")
        await ann.ask("SubmitJob", submission(ntasks=2), Submitted)
        await launched(agent)
        create = messages.CreateStep(token="a", job_id=1, spec=StepSpec(name="first", ntasks=2))
        await ann.ask("CreateStep", create, messages.StepCreated)
        again = messages.CreateStep(token="b", job_id=1, spec=StepSpec(name="second", ntasks=2))
        waiting = asyncio.create_task(ann.ask("CreateStep", again, messages.StepCreated))
        await wait_until(lambda: ann.notices)

        with pytest.raises(NotPermitted):
            await bob.ask("CreateStep", again, messages.StepCreated)
        assert (await ann.ask("CreateStep", create, messages.StepCreated)).step.step_id == 0, "a repeat is answered"
        waiting.cancel()

    play(scene)


def test_a_lost_connection_keeps_the_job_and_repeats_the_launch(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        agent = await controller.agent("n1")
        ann = await controller.user(1000, "ann")
        await ann.ask("SubmitJob", submission(), Submitted)
        first = await launched(agent)
        agent.connection.close()
        back = await controller.agent("n1")

        assert (await launched(back)).job.id == first.job.id

    play(scene)


def test_an_id_that_no_table_could_have_is_refused(play: Callable[[Scene], None]) -> None:
    async def scene(controller: LiveController) -> None:
        root = await controller.root()
        with pytest.raises(RequestError, match="larger than any id") as refusal:
            await root.ask("QueryScript", {"job_id": 2**64 - 1}, Done)

        assert refusal.value.code == "invalid_request"

    play(scene)


def test_a_malformed_notice_is_nothing_to_log(play: Callable[[Scene], None], caplog: pytest.LogCaptureFixture) -> None:
    """Anybody may send it as often as he likes."""

    async def scene(controller: LiveController) -> None:
        bob = await controller.user(1001, "bob")
        bob.connection.notify("Heartbeat", {"nodes": 7})
        await bob.ask("Ping", messages.Ping(), messages.Pong)

    play(scene)

    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
