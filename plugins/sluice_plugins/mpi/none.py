"""--mpi=none: programs that need nothing, and launchers that wire up what they start themselves."""

from sluice_plugins.interfaces import MpiServer, MpiTask


class NoMpi:
    server = MpiServer.NONE
    dropped: tuple[str, ...] = ()

    def variables(self, task: MpiTask) -> dict[str, str]:
        return {}
