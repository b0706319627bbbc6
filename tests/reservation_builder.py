"""Builder of engines in which reservations are made by keys, as scontrol sends them."""

from typing import Any

import pytest

from sluice.errors import RequestError
from sluice.model.reservation import Reservation
from sluice.wire.messages import UpdateReservation
from sluicectld.permissions import Caller
from sluicectld.state import commands
from tests.engine_builder import OPERATOR, World

HOUR_S = 3600.0
#: What most tests ask for beside the rest.
ANNS = {"users": "ann", "starttime": "now", "duration": "60"}


class Site(World):
    """A World in which reservations are made by keys; a key that ends in _plus stands for +=, _minus for -=."""

    def revise(self, action: str, name: str = "", caller: Caller = OPERATOR, **keys: str) -> Any:
        members = keys.pop("members", {})
        changes = tuple((key.replace("_plus", "+").replace("_minus", "-"), value) for key, value in keys.items())
        request = UpdateReservation(name=name, action=action, changes=changes)
        return self.do(commands.ReviseReservation(request, members), caller)

    def keep(self, name: str = "r1", caller: Caller = OPERATOR, **keys: str) -> Reservation:
        """Make a reservation for ann, from now for an hour unless told otherwise, and return it."""
        self.revise("create", name, caller, **(ANNS | keys))
        self.do(commands.Tick())
        return self.cluster.reservations[name]

    def update(self, name: str = "r1", **keys: str) -> Reservation:  # type: ignore[override]
        self.revise("update", name, **keys)
        return self.cluster.reservations[name]

    def refused(self, action: str, name: str = "r1", caller: Caller = OPERATOR, **keys: str) -> RequestError:
        with pytest.raises(RequestError) as caught:
            self.revise(action, name, caller, **keys)
        return caught.value

    @property
    def kept(self) -> dict[str, Reservation]:
        return self.cluster.reservations
