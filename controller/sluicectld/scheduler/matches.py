"""Which shape a job was found to have in a partition: kept from pass to pass, so that most jobs cost one look-up.

Invariant: a match holds for the very job and partition that it names; another record of either is matched anew.
"""

from typing import Any, Final

from sluice.model.job import Job
from sluice.model.partition import Partition

from .shapes import Shape

#: Of a question that was not put together yet.
UNASKED: Final = object()


def is_plain_job(job: Job) -> bool:
    """Does nothing but what is free keep the job from starting?"""
    spec = job.spec
    is_alone = job.pending_array is None and job.array_task_id is None and len(spec.partitions) <= 1
    is_bound = job.is_component or spec.min_limit_s is not None or spec.licenses or spec.switches or spec.reservation
    return is_alone and not is_bound


class Match:
    """A job in a partition, and its shape there.  is_plain: as is_plain_job() has it."""

    __slots__ = ("is_plain", "job", "known_ask", "partition", "shape")

    def __init__(self, job: Job, partition: Partition, shape: Shape) -> None:
        self.job = job
        self.partition = partition
        self.shape = shape
        self.is_plain = is_plain_job(job)
        #: What find_ask() returned; UNASKED when it is to be asked.
        self.known_ask: Any = UNASKED

    def is_alike(self, job: Job, partition: Partition) -> bool:
        """Has this record of the job the same shape?  Only the request and the limit tell."""
        return self.partition is partition and self.job.spec is job.spec and self.job.limit_s == job.limit_s

    def find_ask(self) -> Any:
        """Return whether the job fits now as a question for the tracks (tail.py); None: that is not all that counts.

        Holds until other nodes are usable; then it is to be forgotten.
        """
        shape = self.shape
        is_askable = self.is_plain and shape.is_plain and shape.partition_blocker is None
        self.known_ask = shape.ask if is_askable else None
        return self.known_ask
