"""What of the submitter's surroundings goes with a job: variables, resource limits, umask, host and session.

--export decides on the variables: ALL of them (the default), NONE and NIL only SLURM_*, a list those named; every
list may hold NAME=value.  SLURM_EXPORT_ENV repeats the choice to srun inside the job.

Source: CONTRACT.md sections 2.4 and 3.2.
"""

from __future__ import annotations

import os

from sluice_cli.draft import REFUSED_EXIT, OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LIMITS = ("AS", "CORE", "CPU", "DATA", "FSIZE", "MEMLOCK", "NOFILE", "NPROC", "RSS", "STACK")
_FILE_SIZE_MAX = 16 * 1024 * 1024


def exported(choice: str, environment: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the variables of *environment* that --export=*choice* names ("" is ALL)."""
    words = [word for word in choice.split(",") if word]
    kinds = {word.upper() for word in words}
    if not words or "ALL" in kinds:
        kept = dict(environment)
    else:
        kept = {name: value for name, value in environment.items() if name.startswith(b"SLURM_")}
    for word in split_names(choice):
        name, equals, value = os.fsencode(word).partition(b"=")
        if equals:
            kept[name] = value
        elif name in environment:
            kept[name] = environment[name]
    return kept


def split_names(choice: str) -> list[str]:
    """Return the names and assignments of an --export value; quotes keep commas together: A='1,2',B."""
    words: list[str] = []
    word = ""
    quote = ""
    for character in choice + ",":
        if quote:
            if character == quote:
                quote = ""
            else:
                word += character
        elif character in "'\"":
            quote = character
        elif character == ",":
            if word and word.upper() not in ("ALL", "NONE", "NIL"):
                words.append(word)
            word = ""
        else:
            word += character
    return words


def needs_login(choice: str) -> bool:
    """Tell whether the choice implies --get-user-env: without ALL a job has what a login on its node gives."""
    words = {word.upper() for word in choice.split(",") if word}
    return bool(words) and not words & {"ALL", "NIL"}


def submission_variables() -> dict[bytes, bytes]:
    """Return the variables with which a submission describes itself."""
    umask = current_umask()
    return {
        b"SLURM_SUBMIT_DIR": os.fsencode(current_folder()),
        b"SLURM_SUBMIT_HOST": os.fsencode(os.uname().nodename),
        b"SLURM_PRIO_PROCESS": b"%d" % os.getpriority(os.PRIO_PROCESS, 0),
        b"SLURM_UMASK": b"%04o" % umask,
    }


def current_folder() -> str:
    """Return the working directory.  Raises OptionError where it has been removed."""
    try:
        return os.getcwd()
    except OSError as error:
        text = f"getcwd failed: {error.strerror}; change to a directory that exists"
        raise OptionError(text, exit_code=REFUSED_EXIT, is_fatal=True) from None


def current_umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def encode(variables: Mapping[bytes, bytes]) -> list[bytes]:
    """Return the variables as NAME=value."""
    return [name + b"=" + value for name, value in variables.items()]


def read_export_file(where: str) -> dict[bytes, bytes]:
    """Return the NUL separated variables of a file or of an open descriptor's number.  Raises OptionError."""
    try:
        descriptor = int(where) if where.isdigit() else os.open(where, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(_FILE_SIZE_MAX)
    except OSError:
        raise OptionError(f"Could not open user environment file {where}", exit_code=REFUSED_EXIT) from None
    return _pairs(content.split(b"\0"))


def _pairs(entries: Iterable[bytes]) -> dict[bytes, bytes]:
    pairs = (entry.partition(b"=") for entry in entries)
    return {name: value for name, equals, value in pairs if name and equals}


def limits(names: Iterable[str]) -> list[tuple[str, int, int]]:
    """Return (name, soft, hard) of the resource limits to set; names: ALL, NONE or some of them."""
    import resource

    asked = set(names)
    chosen = [name for name in _LIMITS if "ALL" in asked or name in asked]
    found: list[tuple[str, int, int]] = []
    for name in [] if "NONE" in asked else chosen:
        soft, hard = resource.getrlimit(getattr(resource, "RLIMIT_" + name))
        found.append((name, soft, hard))
    return found
