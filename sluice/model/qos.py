"""A QOS: a named bundle of limits, priority and preemption rights, overlaid on associations."""

from enum import StrEnum

from .base import Record
from .limits import QosLimits


class QosFlag(StrEnum):
    """What else a QOS does, as sacctmgr calls it."""

    DENY_ON_LIMIT = "DenyOnLimit"
    ENFORCE_USAGE_THRESHOLD = "EnforceUsageThreshold"
    NO_DECAY = "NoDecay"
    NO_RESERVE = "NoReserve"
    OVER_PART_QOS = "OverPartQOS"
    PARTITION_MAX_NODES = "PartitionMaxNodes"
    PARTITION_MIN_NODES = "PartitionMinNodes"
    PARTITION_TIME_LIMIT = "PartitionTimeLimit"
    RELATIVE = "Relative"
    REQUIRES_RESERVATION = "RequiresReservation"
    USAGE_FACTOR_SAFE = "UsageFactorSafe"


class Qos(Record, frozen=True, kw_only=True):
    """One QOS.

    usage_factor: what its jobs use counts so many times.  limit_factor: of the TRES limits of associations, for jobs
    with this QOS.  usage_threshold: the least fair-share factor with which its jobs run.
    """

    name: str
    description: str = ""
    priority: int = 0
    flags: frozenset[QosFlag] = frozenset()
    limits: QosLimits = QosLimits()
    usage_factor: float = 1.0
    usage_threshold: float | None = None
    limit_factor: float | None = None
    #: QOS whose jobs it may preempt.
    preempt: tuple[str, ...] = ()
    preempt_mode: str = ""
    #: None: the cluster's.
    preempt_exempt_s: int | None = None
    grace_s: int = 0
