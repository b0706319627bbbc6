"""Laws that hold of every share tree."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.model.priority import PrioritySetup
from sluicectld.fairshare.classic import compute_classic
from sluicectld.fairshare.factors import FairShareRules, compute_fair_shares, fair_share_rules_of
from sluicectld.fairshare.fair_tree import compute_fair_tree
from sluicectld.fairshare.tree import Association, ShareResult

Algorithm = Callable[[list[Association]], list[ShareResult]]
MONOTONE: dict[str, Algorithm] = {
    "fair tree": compute_fair_tree,
    "classic": compute_classic,
    "damped": lambda associations: compute_classic(associations, dampening=5),
}
ALL: dict[str, Algorithm] = MONOTONE | {
    "depth-oblivious": lambda associations: compute_classic(associations, is_depth_oblivious=True)
}
SHARES = st.one_of(st.none(), st.integers(0, 5))


@st.composite
def trees(draw: st.DrawFn) -> list[Association]:
    """Up to five accounts, each below root or an earlier one, and some users of them."""
    names = ["root"]
    found = []
    for number in range(draw(st.integers(0, 5))):
        found.append(Association(account=f"a{number}", parent=draw(st.sampled_from(names)), shares=draw(SHARES)))
        names.append(f"a{number}")
    for number in range(draw(st.integers(1, 6))):
        usage = float(draw(st.integers(0, 6)))
        found.append(
            Association(account=draw(st.sampled_from(names)), user=f"u{number}", shares=draw(SHARES), usage=usage)
        )
    return found


def factors(algorithm: Algorithm, associations: list[Association]) -> dict[str, float]:
    return {each.user: each.fair_share or 0.0 for each in algorithm(associations) if each.user}


@pytest.mark.parametrize("name", ALL)
@given(associations=trees())
def test_factors_are_between_zero_and_one(name: str, associations: list[Association]) -> None:
    assert all(0.0 <= factor <= 1.0 for factor in factors(ALL[name], associations).values())


@pytest.mark.parametrize("name", ALL)
@given(data=st.data(), associations=trees())
def test_the_order_of_siblings_changes_nothing(name: str, data: st.DataObject, associations: list[Association]) -> None:
    shuffled = data.draw(st.permutations(associations))

    assert factors(ALL[name], shuffled) == factors(ALL[name], associations)


@pytest.mark.parametrize("name", MONOTONE)
@given(data=st.data(), associations=trees(), more=st.integers(1, 20))
def test_who_uses_more_never_gains(name: str, data: st.DataObject, associations: list[Association], more: int) -> None:
    if name == "fair tree":
        # With `parent` shares a user stands by the account's number, which another's usage may lower more than his own.
        associations = [replace(each, shares=1) if each.shares is None else each for each in associations]
    user = data.draw(st.sampled_from([each for each in associations if each.user]))
    greedier = [replace(each, usage=each.usage + more) if each is user else each for each in associations]

    before = factors(MONOTONE[name], associations)[user.user]

    assert factors(MONOTONE[name], greedier)[user.user] <= before + 1e-12


@given(associations=trees())
def test_in_fair_tree_the_best_user_has_one(associations: list[Association]) -> None:
    assert max(factors(compute_fair_tree, associations).values()) == 1.0


@given(associations=trees(), scale=st.integers(2, 9))
def test_the_unit_of_usage_does_not_matter(associations: list[Association], scale: int) -> None:
    scaled = [replace(each, usage=each.usage * scale) for each in associations]

    assert factors(compute_fair_tree, scaled) == factors(compute_fair_tree, associations)


@pytest.mark.parametrize(
    ("flags", "rules"),
    [
        ((), FairShareRules(dampening=3)),
        (("NO_FAIR_TREE",), FairShareRules(is_fair_tree=False, dampening=3)),
        (("DEPTH_OBLIVIOUS",), FairShareRules(is_fair_tree=False, is_depth_oblivious=True, dampening=3)),
    ],
)
def test_priority_flags_choose_the_algorithm(flags: tuple[str, ...], rules: FairShareRules) -> None:
    assert fair_share_rules_of(PrioritySetup(flags=frozenset(flags), dampening=3)) == rules


def test_the_factors_of_users_come_by_association() -> None:
    associations = [Association(account="A"), Association(account="A", user="x", partition="long")]

    found = compute_fair_shares(associations, fair_share_rules_of(PrioritySetup(flags=frozenset({"NO_FAIR_TREE"}))))

    assert found == {("A", "x", "long"): 1.0}
