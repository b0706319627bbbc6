"""--mpi and --launch: which there are on this host.  The nodes load the plugins themselves.

Source: CONTRACT.md section 4; Slurm's words for --mpi=list.
"""

from __future__ import annotations

from sluice import pmix_version
from sluice_cli.draft import REFUSED_EXIT, OptionError
from sluice_cli.layers import COMMAND_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.draft import Draft

#: The built-in ones; looking for others costs more than the rest of the start.
_MPI = ("none", "pmi2", "pmix")
_LAUNCH = ("env", "torchrun")


def answer(draft: Draft) -> str:
    """Return the answer to --mpi=list or --launch=list, empty for a step.  Raises OptionError for an unknown name."""
    mpi, launch = draft.own.get("mpi"), draft.own.get("launch", "")
    if mpi == "list":
        versions = f"specific pmix plugin versions available: {','.join(pmix_version.NAMES)}\n"
        return "MPI plugin types are...\n" + _listed(_names("mpi", _MPI)) + versions
    if launch == "list":
        return "Launchers are...\n" + _listed(_names("launch", _LAUNCH))
    # A variable that is empty is as one that is not set.
    is_named = bool(mpi) or draft.given.get("mpi") == COMMAND_LINE
    if is_named and mpi not in (*_MPI, *pmix_version.NAMES) and mpi not in (known := _names("mpi", _MPI)):
        types = ", ".join((*known, *pmix_version.NAMES))
        text = f"Invalid MPI type '{mpi}', --mpi=list for acceptable types: {types}"
        raise OptionError(text, exit_code=REFUSED_EXIT)
    if launch and launch not in _LAUNCH and launch not in (known := _names("launch", _LAUNCH)):
        text = f"Invalid launcher '{launch}', --launch=list for acceptable ones: {', '.join(known)}"
        raise OptionError(text, exit_code=REFUSED_EXIT)
    return ""


def _names(kind: str, built_in: tuple[str, ...]) -> list[str]:
    """Return the names of the installed plugins of a kind."""
    from importlib.metadata import entry_points

    return sorted({*built_in, *(point.name for point in entry_points(group=f"sluice.{kind}"))})


def _listed(names: list[str]) -> str:
    return "".join(f"\t{name}\n" for name in names)
