"""--uid and --gid of srun and salloc: what runs here belongs to that user, as the job does."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.draft import Draft


def become(draft: Draft) -> None:
    """Be the user and group that were asked for, for good; nobody else is meant where none was.  Raises OSError."""
    if not draft.has("uid", "gid"):
        return
    import pwd

    uid: int = draft.spec.get("uid", os.getuid())
    gid: int = draft.spec["gid"]
    os.setgid(gid)
    os.initgroups(draft.spec.get("user") or pwd.getpwuid(uid).pw_name, gid)
    os.setuid(uid)
