"""The controller's book and the manager's: whatever is lost, late or told twice, they agree in the end."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.states import StepState
from sluice.model.step import Step
from sluice.steps.grant import StepBusy
from sluice.wire.messages import StepResult, TellManager
from sluiced.manager.book import StepBook
from tests.engine_builder import World
from tests.nodeagent.manager.books import managed, spec


class TwoBooks:
    """A job of n1 and n2 whose steps n1 manages, and what is on its way between the two."""

    def __init__(self) -> None:
        self.world = World(nodes=2)
        self.job_id = self.world.start(nodes=2, ntasks=8, given=frozenset({"nodes"}))
        self.book = StepBook(replace(managed(), job=self.world.manage(self.job_id)))
        #: (step, node) whose tasks run, with the exit code that they will have.
        self.running: dict[tuple[int, str], int] = {}
        self.codes: dict[int, int] = {}
        self.in_flight: list[Step] = []

    def create(self, number: int) -> None:
        with contextlib.suppress(StepBusy):
            step = self.book.create(spec(1 + number % 5), "", self.world.now)
            for node in step.running_nodes:
                self.running[step.step_id, node] = number % 3
            self.codes[step.step_id] = number % 3

    def end_part(self, number: int, *, at_controller: bool) -> None:
        """One node's tasks end; it tells the manager, or the controller where it can't."""
        if not self.running:
            return
        key = sorted(self.running)[number % len(self.running)]
        code = self.running.pop(key)
        result = self._result(*key, code)
        if at_controller:
            self.world.report(result)
        else:
            self.book.take(result, self.world.now)

    def _result(self, step_id: int, node: str, code: int) -> StepResult:
        at = self.world.now
        return StepResult(node=node, job_id=self.job_id, attempt=0, step_id=step_id, exit_code=code, ended_at=at)

    def tell(self) -> None:
        """The manager reports; the acknowledgement is still to come."""
        self.in_flight = list(self.book.untold.values())
        self.world.managed(*self.in_flight)

    def acknowledge(self) -> None:
        for step in self.in_flight:
            self.book.on_told(step)
        self.in_flight = []

    def deliver_orders(self, *, is_lost: bool) -> None:
        for order in self.world.took(TellManager):
            for result in order.results if not is_lost else ():
                self.book.take(result, self.world.now)

    def restart_manager(self) -> None:
        """Another agent reads what the last one had noted."""
        noted = [*self.book.untold.values(), *self.book.running.values()]
        job = replace(self.book.managed.job, next_step_id=self.book.job.next_step_id)
        self.book = StepBook(replace(self.book.managed, job=job), noted)
        self.in_flight = []

    def settle(self) -> None:
        while self.running:
            self.end_part(0, at_controller=False)
        for _ in range(2):
            self.book.retell()
            self.tell()
            self.acknowledge()
            self.deliver_orders(is_lost=False)


ACTIONS = {
    "create": lambda books, number: books.create(number),
    "end": lambda books, number: books.end_part(number, at_controller=False),
    "end at the controller": lambda books, number: books.end_part(number, at_controller=True),
    "tell": lambda books, _: books.tell(),
    "acknowledge": lambda books, _: books.acknowledge(),
    "orders come": lambda books, _: books.deliver_orders(is_lost=False),
    "orders are lost": lambda books, _: books.deliver_orders(is_lost=True),
    "restart": lambda books, _: books.restart_manager(),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(0, 30)), max_size=40))
def test_both_books_end_up_alike(story: list[tuple[str, int]]) -> None:
    books = TwoBooks()
    for action, number in story:
        ACTIONS[action](books, number)

    books.settle()

    steps = {number: step for number, step in books.world.cluster.steps[books.job_id].items() if number >= 0}
    assert set(steps) == set(books.codes)
    assert books.book.running == {}
    assert books.book.untold == {}
    for number, step in steps.items():
        expected = StepState.FAILED if books.codes[number] else StepState.COMPLETED
        assert (step.state, step.exit_code, step.running_nodes) == (expected, books.codes[number], ())
    books.world.check_replay()
