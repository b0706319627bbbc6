"""An association: the place of an account, or of a user in an account, in the tree that carries shares and limits."""

from typing import NamedTuple

from .base import Record
from .limits import AssociationLimits


class AssociationKey(NamedTuple):
    """What tells associations of one cluster apart; the account's own has no user, most users' have no partition."""

    account: str
    user: str = ""
    partition: str = ""


class Association(Record, frozen=True, kw_only=True):
    """One association.  A user's hangs below the account's, an account's below its parent account's."""

    account: str
    user: str = ""
    partition: str = ""
    #: The account above; "" for the root, and for users, who are in their account.
    parent: str = ""
    limits: AssociationLimits = AssociationLimits()
    #: QOS that may be asked for; None: as the association above.
    qos: tuple[str, ...] | None = None
    #: "": as the association above.
    default_qos: str = ""
    #: The user's account when none is asked for.
    is_default: bool = False
    share: int = 1
    priority: int | None = None

    @property
    def key(self) -> AssociationKey:
        return AssociationKey(self.account, self.user, self.partition)
