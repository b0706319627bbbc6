"""The database refuses: requests are told so, nothing that was acknowledged is lost, nothing else appears."""

import asyncio
import threading
from pathlib import Path

import pytest

from sluice.errors import RequestError
from sluice.model.states import JobState
from sluice.wire import messages
from sluice.wire.messages import Submitted
from tests.live_controller import DEADLINE_S, LiveController, Peer, submission

_BREAK = "CREATE TRIGGER broken BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no space left'); END"
_MEND = "DROP TRIGGER broken"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller tries again at once."""
    monkeypatch.setattr("sluicectld.daemon._RELOAD_PAUSE_S", 0.01)


async def submit_until_accepted(peer: Peer, token: str) -> int:
    """Repeat a submission until it is taken, as the commands do."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return (await peer.ask("SubmitJob", submission(token), Submitted)).job_id
            except RequestError as refusal:
                if refusal.code != "storage":
                    raise
            await asyncio.sleep(0.05)


def test_what_was_acknowledged_stays_and_nothing_else_appears(tmp_path: Path) -> None:
    async def main() -> None:
        async with LiveController(tmp_path) as controller:
            ann = await controller.user(1000, "ann")
            first = await ann.ask("SubmitJob", submission("one"), Submitted)
            controller.execute(_BREAK)
            with pytest.raises(RequestError, match="nothing was lost, try again") as refusal:
                await ann.ask("SubmitJob", submission("two"), Submitted)
            assert refusal.value.code == "storage"
            assert "no space left" in refusal.value.message
            controller.execute(_MEND)

            second = await submit_until_accepted(ann, "two")

            assert second == first.job_id + 1
            repeated = await ann.ask("SubmitJob", submission("one"), Submitted)
            assert repeated.job_id == first.job_id
            assert controller.execute("SELECT count(*) FROM job")[0] == 2
            assert controller.differences() == []

    asyncio.run(main())


def test_every_request_is_told_while_the_storage_is_away(tmp_path: Path) -> None:
    async def main() -> None:
        async with LiveController(tmp_path) as controller:
            ann, root = await controller.user(1000, "ann"), await controller.root()
            await ann.ask("SubmitJob", submission(), Submitted)
            controller.execute(_BREAK)
            with pytest.raises(RequestError):
                await ann.ask("SubmitJob", submission(), Submitted)
            for name, body in (
                ("QueryJobs", messages.QueryJobs()),
                ("KillJobs", messages.KillJobs(ids=("1",))),
                ("Ping", messages.Ping()),
            ):
                with pytest.raises(RequestError) as refusal:
                    await root.ask(name, body, messages.Done)
                assert refusal.value.code == "storage"
            controller.execute(_MEND)
            await submit_until_accepted(ann, "later")

    asyncio.run(main())


def test_a_cancel_that_was_not_committed_did_not_happen(tmp_path: Path) -> None:
    async def main() -> None:
        async with LiveController(tmp_path) as controller:
            ann = await controller.user(1000, "ann")
            await ann.ask("SubmitJob", submission(), Submitted)
            controller.execute(_BREAK)
            with pytest.raises(RequestError):
                await ann.ask("KillJobs", messages.KillJobs(ids=("1",)), messages.KilledJobs)
            controller.execute(_MEND)
            await submit_until_accepted(ann, "later")

            assert controller.job(1).state is JobState.PENDING

    asyncio.run(main())


def test_those_who_wait_are_told_and_no_order_leaves(tmp_path: Path) -> None:
    """The start of the job cannot be written: it is not launched, and who waits for it hears why."""

    async def main() -> None:
        async with LiveController(tmp_path) as controller:
            ann = await controller.user(1000, "ann")
            await ann.ask("SubmitJob", submission(), Submitted)
            waiting = asyncio.create_task(ann.ask("WaitJobStart", messages.WaitJobStart(job_id=1), messages.StartedJob))
            await ann.ask("Ping", messages.Ping(), messages.Pong)
            controller.execute(_BREAK)
            with pytest.raises(RequestError):
                await controller.agent("n1")
            with pytest.raises(RequestError) as refusal:
                await waiting
            assert refusal.value.code == "storage"
            controller.execute(_MEND)
            await submit_until_accepted(ann, "later")
            agent = await controller.agent("n1")
            started = await ann.ask("WaitJobStart", messages.WaitJobStart(job_id=1), messages.StartedJob)

            assert (started.job.id, started.job.attempt) == (1, 0)
            assert agent.connection.is_open

    asyncio.run(main())


def test_a_long_outage_leaves_no_threads_behind(tmp_path: Path) -> None:
    """The tables are loaded again every second; each attempt that fails must clean up after itself."""

    async def main() -> None:
        async with LiveController(tmp_path) as controller:
            ann = await controller.user(1000, "ann")
            await ann.ask("SubmitJob", submission(), Submitted)
            controller.execute(_BREAK)
            with pytest.raises(RequestError):
                await ann.ask("SubmitJob", submission(), Submitted)
            async with asyncio.timeout(DEADLINE_S):
                while controller.reloads < 4:
                    await asyncio.sleep(0.01)
            controller.execute(_MEND)
            await submit_until_accepted(ann, "later")

            assert [thread.name for thread in threading.enumerate()].count("sluice-writer") == 1

    asyncio.run(main())
