"""Who may do what: one table, verb by role.

owner          the user whose job it is
operator       runs the cluster's jobs and nodes for others
administrator  root and SlurmUser
agent          a node agent, for its own nodes
anyone         every user with a credential
"""

from enum import StrEnum

import msgspec

from sluice.errors import NotPermitted


class Role(StrEnum):
    """What a caller is in relation to the object asked about."""

    ANYONE = "anyone"
    OWNER = "owner"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"
    AGENT = "agent"


class Verb(StrEnum):
    """What can be asked for."""

    SUBMIT = "submit"
    SUBMIT_AS = "submit as another user"
    RAISE_PRIORITY = "raise a priority"
    QUERY = "query"
    READ_SCRIPT = "read a job's script or output"
    CANCEL = "cancel"
    SIGNAL = "signal"
    NOTIFY = "send a message to a job"
    HOLD = "hold"
    RELEASE_ADMIN_HOLD = "release a job that an administrator holds"
    REQUEUE = "requeue"
    SUSPEND = "suspend"
    UPDATE_JOB = "update a job"
    RAISE_LIMIT = "raise a limit"
    CREATE_STEP = "create a step"
    ATTACH_STEP = "attach to a step"
    SEND_FILES = "send files to a job's nodes"
    FINISH_ALLOCATION = "finish an allocation"
    UPDATE_NODE = "update a node"
    UPDATE_PARTITION = "update a partition"
    UPDATE_RESERVATION = "update a reservation"
    RECONFIGURE = "reconfigure"
    SHUTDOWN = "shut the controller down"
    REGISTER = "register nodes"
    REPORT = "report results"


_OWN = frozenset({Role.OWNER, Role.OPERATOR, Role.ADMINISTRATOR})
_RUN = frozenset({Role.OPERATOR, Role.ADMINISTRATOR})
_RULE = frozenset({Role.ADMINISTRATOR})
_ALL = frozenset({Role.ANYONE})

ALLOWED: dict[Verb, frozenset[Role]] = {
    Verb.SUBMIT: _ALL,
    Verb.SUBMIT_AS: _RULE,
    Verb.RAISE_PRIORITY: _RUN,
    Verb.QUERY: _ALL,
    Verb.READ_SCRIPT: _OWN,
    Verb.CANCEL: _OWN,
    Verb.SIGNAL: _OWN,
    Verb.NOTIFY: _OWN,
    Verb.HOLD: _OWN,
    Verb.RELEASE_ADMIN_HOLD: _RUN,
    Verb.REQUEUE: _OWN,
    Verb.SUSPEND: _RUN,
    Verb.UPDATE_JOB: _OWN,
    Verb.RAISE_LIMIT: _RUN,
    Verb.CREATE_STEP: frozenset({Role.OWNER}),
    # Whoever attaches can type into what runs there.
    Verb.ATTACH_STEP: frozenset({Role.OWNER, Role.ADMINISTRATOR}),
    Verb.SEND_FILES: frozenset({Role.OWNER, Role.ADMINISTRATOR}),
    Verb.FINISH_ALLOCATION: _OWN,
    Verb.UPDATE_NODE: _RUN,
    Verb.UPDATE_PARTITION: _RULE,
    Verb.UPDATE_RESERVATION: _RUN,
    Verb.RECONFIGURE: _RULE,
    Verb.SHUTDOWN: _RULE,
    Verb.REGISTER: frozenset({Role.AGENT}),
    Verb.REPORT: frozenset({Role.AGENT}),
}


class Caller(msgspec.Struct, frozen=True):
    """Who asks, as the wire established it."""

    uid: int
    gid: int
    user: str
    #: Fixed by the daemon: root, SlurmUser.
    is_administrator: bool = False
    is_operator: bool = False
    #: The node whose agent this is; "*" for an agent that the administrator runs for any node.
    agent_of: str | None = None

    def roles(self, owner_uid: int | None = None) -> frozenset[Role]:
        """Return the caller's roles towards an object of *owner_uid* (None: nobody's)."""
        roles = {Role.ANYONE}
        if owner_uid is not None and owner_uid == self.uid:
            roles.add(Role.OWNER)
        if self.is_operator:
            roles.add(Role.OPERATOR)
        if self.is_administrator:
            roles.add(Role.ADMINISTRATOR)
        if self.agent_of is not None:
            roles.add(Role.AGENT)
        return frozenset(roles)

    def may(self, verb: Verb, owner_uid: int | None = None) -> bool:
        return not ALLOWED[verb].isdisjoint(self.roles(owner_uid))

    def require(self, verb: Verb, owner_uid: int | None = None) -> None:
        """Raise NotPermitted, with who may, unless the caller may."""
        if not self.may(verb, owner_uid):
            who = " or ".join(sorted(ALLOWED[verb]))
            raise NotPermitted(f"user {self.user!r} may not {verb}: allowed for {who}")


#: The controller itself: timers, passes.
SYSTEM = Caller(0, 0, "sluice", is_administrator=True)
