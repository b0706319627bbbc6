"""scontrol hold, uhold, release, requeue, requeuehold, suspend, resume, top: one request a job, one line a refusal."""

from __future__ import annotations

from sluice.errors import RequestError, SluiceError
from sluice_cli import talk
from sluice_cli.scontrol_session import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.scontrol_session import Session

    Map = dict[str, Any]

#: After these a refusal is told once more for the whole request.
_HOLDS = ("hold", "uhold", "release")


def change_jobs(session: Session, action: str, words: list[str]) -> None:
    """Do *action* to the jobs that *words* name."""
    body, ids, names = _read(action, words)
    if not ids and not names:
        session.fail(f"too few arguments for keyword:{action}")
        return
    for name in names:
        # No job of that name is no error.
        _change(session, {**body, "names": [name]}, "")
    for text in ids:
        _change(session, {**body, "ids": [text]}, text)


def _read(action: str, words: list[str]) -> tuple[Map, list[str], list[str]]:
    """Return the request without its jobs, the job ids, and the job names."""
    body: Map = {"action": action}
    ids: list[str] = []
    names: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        lower = key.lower()
        if not equals and lower == "incomplete":
            body["is_incomplete"] = True
        elif equals and lower == "state" and value.lower() == "specialexit":
            body["is_special_exit"] = True
        elif equals and lower in ("jobname", "name"):
            names += value.split(",")
        elif equals and lower in ("jobid", "job", "jobs"):
            ids += split_ids(value)
        else:
            ids += split_ids(word)
    return body, ids, names


def _change(session: Session, body: Map, text: str) -> None:
    try:
        lines = session.call("ChangeJobs", body).get("lines", ())
    except SluiceError as error:
        if not text and isinstance(error, RequestError) and error.code == "invalid_job":
            return
        _tell(session, body["action"], error, text or body["names"][0])
        return
    for line in lines:
        session.fail(line)


def _tell(session: Session, action: str, error: SluiceError, text: str) -> None:
    said = _sentence(error)
    if isinstance(error, RequestError):
        session.fail(f"{said} for job {text}")
    if action in _HOLDS or not isinstance(error, RequestError):
        session.fail(f"slurm_suspend error: {said}")


def _sentence(error: SluiceError) -> str:
    if isinstance(error, RequestError) and error.code == "invalid_job_id":
        return "Invalid job id specified"
    return sentence(error)


def split_ids(text: str) -> list[str]:
    """Return the ids of a comma list; commas in brackets belong to an id."""
    ids: list[str] = []
    is_inside = False
    for piece in text.split(","):
        if is_inside:
            ids[-1] += "," + piece
        else:
            ids.append(piece)
        is_inside = ids[-1].count("[") > ids[-1].count("]")
    return [each for each in ids if each]


def put_lines(lines: tuple[str, ...] | list[str]) -> None:
    """Print what the controller has to say of a request that it did."""
    for line in lines:
        talk.put(line + "\n")
