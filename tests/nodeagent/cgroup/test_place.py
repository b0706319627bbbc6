"""Where in the v2 hierarchy the tree grows, by how the agent was started."""

from __future__ import annotations

import pytest

from sluiced.cgroup.place import Place, Stance, decide_place


@pytest.mark.parametrize(
    ("own", "fields", "expected"),
    [
        pytest.param("/", {}, Place("/"), id="root on a machine without a manager"),
        pytest.param("/system.slice/sluiced.service", {}, Place("/"), id="root in a unit without a group for agents"),
        pytest.param(
            "/system.slice/sluiced.service/sluice_agent",
            {},
            Place("/system.slice/sluiced.service"),
            id="root in a unit with DelegateSubgroup",
        ),
        pytest.param(
            "/system.slice/sluiced.service/sluice_agent",
            {"ignores_delegation": True},
            Place("/"),
            id="the same with IgnoreSystemd",
        ),
        pytest.param("/", {"is_top_real": False}, Place("/", Stance.INSIDE), id="root in a container"),
        pytest.param(
            "/user.slice/run-1.scope",
            {"is_root": False, "may_write": True},
            Place("/user.slice/run-1.scope", Stance.INSIDE),
            id="a user in a scope of his own",
        ),
        pytest.param(
            "/user.slice/run-1.scope/sluice_agent",
            {"is_root": False, "may_write": True},
            Place("/user.slice/run-1.scope"),
            id="the same once moved",
        ),
        pytest.param(
            "/user.slice/session-3.scope",
            {"is_root": False},
            Place(
                "/user.slice/session-3.scope",
                why_not="not permitted (the agent does not run as root, "
                "and /user.slice/session-3.scope is not delegated to it)",
            ),
            id="a user in a session",
        ),
    ],
)
def test_the_tree_grows(own: str, fields: dict[str, bool], expected: Place) -> None:
    given = {"is_top_real": True, "is_root": True, "may_write": False, "ignores_delegation": False} | fields

    assert decide_place(own, **given) == expected
