"""Equal parts of requests as one object: jobs of one user differ in little, and there may be a million of them.

Invariant: a shared request equals the one that was given.
"""

from typing import Any

from msgspec.structs import replace

from sluice.model.request import JobSpec

#: Fields that many requests have in common.
_FIELDS = (
    "given",
    "partitions",
    "user",
    "group",
    "account",
    "qos",
    "features",
    "submit_host",
    "export",
    "origin",
    "work_dir",
    "rlimits",
    "gres_per_node",
    "gres_per_job",
    "gres_per_task",
    "mail_types",
    "other",
)
#: Parts that are remembered; then it begins anew.
_PARTS_MAX = 100_000


class Sharing:
    """Remembers the parts seen so far."""

    def __init__(self) -> None:
        self._parts: dict[Any, Any] = {}

    def share(self, spec: JobSpec) -> JobSpec:
        """Return the request: the very one that an equal job has, or one with parts that other requests have too."""
        parts = self._parts
        if len(parts) > _PARTS_MAX:
            parts.clear()
        values = {name: getattr(spec, name) for name in _FIELDS}
        # The type is part of the key: an empty tuple and an empty set are other things, but "" and () are not equal.
        shared = replace(
            spec, **{name: parts.setdefault((type(value), value), value) for name, value in values.items()}
        )
        same: JobSpec = parts.setdefault((JobSpec, shared), shared)
        return same
