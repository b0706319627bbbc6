"""--mpi=pmi2: PMI-1 and PMI-2, as MPICH, MVAPICH2 and Intel MPI speak them; the program picks the version.

Variables of PMIx do not come through: MPICH 4.2 and later give up when they find both.
"""

from sluice_plugins.interfaces import MpiServer, MpiTask


class Pmi2:
    server = MpiServer.PMI
    dropped = ("PMIX_", "PMI_", "OMPI_COMM_WORLD_")

    def variables(self, task: MpiTask) -> dict[str, str]:
        return {
            "PMI_FD": str(task.descriptor),
            "PMI_RANK": str(task.rank),
            "PMI_SIZE": str(task.size),
            "PMI_JOBID": f"{task.job_id}.{task.step_id}",
        }
