"""The factor of where a job waits: the partition's PriorityJobFactor, against the largest of all."""

from sluice.model.priority import PriorityContext, Standing


class PartitionFactor:
    """NO_NORMAL_PART: the number itself."""

    def compute_of_standing(self, standing: Standing, context: PriorityContext) -> float:
        if context.setup.is_raw("PART"):
            return float(standing.partition_factor)
        return min(standing.partition_factor / max(context.partition_factor_max, 1), 1.0)
