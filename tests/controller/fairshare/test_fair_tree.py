"""Fair Tree by its definition: level fair-share, depth-first places, ties."""

import math

from sluicectld.fairshare.fair_tree import compute_fair_tree
from sluicectld.fairshare.tree import Association


def account(name: str, shares: int | None = 1, parent: str = "root") -> Association:
    return Association(account=name, parent=parent, shares=shares)


def user(name: str, of: str = "root", shares: int | None = 1, usage: float = 0.0) -> Association:
    return Association(account=of, user=name, shares=shares, usage=usage)


def factors(*associations: Association) -> dict[str, float]:
    results = compute_fair_tree(list(associations))
    return {each.user: each.fair_share for each in results if each.user and each.fair_share is not None}


def test_all_users_of_the_better_account_go_before_all_of_the_worse() -> None:
    """A used less than B for its shares, so even its greediest user goes before B's most thrifty one."""
    found = factors(
        account("A", 2),
        account("B", 1),
        user("greedy", of="A", usage=90),
        user("modest", of="A", usage=10),
        user("thrifty", of="B", usage=1),
        user("spender", of="B", usage=99),
    )

    assert found == {"modest": 1.0, "greedy": 0.75, "thrifty": 0.5, "spender": 0.25}


def test_level_numbers_are_of_the_siblings_alone() -> None:
    results = compute_fair_tree(
        [account("A", 60), account("B", 40), user("x", of="A", shares=3, usage=30), user("y", of="A", usage=10)]
    )
    found = {each.user or each.account: each for each in results}

    assert (found["x"].norm_shares, found["x"].effective_usage, found["x"].level_fair_share) == (0.75, 0.75, 1.0)
    assert (found["A"].norm_shares, found["A"].effective_usage, found["A"].level_fair_share) == (0.6, 1.0, 0.6)
    assert found["B"].level_fair_share == math.inf
    assert found["A"].fair_share is None


def test_tied_users_share_the_better_place() -> None:
    found = factors(user("a", usage=1), user("b", usage=5), user("c", usage=5), user("d", usage=9))

    assert found == {"a": 1.0, "b": 0.75, "c": 0.75, "d": 0.25}


def test_children_of_tied_accounts_are_ranked_together() -> None:
    """Both accounts used 30 for one share; their users go by their own numbers, in turns."""
    found = factors(
        account("A"),
        account("B"),
        user("a1", of="A", usage=5),
        user("a2", of="A", usage=25),
        user("b1", of="B", usage=10),
        user("b2", of="B", usage=20),
    )

    assert found == {"a1": 1.0, "b1": 0.75, "b2": 0.5, "a2": 0.25}


def test_equal_quotients_tie_whatever_their_rounding() -> None:
    """3 shares and 0.3 used, 7 shares and 0.7 used: the same, though not in floating point."""
    found = factors(user("a", shares=3, usage=0.3), user("b", shares=7, usage=0.7), user("c", usage=1))

    assert found["a"] == found["b"] == 1.0


def test_a_user_that_ties_with_an_account_has_the_place_of_its_best_user() -> None:
    found = factors(
        account("A"),
        user("a1", of="A", usage=10),
        user("a2", of="A", usage=20),
        user("x", usage=30),
        user("y", usage=99),
    )

    assert found == {"x": 1.0, "a1": 1.0, "a2": 0.5, "y": 0.25}


def test_without_usage_everybody_is_first() -> None:
    """As sshare of 22.05 shows it of a new cluster: root's user beside two accounts with one user each."""
    found = factors(account("biology", 40), account("physics", 60), user("root"), user("bob", of="biology", shares=10))

    assert found == {"root": 1.0, "bob": 1.0}


def test_an_account_without_users_takes_no_place() -> None:
    assert factors(account("empty", 5), user("x", usage=1), user("y", usage=2)) == {"x": 1.0, "y": 0.5}


def test_without_shares_is_last() -> None:
    assert factors(user("x", shares=0), user("y", usage=9)) == {"y": 1.0, "x": 0.5}


def test_users_with_parent_shares_tie_whatever_they_used() -> None:
    found = factors(
        account("A"),
        account("B"),
        user("a1", of="A", shares=None, usage=99),
        user("a2", of="A", shares=None),
        user("b", of="B", usage=1),
    )

    assert found["b"] == 1.0
    assert found["a1"] == found["a2"] == 2 / 3


def test_children_of_a_parent_account_count_as_their_grandparents() -> None:
    found = factors(
        account("A"), account("M", None, "A"), user("m", of="M", usage=1), user("x", of="A", usage=2), user("y", of="A")
    )

    assert found == {"y": 1.0, "m": 2 / 3, "x": 1 / 3}


def test_a_user_has_a_place_for_each_partition() -> None:
    twice = [
        Association(account="root", user="x", partition="long", usage=5),
        Association(account="root", user="x", partition="short", usage=1),
    ]

    found = {each.key: each.fair_share for each in compute_fair_tree(twice)}

    assert found == {("root", "x", "short"): 1.0, ("root", "x", "long"): 0.5}
