"""The numbers of a job's request, and of what administrators change: within their bounds, or refused."""

import math
from operator import attrgetter

from sluice.bounds import COUNT_MAX, SIZE_MAX, check_range
from sluice.errors import InvalidRequest
from sluice.model.request import JobSpec

#: The last second of the year 9999: what every calendar can print.
TIME_MAX_AT = 253402300799.0

_COUNTS = (
    *("min_nodes", "max_nodes", "ntasks", "cpus_per_task", "ntasks_per_node", "ntasks_per_core", "ntasks_per_socket"),
    *("min_cpus_per_node", "cpus_per_gpu", "sockets_per_node", "cores_per_socket", "threads_per_core", "core_spec"),
    *("priority", "array_throttle", "uid", "gid", "submit_sid", "segment"),
)
_SIZES = (
    *("memory_per_node_mib", "memory_per_cpu_mib", "memory_per_gpu_mib", "tmp_disk_mib"),
    *("limit_s", "min_limit_s", "immediate_s"),
)
_TIMES = ("begin_at", "deadline_at")
_TERM = ("a dependency's job", "a dependency's task", "a dependency's delay")
_SIGNAL = ("a signal", "a signal's seconds before the limit")
_GRES = ("gres_per_node", "gres_per_job", "gres_per_task", "gres_per_socket")
_NICE_MAX = 2**31 - 1
_UMASK_MAX = 0o7777

_counts_of, _sizes_of = attrgetter(*_COUNTS), attrgetter(*_SIZES)


def read_count(text: str) -> int:
    """Return the number that *text* is.  Raises InvalidRequest if it is none, or beyond COUNT_MAX."""
    if not (text.isascii() and text.isdecimal()):
        raise InvalidRequest(f"{text!r} is not a number")
    # Few digits: Python refuses to read thousands of them, and nobody wants to see them again.
    if len(text) > 15 or int(text) > COUNT_MAX:
        raise InvalidRequest(f"{text[:20]!r} is too large, at most {COUNT_MAX} is taken")
    return int(text)


def check_numbers(spec: JobSpec) -> None:
    """Raise InvalidRequest for a number of the request that is out of every range."""
    check_range(_COUNTS, _counts_of(spec), COUNT_MAX)
    check_range(_SIZES, _sizes_of(spec), SIZE_MAX)
    # What is shown of a job is their product.
    tasks = max(spec.ntasks, spec.min_nodes * max(spec.ntasks_per_node or 1, spec.min_cpus_per_node or 1))
    check_range(("CPUs",), (tasks * spec.cpus_per_task,), SIZE_MAX)
    if not -_NICE_MAX <= spec.nice <= _NICE_MAX:
        raise InvalidRequest(f"nice {spec.nice} requested, possible is {-_NICE_MAX} to {_NICE_MAX}", "nice")
    if not 0 <= spec.umask <= _UMASK_MAX:
        raise InvalidRequest(f"umask {spec.umask:o} requested, possible is 0 to {_UMASK_MAX:o}")
    for name in _TIMES:
        at = getattr(spec, name)
        if at is not None and not (math.isfinite(at) and 0 <= at <= TIME_MAX_AT):
            raise InvalidRequest(f"{name.replace('_', ' ')} {at} requested, possible is 0 to {TIME_MAX_AT:.0f}")
    for name in _GRES:
        for gres in getattr(spec, name):
            check_range((f"{name} {gres.name}",), (gres.count,), COUNT_MAX)
    for term in spec.dependency.terms:
        check_range(_TERM, (term.job_id, term.task_id, term.delay_s), SIZE_MAX)
    if spec.warn_signal is not None:
        check_range(_SIGNAL, (spec.warn_signal.number, spec.warn_signal.before_s), COUNT_MAX)
