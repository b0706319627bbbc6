"""Why a pending job does not start, or why a job ended as it did (CONTRACT section 14).

A Reason's value is the word that squeue prints.  A Blocker is one reason with the numbers that led to it; the
scheduler gives every blocker of a job, the first being the one that listings show.
"""

from enum import StrEnum

from .base import Record
from .limit_words import all_limit_words, member_name


class Reason(StrEnum):
    """The word that listings show.

    The words for limits follow patterns and come from limit_words.py: Reason(limit_word("AssocGrpTRES", "cpu")).
    """

    _ignore_ = "members word"

    NONE = "None"
    PRIORITY = "Priority"
    DEPENDENCY = "Dependency"
    DEPENDENCY_NEVER_SATISFIED = "DependencyNeverSatisfied"
    RESOURCES = "Resources"
    BEGIN_TIME = "BeginTime"
    JOB_HELD_USER = "JobHeldUser"
    JOB_HELD_ADMIN = "JobHeldAdmin"
    PARTITION_DOWN = "PartitionDown"
    PARTITION_INACTIVE = "PartitionInactive"
    PARTITION_NODE_LIMIT = "PartitionNodeLimit"
    PARTITION_TIME_LIMIT = "PartitionTimeLimit"
    PARTITION_CONFIG = "PartitionConfig"
    REQ_NODE_NOT_AVAIL = "ReqNodeNotAvail"
    LICENSES = "Licenses"
    RESERVATION = "Reservation"
    JOB_ARRAY_TASK_LIMIT = "JobArrayTaskLimit"
    BAD_CONSTRAINTS = "BadConstraints"
    CONSTRAINTS = "Constraints"
    NODE_DOWN = "NodeDown"
    NON_ZERO_EXIT_CODE = "NonZeroExitCode"
    TIME_LIMIT = "TimeLimit"
    JOB_LAUNCH_FAILURE = "JobLaunchFailure"
    SYSTEM_FAILURE = "SystemFailure"
    OUT_OF_MEMORY = "OutOfMemory"
    RAISED_SIGNAL = "RaisedSignal"
    DEADLINE = "DeadLine"
    PROLOG = "Prolog"
    CLEANING = "Cleaning"
    JOB_HOLD_MAX_REQUEUE = "JobHoldMaxRequeue"
    OUTPUT_NOT_WRITABLE = "OutputNotWritable"
    QOS_NOT_ALLOWED = "QOSNotAllowed"
    ACCOUNT_NOT_ALLOWED = "AccountNotAllowed"
    INVALID_ACCOUNT = "InvalidAccount"
    INVALID_QOS = "InvalidQOS"
    INACTIVE_LIMIT = "InactiveLimit"
    ACCOUNTING_POLICY = "AccountingPolicy"
    MAX_MEM_PER_LIMIT = "MaxMemPerLimit"
    ASSOCIATION_JOB_LIMIT = "AssociationJobLimit"
    ASSOCIATION_RESOURCE_LIMIT = "AssociationResourceLimit"
    ASSOCIATION_TIME_LIMIT = "AssociationTimeLimit"
    QOS_JOB_LIMIT = "QOSJobLimit"
    QOS_RESOURCE_LIMIT = "QOSResourceLimit"
    QOS_TIME_LIMIT = "QOSTimeLimit"
    QOS_USAGE_THRESHOLD = "QOSUsageThreshold"
    RESERVATION_DELETED = "ReservationDeleted"
    RESERVATION_INVALID = "ReservationInvalid"
    MPI_PORTS_BUSY = "MpiPortsBusy"
    SCHED_DEFER = "SchedDefer"
    BURST_BUFFER_RESOURCES = "BurstBufferResources"
    BURST_BUFFER_STAGE_IN = "BurstBufferStageIn"
    MAX_POWERED_UP_NODES = "MaxPoweredUpNodes"

    members = vars()
    for word in all_limit_words():
        members[member_name(word)] = word


class Blocker(Record, frozen=True, kw_only=True):
    """One cause that keeps a job waiting.

    text: the numbers, as a sentence fragment ("3 of 4 nodes free, needs 4; job 118 on n3 ends by 14:05").
    partition: which of several partitions it is about; "" where it is about the job.
    """

    reason: Reason
    text: str = ""
    partition: str = ""
