"""What a request for a step may say: numbers within their bounds, words that the agents can read."""

from operator import attrgetter

from sluice import cpu_bind, gpu_bind, mem_bind
from sluice.bounds import COUNT_MAX, SIZE_MAX, check_range
from sluice.errors import InvalidRequest
from sluice.model.request import StepSpec

_COUNTS = (
    "ntasks",
    "min_nodes",
    "max_nodes",
    "cpus_per_task",
    "ntasks_per_node",
    "relative",
    "srun_pid",
    "threads_per_core",
    "ntasks_per_core",
    "ntasks_per_socket",
)
_SIZES = ("memory_per_node_mib", "memory_per_cpu_mib", "limit_s")

_counts_of, _sizes_of = attrgetter(*_COUNTS), attrgetter(*_SIZES)


def check_step_spec(spec: StepSpec) -> None:
    """Raise InvalidRequest for what can be no step's request."""
    check_range(_COUNTS, _counts_of(spec), COUNT_MAX)
    check_range(_SIZES, _sizes_of(spec), SIZE_MAX)
    if spec.ports < -1:
        raise InvalidRequest(
            f"{spec.ports} ports requested, possible is -1 (as many as tasks on a node) and up", "ports"
        )
    for gres in (*spec.gres_per_node, *spec.gres_per_step, *spec.gres_per_task):
        check_range((f"gres {gres.name}",), (gres.count,), COUNT_MAX)
    for text, language in ((spec.cpu_bind, cpu_bind), (spec.mem_bind, mem_bind), (spec.gpu_bind, gpu_bind)):
        if text:
            language.parse(text)
