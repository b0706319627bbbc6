"""Who may do what: every verb with every role, written out here a second time so that a slip in the table shows."""

import pytest

from sluice.errors import NotPermitted
from sluicectld.permissions import ALLOWED, SYSTEM, Caller, Role, Verb

#: One word a role: stranger, owner, operator, root, agent.
_EXPECTED = {
    Verb.SUBMIT: "stranger owner operator root agent",
    Verb.SUBMIT_AS: "root",
    Verb.RAISE_PRIORITY: "operator root",
    Verb.QUERY: "stranger owner operator root agent",
    Verb.READ_SCRIPT: "owner operator root",
    Verb.CANCEL: "owner operator root",
    Verb.SIGNAL: "owner operator root",
    Verb.NOTIFY: "owner operator root",
    Verb.HOLD: "owner operator root",
    Verb.RELEASE_ADMIN_HOLD: "operator root",
    Verb.REQUEUE: "owner operator root",
    Verb.SUSPEND: "operator root",
    Verb.UPDATE_JOB: "owner operator root",
    Verb.RAISE_LIMIT: "operator root",
    Verb.CREATE_STEP: "owner",
    Verb.ATTACH_STEP: "owner root",
    Verb.SEND_FILES: "owner root",
    Verb.FINISH_ALLOCATION: "owner operator root",
    Verb.UPDATE_NODE: "operator root",
    Verb.UPDATE_RESERVATION: "operator root",
    Verb.UPDATE_PARTITION: "root",
    Verb.RECONFIGURE: "root",
    Verb.SHUTDOWN: "root",
    Verb.REGISTER: "agent",
    Verb.REPORT: "agent",
}
_OWNER_UID = 1000
_CALLERS = {
    "stranger": Caller(1001, 1001, "bob"),
    "owner": Caller(_OWNER_UID, 1000, "ann"),
    "operator": Caller(500, 500, "olga", is_operator=True),
    "root": Caller(0, 0, "root", is_administrator=True, is_operator=True),
    "agent": Caller(990, 990, "slurm", agent_of="n1"),
}


def test_every_verb_is_decided() -> None:
    assert set(_EXPECTED) == set(Verb) == set(ALLOWED)


@pytest.mark.parametrize("verb", list(Verb), ids=str)
@pytest.mark.parametrize("who", list(_CALLERS))
def test_a_role_and_a_verb(who: str, verb: Verb) -> None:
    caller = _CALLERS[who]
    is_allowed = who in _EXPECTED[verb].split()

    assert caller.may(verb, _OWNER_UID) == is_allowed
    if not is_allowed:
        with pytest.raises(NotPermitted, match=rf"{caller.user}.*may not {verb}"):
            caller.require(verb, _OWNER_UID)


def test_nobody_owns_what_has_no_owner() -> None:
    assert Role.OWNER not in _CALLERS["owner"].roles()


def test_the_controller_itself_rules_but_is_no_agent() -> None:
    assert SYSTEM.may(Verb.SHUTDOWN)
    assert not SYSTEM.may(Verb.REPORT)
