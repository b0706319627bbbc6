"""JobSubmitPlugins=all_partitions: a job that names no partition may run in any that is open."""

from msgspec.structs import replace

from sluice.model.request import JobSpec
from sluice_plugins.interfaces import Submission


class AllPartitions:
    """Names every partition that accepts jobs, the default one first."""

    def filter(self, spec: JobSpec, submission: Submission) -> JobSpec:
        if spec.partitions:
            return spec
        is_open = [partition for partition in submission.partitions if partition.state in ("UP", "DOWN")]
        ordered = sorted(is_open, key=lambda partition: not partition.is_default)
        return replace(spec, partitions=tuple(partition.name for partition in ordered))
