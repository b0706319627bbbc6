"""The classic fair-share factor: the published example, and where the variant differs from it."""

import pytest

from sluicectld.fairshare.classic import compute_classic
from sluicectld.fairshare.tree import Association, ShareResult


def account(name: str, shares: int | None, parent: str = "root") -> Association:
    return Association(account=name, parent=parent, shares=shares)


def user(name: str, of: str, shares: int | None = 1, usage: float = 0.0) -> Association:
    return Association(account=of, user=name, shares=shares, usage=usage)


#: Of the documentation: account A with 40 shares holds B and C, account D with 60 holds E and F; a sixth user, beside
#: them and without shares, had what was left over.
EXAMPLE = [
    account("A", 40),
    account("B", 30, "A"),
    account("C", 10, "A"),
    account("D", 60),
    account("E", 25, "D"),
    account("F", 35, "D"),
    user("1", of="B", usage=20),
    user("2", of="C", usage=25),
    user("3", of="C"),
    user("4", of="E", usage=25),
    user("5", of="F"),
    user("6", of="root", shares=0, usage=30),
]


def by_name(results: list[ShareResult]) -> dict[str, ShareResult]:
    return {each.user or each.account: each for each in results}


def test_the_documented_example() -> None:
    results = by_name(compute_classic(EXAMPLE))

    factors = [round(results[name].fair_share or 0.0, 6) for name in "12345"]
    assert factors == [0.408479, 0.022097, 0.125, 0.5, 0.749154]


def test_its_effective_usages() -> None:
    results = by_name(compute_classic(EXAMPLE))

    usages = [round(results[name].effective_usage, 6) for name in "ABC12345"]
    assert usages == [0.45, 0.3875, 0.3, 0.3875, 0.275, 0.15, 0.25, 0.145833]


def test_its_normalised_shares() -> None:
    results = by_name(compute_classic(EXAMPLE))

    assert [round(results[name].norm_shares, 6) for name in "ABCDEF23"] == [0.4, 0.3, 0.1, 0.6, 0.25, 0.35, 0.05, 0.05]


def test_who_has_no_shares_has_no_factor() -> None:
    assert by_name(compute_classic(EXAMPLE))["6"].fair_share == 0.0


def test_damping_softens_what_was_used_too_much() -> None:
    """F = 2^(-UE / S / d)."""
    results = by_name(compute_classic(EXAMPLE, dampening=5))

    assert results["2"].fair_share == pytest.approx(2 ** -(5.5 / 5))


def test_a_user_with_parent_shares_has_the_factor_of_its_account() -> None:
    tree = [account("A", 1), account("B", 1), user("x", of="A", shares=None, usage=9), user("y", of="A", shares=None)]

    results = by_name(compute_classic([*tree, user("z", of="B", usage=1)]))

    assert results["x"].fair_share == results["y"].fair_share == results["A"].fair_share


def test_children_of_a_parent_account_count_as_their_grandparents() -> None:
    """The account between them takes no part; its user is one of three siblings."""
    tree = [account("A", 1), account("M", None, "A"), user("x", of="M"), user("y", of="A"), user("z", of="A")]

    results = by_name(compute_classic(tree))

    assert results["x"].norm_shares == pytest.approx(1 / 3)


def test_without_usage_everybody_with_shares_has_one() -> None:
    unused = [Association(account=e.account, user=e.user, parent=e.parent, shares=e.shares) for e in EXAMPLE]

    assert {each.fair_share for each in compute_classic(unused) if each.shares} == {1.0}


def test_depth_oblivious_is_the_same_below_the_root() -> None:
    plain, oblivious = by_name(compute_classic(EXAMPLE)), by_name(compute_classic(EXAMPLE, is_depth_oblivious=True))

    assert oblivious["A"].fair_share == plain["A"].fair_share


def test_depth_oblivious_when_the_account_is_on_target_only_the_own_usage_counts() -> None:
    """R of A is 1, so k is 1 and R of its users is their own usage over their shares."""
    tree = [account("A", 50), account("B", 50), user("x", of="A", usage=10), user("y", of="A", usage=40)]

    results = by_name(compute_classic([*tree, user("z", of="B", usage=50)], is_depth_oblivious=True))

    assert results["x"].fair_share == pytest.approx(2 ** -(0.10 / 0.25))
    assert results["y"].fair_share == pytest.approx(2 ** -(0.40 / 0.25))


def test_depth_oblivious_draws_the_thrifty_user_of_a_greedy_account_towards_it() -> None:
    """A used twice its shares (R = 2), x a third of what its siblings' average is: k = 1 / (1 + (5 ln 2)^2)."""
    tree = [account("A", 1), account("B", 3), user("x", of="A", usage=10), user("y", of="A", usage=50)]

    results = by_name(compute_classic([*tree, user("z", of="B", usage=60)], is_depth_oblivious=True))

    k = 1 / (1 + (5 * 0.6931471805599453) ** 2)
    assert results["x"].fair_share == pytest.approx(2 ** -(2 * (1 / 3) ** k))
    assert results["y"].fair_share == pytest.approx(2 ** -(2 * (5 / 3)))


def test_accounts_above_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="above itself"):
        compute_classic([account("A", 1, "B"), account("B", 1, "A"), user("x", of="A")])
