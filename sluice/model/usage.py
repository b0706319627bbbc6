"""What the holders of limits use: jobs and TRES now, and what they used so far, decayed."""

from enum import StrEnum
from typing import NamedTuple

from msgspec import field

from sluice.tres import Tres

from .base import Record


class HolderKind(StrEnum):
    """Whose use is added up."""

    ASSOCIATION = "association"
    QOS = "qos"
    QOS_USER = "qos user"
    QOS_ACCOUNT = "qos account"


class Holder(NamedTuple):
    """One of those over whom limits are added up: an association, a QOS, or a user or account with a QOS."""

    kind: HolderKind
    account: str = ""
    user: str = ""
    partition: str = ""
    qos: str = ""

    def describe(self) -> str:
        """Return the holder in words."""
        if self.kind is not HolderKind.ASSOCIATION:
            member = f", user {self.user}" if self.user else f", account {self.account}" if self.account else ""
            return f"QOS {self.qos}{member}"
        where = f" in partition {self.partition}" if self.partition else ""
        return f"user {self.user} in account {self.account}{where}" if self.user else f"account {self.account}"


class Usage(Record, frozen=True, kw_only=True):
    """The use of one holder, at one moment, all below it included.

    run_seconds: TRES times the seconds that running jobs have left.  used_seconds, wall_s: of past and running jobs up
    to now, decayed.  All with the usage factor of each job's QOS.
    """

    jobs: int = 0
    #: Pending and running.
    submitted: int = 0
    tres: Tres = field(default_factory=dict)
    run_seconds: dict[str, float] = field(default_factory=dict)
    used_seconds: dict[str, float] = field(default_factory=dict)
    wall_s: float = 0.0
    #: Of an association, as last computed; None: not known.
    fair_share_factor: float | None = None
