"""The texts of a job's request that become those of a process: without a NUL, where C's strings end."""

from operator import attrgetter

from sluice.errors import InvalidRequest
from sluice.model.request import JobSpec

_TEXTS = ("work_dir", "std_in", "std_out", "std_err")
_texts_of = attrgetter(*_TEXTS)


def check_texts(spec: JobSpec) -> None:
    """Raise InvalidRequest for what a node could not start the job with."""
    for text in (*_texts_of(spec), *spec.arguments):
        if "\0" in text:
            raise InvalidRequest(f"{text[:80]!r} is a file, folder or argument, possible is text without NUL")


def check_environment(entries: tuple[bytes, ...]) -> None:
    """Raise InvalidRequest for what no process can have in its environment."""
    for entry in entries:
        if b"\0" in entry:
            raise InvalidRequest(f"{entry[:80]!r} is in the environment, possible is text without NUL")
