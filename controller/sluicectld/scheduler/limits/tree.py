"""The tree of associations: from a user in an account up to the root, and which QOS a job has.

Invariant: the associations of a job are its user's, its account's, and those of the accounts above, in this order.
"""

from collections.abc import Mapping

from sluice.model.association import Association, AssociationKey

#: The QOS that jobs have when no association says which.
NORMAL_QOS = "normal"

Associations = Mapping[AssociationKey, Association]


class AssociationTree:
    """Chains of associations, looked up once each."""

    def __init__(self, associations: Associations) -> None:
        self._associations = associations
        self._above: dict[str, tuple[Association, ...]] = {}
        self._default_accounts: dict[str, str] | None = None

    def default_account(self, user: str) -> str:
        """Return the account of a user who asks for none; "" if there is none."""
        if self._default_accounts is None:
            self._default_accounts = {
                each.user: each.account for each in self._associations.values() if each.user and each.is_default
            }
        return self._default_accounts.get(user, "")

    def accounts_of(self, user: str) -> list[str]:
        """Return the accounts that the user is in, sorted."""
        return sorted({each.account for each in self._associations.values() if each.user == user})

    def chain(self, account: str, user: str, partition: str) -> tuple[Association, ...]:
        """Return the user's association and all above it, up to the root; empty when the user has none here."""
        own = self._associations.get(AssociationKey(account, user, partition))
        own = own or self._associations.get(AssociationKey(account, user))
        return () if own is None else (own, *self._accounts_from(account))

    def _accounts_from(self, account: str) -> tuple[Association, ...]:
        known = self._above.get(account)
        if known is None:
            found: list[Association] = []
            name = account
            while name and (association := self._associations.get(AssociationKey(name))) is not None:
                assert association not in found, f"account {name} is above itself"
                found.append(association)
                name = association.parent
            known = self._above[account] = tuple(found)
        return known


def allowed_qos(chain: tuple[Association, ...]) -> tuple[str, ...] | None:
    """Return the QOS that may be asked for; None: nothing is said of it."""
    return next((each.qos for each in chain if each.qos is not None), None)


def compute_qos(asked: str, chain: tuple[Association, ...], known: Mapping[str, object]) -> str:
    """Return the job's QOS: the one asked for, else the default; "" if there is none."""
    if asked:
        return asked
    default = next((each.default_qos for each in chain if each.default_qos), "")
    if default or NORMAL_QOS not in known:
        return default
    allowed = allowed_qos(chain)
    return NORMAL_QOS if allowed is None or NORMAL_QOS in allowed else ""
