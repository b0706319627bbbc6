"""scontrol show hostnames, hostlist and hostlistsorted: notations of many node names, without the controller."""

from __future__ import annotations

import os

from sluice import hostlist
from sluice.errors import InvalidRequest
from sluice_cli import talk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.scontrol_session import Session

#: Where the list is when none is given; the second name is the old one.
_VARIABLES = ("SLURM_JOB_NODELIST", "SLURM_NODELIST")
_FILE_SIZE_MAX = 1 << 24


def show_hostnames(session: Session, text: str | None) -> None:
    """Print the names of a hostlist, a line each; without one that of the job we are in."""
    if text is None:
        text = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), None)
        if text is None:
            # The exit status stays: Slurm takes an empty list for no error.
            talk.plain(f"{session.voice.program}: error: host list is empty")
            return
    names = _expanded(session, text)
    if names:
        talk.put("\n".join(names) + "\n")


def show_hostlist(session: Session, text: str, is_sorted: bool) -> None:
    """Print the hostlist of names, or of the names in a file given by its absolute path."""
    if text.startswith("/"):
        try:
            with open(text, encoding="utf-8", errors="replace") as file:
                text = ",".join(file.read(_FILE_SIZE_MAX).split())
        except OSError as error:
            session.fail(f"Invalid hostlist file {text}: {error.strerror}")
            return
    names = _expanded(session, text)
    if names is None:
        return
    if is_sorted:
        names.sort(key=hostlist.natural_key)
    talk.put(hostlist.fold_in_order(names) + "\n")


def _expanded(session: Session, text: str) -> list[str] | None:
    try:
        return hostlist.expand(text)
    except InvalidRequest:
        session.fail(f"Invalid hostlist: {text}")
        return None
