"""Results of steps on their way: to whoever manages the step, this agent, another node's or the controller.

Once a job is being ended, all goes to the controller, before the word that the node is clean.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from sluice.wire.client import CredentialSource
from sluice.wire.messages import NodeAddress, StepResult
from sluiced.manager.link import ManagerLink
from sluiced.manager.manager import StepManager
from sluiced.spool import JobKey


class Courier:
    """report: to the controller.  on_taken(result): a manager has it, and it may be forgotten here."""

    def __init__(
        self,
        node: str,
        manager: StepManager,
        credential_source: CredentialSource,
        rng: random.Random,
        report: Callable[[StepResult], None],
        on_taken: Callable[[StepResult], None],
    ) -> None:
        self._node = node
        self._manager = manager
        self._credential_source = credential_source
        self._rng = rng
        self._report = report
        self._on_taken = on_taken
        #: Where the steps of a job are managed, if on another node.
        self._places: dict[JobKey, NodeAddress] = {}
        self._links: dict[NodeAddress, ManagerLink] = {}

    def note(self, key: JobKey, manager: NodeAddress | None) -> None:
        """A step of the job comes whose manager this is."""
        if manager is not None and manager.node != self._node:
            self._places[key] = manager

    def is_managed_here(self, key: JobKey) -> bool:
        return self._manager.is_managing(key)

    def tell(self, result: StepResult) -> None:
        key = JobKey(result.job_id, result.attempt)
        if result.step_id < 0:
            self._report(result)
        elif self._manager.take(result):
            self._on_taken(result)
        elif key in self._places:
            self._link(self._places[key]).tell(result)
        else:
            self._report(result)

    def recall(self, key: JobKey) -> None:
        """The job is being ended: the controller gets what its manager may not have."""
        place = self._places.pop(key, None)
        if place is None:
            return
        link = self._links.get(place)
        if link is not None:
            self._report_all(link.take_back(key))
            if place not in self._places.values():
                self._links.pop(place).close()

    def close(self) -> None:
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._places.clear()

    def _link(self, place: NodeAddress) -> ManagerLink:
        if place not in self._links:
            self._links[place] = ManagerLink(
                place, self._credential_source, self._rng, self._on_all_taken, self._report_all
            )
        return self._links[place]

    def _on_all_taken(self, results: Iterable[StepResult]) -> None:
        for result in results:
            self._on_taken(result)

    def _report_all(self, results: Iterable[StepResult]) -> None:
        for result in results:
            self._report(result)
