"""Builders for tests of limits: a tree of accounts and users, QOS, and a book over them.

    site = Site().account("physics", group_jobs=1).user("ann", "physics")
    site.runs("ann", cpus=2)
    site.blockers("ann", cpus=1)     -> {"AssocGrpJobsLimit": "account physics: GrpJobs 1, 1 run"}

Accounts hang below root unless a parent is named; a user's first account is the default.  Jobs last an hour.
"""

from __future__ import annotations

from typing import Any, Self

from msgspec.structs import replace

from sluice.model.association import Association, AssociationKey
from sluice.model.job import Job
from sluice.model.limits import AssociationLimits, QosLimits
from sluice.model.partition import Partition
from sluice.model.qos import Qos, QosFlag
from sluice.model.usage import Holder, HolderKind, Usage
from sluicectld.scheduler.feasible import Verdict
from sluicectld.scheduler.limits.book import ALL_ENFORCED, LimitBook
from sluicectld.scheduler.limits.submission import check_submission
from sluicectld.scheduler.limits.tres import Demand
from sluicectld.scheduler.snapshot import Snapshot
from tests.builders import make_spec

HOUR_S = 3600
_ASSOCIATION_FIELDS = frozenset(("parent", "qos", "default_qos", "partition"))
_QOS_FIELDS = frozenset(("usage_factor", "usage_threshold", "limit_factor", "priority"))


class Site:
    """Tables of associations and QOS, what runs, and the book that answers for them."""

    def __init__(self, enforced: frozenset[str] = ALL_ENFORCED, totals: dict[str, int] | None = None) -> None:
        self.associations: dict[AssociationKey, Association] = {}
        self.qos_table: dict[str, Qos] = {"normal": Qos(name="normal")}
        self.usage: dict[Holder, Usage] = {}
        self.partitions = {"batch": Partition(name="batch")}
        self.enforced = enforced
        self.totals = totals
        self.next_job_id = 1
        self._book: LimitBook | None = None
        self.account("root", parent="")

    def seen_by(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with these tables."""
        return replace(snapshot, associations=self.associations, qos=self.qos_table, usage=self.usage)

    @property
    def book(self) -> LimitBook:
        if self._book is None:
            self._book = LimitBook(self.associations, self.qos_table, self.usage, self.enforced, self.totals)
        return self._book

    def account(self, name: str, parent: str = "root", **fields: Any) -> Self:
        return self._associate(account=name, parent=parent, **fields)

    def user(self, user: str, account: str, **fields: Any) -> Self:
        is_default = not any(key.user == user for key in self.associations)
        return self._associate(account=account, user=user, is_default=is_default, **fields)

    def qos(self, name: str, flags: tuple[QosFlag, ...] = (), **fields: Any) -> Self:
        own = {key: value for key, value in fields.items() if key in _QOS_FIELDS}
        limits = QosLimits(**{key: value for key, value in fields.items() if key not in _QOS_FIELDS})
        self.qos_table[name] = Qos(name=name, flags=frozenset(flags), limits=limits, **own)
        return self

    def partition(self, name: str, **fields: Any) -> Self:
        self.partitions[name] = Partition(name=name, **fields)
        return self

    def used(self, account: str, user: str = "", qos: str = "", **fields: Any) -> Self:
        """Say what a holder uses: an association, or a QOS."""
        kind = HolderKind.QOS if qos else HolderKind.ASSOCIATION
        self.usage[Holder(kind, account, user, qos=qos)] = Usage(**fields)
        return self

    # --- jobs

    def runs(self, user: str, limit_s: int | None = HOUR_S, partition: str = "batch", **job: Any) -> tuple[Job, Demand]:
        """Start a job whatever the limits say, and return what is needed to remove it."""
        made, demand = self.job(user, limit_s, **job)
        self.book.add_submitted(made, self.partitions[partition])
        self.book.add_start(made, self.partitions[partition], demand)
        return made, demand

    def ends(self, job: Job, demand: Demand, ran_s: float = 0.0) -> None:
        self.book.remove(job, self.partitions["batch"], demand, ran_s)

    def blockers(self, user: str, limit_s: int | None = HOUR_S, partition: str = "batch", **job: Any) -> dict[str, str]:
        """Return the reasons, with their texts, why a job would not start now."""
        made, demand = self.job(user, limit_s, **job)
        found = self.book.find_blockers(made, self.partitions[partition], demand)
        return {str(blocker.reason): blocker.text for blocker in found}

    def verdict(
        self, user: str, limit_s: int | None = HOUR_S, partition: str = "batch", tasks: int = 1, **job: Any
    ) -> Verdict | None:
        """Return why a job would be refused at submission."""
        made, demand = self.job(user, limit_s, **job)
        return check_submission(self.book, made.spec, self.partitions[partition], demand, tasks)

    def job(
        self,
        user: str,
        limit_s: int | None = HOUR_S,
        account: str = "",
        qos: str = "",
        cpus: int = 1,
        node_tres: dict[str, int] | None = None,
        reservation: str = "",
        **tres: int,
    ) -> tuple[Job, Demand]:
        """Return a job and its demand.  Other names are TRES: mem=1, node=2, gpu=1 for gres/gpu."""
        spec = make_spec(user=user, account=account, qos=qos, reservation=reservation)
        job = Job(id=self.next_job_id, spec=spec, limit_s=limit_s)
        self.next_job_id += 1
        named = {"gres/gpu" if name == "gpu" else name: count for name, count in tres.items()}
        # As a pass does: equal demands are one object, and what was found for one holds for its twins.
        return job, self.book.intern(Demand({"cpu": cpus, "node": 1} | named, limit_s, node_tres))

    def _associate(self, **fields: Any) -> Self:
        own = {"account", "user", "is_default"} | _ASSOCIATION_FIELDS
        limits = AssociationLimits(**{key: value for key, value in fields.items() if key not in own})
        association = Association(limits=limits, **{key: value for key, value in fields.items() if key in own})
        self.associations[association.key] = association
        return self
