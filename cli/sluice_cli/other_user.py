"""--uid and --gid of srun and salloc: what runs here belongs to that user, as the job does."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sluice_cli.draft import Draft

#: What srun imports only where a step needs it.
NEEDS_OF_SRUN = (
    *("encodings.idna", "select", "zlib", "sluice.cpus_per_node", "sluice.cpuset", "sluice.hostlist"),
    *("sluice_cli.linked_mpi", "sluice_cli.shared_objects", "sluice_cli.srun_bcast", "sluice_cli.srun_het"),
    *("sluice_cli.srun_terminal", "sluice_cli.x11"),
)


def become(draft: Draft, needs: Iterable[str] = ()) -> None:
    """Be the user and group that were asked for, for good; nobody else is meant where none was.  Raises OSError.

    needs: modules to have before, for the installation may be out of that user's reach.
    """
    if not draft.has("uid", "gid"):
        return
    import importlib
    import pwd

    for name in needs:
        importlib.import_module(name)
    uid: int = draft.spec.get("uid", os.getuid())
    gid: int = draft.spec["gid"]
    os.setgid(gid)
    os.initgroups(draft.spec.get("user") or pwd.getpwuid(uid).pw_name, gid)
    os.setuid(uid)
