"""One request at work: what its answer needs to know."""

import msgspec

from sluice.wire.connection import Connection
from sluice.wire.responder import Responder
from sluicectld.core import Core
from sluicectld.permissions import Caller
from sluicectld.rpc.callers import Callers


class Call(msgspec.Struct):
    """id: the request's, for notices about it."""

    core: Core
    callers: Callers
    caller: Caller
    connection: Connection
    responder: Responder
    id: int
