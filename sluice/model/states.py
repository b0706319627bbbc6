"""Job, step and node states (CONTRACT section 13), with the short forms that listings print."""

from enum import StrEnum


class JobState(StrEnum):
    """The base state of a job; `completing` and `configuring` are facts beside it."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    NODE_FAIL = "NODE_FAIL"
    PREEMPTED = "PREEMPTED"
    BOOT_FAIL = "BOOT_FAIL"
    DEADLINE = "DEADLINE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"


class StepState(StrEnum):
    """The state of a step."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    NODE_FAIL = "NODE_FAIL"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"


class NodeState(StrEnum):
    """The base state of a node; idle, mixed and allocated follow from its allocations while it is UP."""

    UNKNOWN = "UNKNOWN"
    UP = "UP"
    DOWN = "DOWN"
    FUTURE = "FUTURE"


class Hold(StrEnum):
    """Who holds a pending job back."""

    NONE = ""
    USER = "user"
    ADMIN = "admin"


class Ending(StrEnum):
    """Why the processes of a job are being ended."""

    FINISHED = "finished"
    CANCEL = "cancel"
    TIME_LIMIT = "time limit"
    NODE_FAILURE = "node failure"
    REQUEUE = "requeue"
    PREEMPTION = "preemption"


class Notice(StrEnum):
    """What the programs of a job are told besides an Ending: nothing that ends them."""

    DRAIN = "drain"
    NEW_LIMIT = "new limit"
    SUSPEND = "suspend"
    RESUME = "resume"


ACTIVE_STATES = frozenset({JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED})
ENDED_STATES = frozenset(JobState) - ACTIVE_STATES

#: The signal number that a step and a job out of memory end with, larger than any signal (ExitCode 0:125).
OUT_OF_MEMORY_SIGNAL = 125
