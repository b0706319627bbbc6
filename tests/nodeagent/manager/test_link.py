"""Results on their way to a manager on another node: until it has them, also through the loss of the connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable

import pytest

from sluice.errors import RequestError
from sluice.wire.connection import Connection
from sluice.wire.credentials import SharedKeyAuthenticator
from sluice.wire.envelope import Envelope, decode_body
from sluice.wire.framing import node_audience
from sluice.wire.handler import Handler
from sluice.wire.messages import Done, NodeAddress, Report, StepResult
from sluice.wire.responder import Responder
from sluice.wire.server import Server
from sluiced.manager import link
from sluiced.manager.link import ManagerLink
from sluiced.spool import JobKey
from tests.nodeagent.conftest import free_port

KEY = bytes(range(32))


class Manager(Handler):
    """What answers on the other node: answer() is called with each report's results."""

    def __init__(self) -> None:
        self.results: list[int] = []
        self.answer: Callable[[Connection, Responder], None] = lambda connection, responder: responder.reply(Done())

    def on_request(self, connection: Connection, envelope: Envelope, responder: Responder) -> None:
        self.results += [result.step_id for result in decode_body(envelope.body, Report).results]
        self.answer(connection, responder)


class Scene:
    def __init__(self, port: int) -> None:
        self.manager = Manager()
        self.server = Server(self.manager, audience=node_audience("n1"))
        self.port = port
        self.taken: list[int] = []
        self.refused: list[int] = []
        self.link = ManagerLink(
            NodeAddress(node="n1", address="127.0.0.1", port=port),
            self._mint,
            random.Random(1),
            self._take,
            self._refuse,
        )

    async def _mint(self, audience: str) -> str:
        import time

        from sluice.wire.credentials import LIFETIME_S, Claims, mint, new_nonce

        claims = Claims(uid=0, gid=0, user="root", host="n2", audience=audience, node="n2")
        return mint(KEY, claims, time.time(), LIFETIME_S, new_nonce())

    def _take(self, results: Iterable[StepResult]) -> None:
        self.taken += [result.step_id for result in results]

    def _refuse(self, results: Iterable[StepResult]) -> None:
        self.refused += [result.step_id for result in results]

    async def listen(self) -> None:
        await self.server.listen_tcp("127.0.0.1", self.port, SharedKeyAuthenticator(KEY))

    def tell(self, step_id: int, job_id: int = 1) -> None:
        self.link.tell(StepResult(node="n2", job_id=job_id, attempt=0, step_id=step_id))

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)


def play(story: Callable[[Scene], object], port: int) -> None:
    async def run() -> None:
        scene = Scene(port)
        try:
            await story(scene)  # type: ignore[misc]
        finally:
            scene.link.close()
            await scene.server.stop()

    asyncio.run(run())


def test_what_the_manager_has_taken_is_forgotten() -> None:
    async def story(scene: Scene) -> None:
        await scene.listen()
        for number in range(3):
            scene.tell(number)
        await scene.until(lambda: scene.taken == [0, 1, 2])
        assert scene.refused == []

    play(story, free_port())


def test_a_report_whose_answer_is_lost_with_the_connection_is_sent_again() -> None:
    async def story(scene: Scene) -> None:
        await scene.listen()
        scene.manager.answer = lambda connection, responder: connection.transport.abort()
        scene.tell(7)
        await scene.until(lambda: len(scene.manager.results) >= 2)
        assert (scene.taken, scene.refused) == ([], [])

        scene.manager.answer = lambda connection, responder: responder.reply(Done())
        await scene.until(lambda: scene.taken == [7])
        assert scene.refused == []

    play(story, free_port())


def test_what_the_manager_does_not_know_goes_to_the_controller() -> None:
    async def story(scene: Scene) -> None:
        await scene.listen()
        scene.manager.answer = lambda connection, responder: responder.error(RequestError("whose?", "steps_elsewhere"))
        scene.tell(3)
        await scene.until(lambda: scene.refused == [3])
        assert scene.taken == []

    play(story, free_port())


def test_a_manager_that_is_not_to_be_had_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_PATIENCE_S", 0.3)

    async def story(scene: Scene) -> None:
        scene.tell(3)
        await scene.until(lambda: scene.refused == [3])

        await scene.listen()
        scene.tell(4)
        await scene.until(lambda: scene.taken == [4])

    play(story, free_port())


def test_results_of_a_job_that_ends_are_taken_back_and_others_stay() -> None:
    async def story(scene: Scene) -> None:
        scene.tell(1, job_id=1)
        scene.tell(2, job_id=2)
        assert [result.step_id for result in scene.link.take_back(JobKey(1, 0))] == [1]

        await scene.listen()
        await scene.until(lambda: scene.taken == [2])

    play(story, free_port())
