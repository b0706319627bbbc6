"""--mpi=pmix: the PMIx server of the installed libpmix, which says itself what its clients' environment needs."""

from sluice_plugins.interfaces import MpiServer, MpiTask


class Pmix:
    server = MpiServer.PMIX
    dropped = ("PMIX_", "PMI_", "OMPI_COMM_WORLD_")

    def variables(self, task: MpiTask) -> dict[str, str]:
        return dict(task.server_variables)
