"""scontrol create, update and delete reservation: what is wrong by itself is refused here, with Slurm's words.

Source: CONTRACT section 8.1; the words as Slurm 22.05 has them.
"""

from __future__ import annotations

import time

from sluice import duration, reservation_flags, timepoint
from sluice.errors import InvalidRequest, RequestError, SluiceError
from sluice_cli import client, talk
from sluice_cli.scontrol_change import put_lines
from sluice_cli.scontrol_session import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.scontrol_session import Session

    Pairs = list[tuple[str, str]]

_NAME_LETTERS_MIN = 3
_RESOURCE_KEYS = ("nodes", "nodecnt", "nodecount", "corecnt", "corecount", "tres", "licenses", "license", "burstbuffer")
_PARTITION_KEYS = ("partitionname", "partition")
_WHO_KEYS = ("users", "user", "groups", "group", "accounts", "account", "qos")
_OTHER_KEYS = (
    *("starttime", "endtime", "duration", "features", "feature", "flags", "flag", "maxstartdelay", "skip", "comment"),
    *("allowedpartitions", "watts"),
)
_KEYS = frozenset((*_RESOURCE_KEYS, *_PARTITION_KEYS, *_WHO_KEYS, *_OTHER_KEYS))
_TIMES = {"starttime": "start", "endtime": "end"}


class _Refused(Exception):
    """A command line that is wrong by itself; the lines go to stderr."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines


def create(session: Session, words: list[str]) -> None:
    """scontrol create reservation [NAME] KEY=VALUE ..."""
    ending = "  No reservation created."
    try:
        name, changes = _read(words, ending)
        _check_complete(changes, ending)
    except _Refused as refusal:
        for line in refusal.lines:
            session.fail(line)
        return
    body = {"name": name, "action": "create", "changes": changes}
    try:
        put_lines(session.call("UpdateReservation", body).get("lines", ()))
    except SluiceError as error:
        _tell_detail(session, error)
        session.fail(f"Error creating the reservation: {_sentence(error)}")


def update(session: Session, words: list[str]) -> None:
    """scontrol update reservationname=NAME KEY=VALUE ... [skip]"""
    try:
        name, changes = _read(words, "  No reservation update.")
    except _Refused as refusal:
        for line in refusal.lines:
            session.fail(line)
        return
    try:
        session.call("UpdateReservation", {"name": name, "changes": changes})
    except SluiceError as error:
        _tell_detail(session, error)
        session.fail(f"Error updating the reservation: {_sentence(error)}")
        session.fail(f"slurm_update error: {_sentence(error)}")
        return
    talk.put("Reservation updated.\n")


def delete(session: Session, name: str) -> None:
    """scontrol delete reservationname=NAME"""
    try:
        session.call("UpdateReservation", {"name": name, "action": "delete"})
    except SluiceError as error:
        _tell_detail(session, error)
        session.fail(f"delete_reservation reservationname={name}: {_sentence(error)}")


def _tell_detail(session: Session, error: SluiceError) -> None:
    """Say first what stands against it, with the numbers; Slurm's sentence follows."""
    if isinstance(error, RequestError) and error.code == "not_permitted":
        return
    if text := client.detail(error):
        session.fail_named(text)


def _sentence(error: SluiceError) -> str:
    if isinstance(error, RequestError) and error.code == "not_permitted":
        return "Invalid user id"
    return sentence(error)


def is_name_key(key: str) -> bool:
    """Is this ReservationName, or the beginning of it, in lower case?"""
    return len(key) >= _NAME_LETTERS_MIN and "reservationname".startswith(key)


def _read(words: list[str], ending: str) -> tuple[str, Pairs]:
    """Return the name and the changes as typed; "skip" is a word without a value.  Raises _Refused."""
    name = ""
    changes: Pairs = []
    for place, word in enumerate(words):
        key, equals, value = word.partition("=")
        lower = key.lower()
        if is_name_key(lower) and not name:
            name = value
        elif not equals and place and is_name_key(words[place - 1].lower()) and not name:
            name = word
        elif not equals and lower != "skip":
            raise _Refused(f"scontrol: error: Unknown parameter {word}.{ending}")
        else:
            _check(key, value, ending)
            changes.append((key, value))
    return name, changes


def _check(key: str, value: str, ending: str) -> None:
    """Refuse a value that needs no controller to be wrong."""
    lower = key.rstrip("+-").lower()
    if lower not in _KEYS:
        raise _Refused(f"scontrol: error: Unknown parameter {key}={value}.{ending}")
    if lower in _TIMES:
        try:
            timepoint.parse(value, time.time())
        except InvalidRequest as error:
            raise _Refused(
                error.message, f"scontrol: error: Invalid {_TIMES[lower]} time {key}={value}.{ending}"
            ) from None
    elif lower in ("duration", "maxstartdelay") and value:
        try:
            duration.parse(value)
        except InvalidRequest:
            word = "duration" if lower == "duration" else "MaxStartDelay"
            raise _Refused(f"scontrol: error: Invalid {word} {key}={value}.{ending}") from None
    elif lower in ("nodecnt", "nodecount", "corecnt", "corecount"):
        word = "node" if lower.startswith("node") else "core"
        if not all(_is_count(each) for each in value.split(",")):
            raise _Refused(f"scontrol: error: Invalid {word} count {value}")
    elif lower in ("flags", "flag"):
        try:
            reservation_flags.parse(value)
        except InvalidRequest:
            raise _Refused(f"scontrol: error: Error parsing flags {value}.{ending}") from None


def _is_count(text: str) -> bool:
    digits = text[:-1] if text[-1:].lower() in ("k", "m") else text
    return digits.isascii() and digits.isdigit()


def _check_complete(changes: Pairs, ending: str) -> None:
    """Raise _Refused for a new reservation that lacks something, or asks for what excludes each other."""
    values = {key.rstrip("+-").lower(): value for key, value in changes}

    def refuse(text: str) -> _Refused:
        return _Refused(f"scontrol: error: {text}{ending}")

    flags = reservation_flags.parse(values.get("flags") or values.get("flag", ""))[0]
    has_partition = any(values.get(key) for key in _PARTITION_KEYS)
    if "starttime" not in values:
        raise refuse("A start time must be given.")
    if "duration" not in values and "endtime" not in values:
        raise refuse("An end time or duration must be given.")
    if "endtime" in values and "duration" not in values:
        now_at = time.time()
        if timepoint.parse(values["starttime"], now_at) > timepoint.parse(values["endtime"], now_at):
            raise refuse("Start time cannot be after end time.")
    if "PART_NODES" in flags and not (has_partition and values.get("nodes", "").upper() == "ALL"):
        raise refuse("PART_NODES flag requires specifying a Partition and ALL nodes.")
    if not has_partition and all(values.get(key, "") in ("", "0") for key in _RESOURCE_KEYS):
        raise refuse("CoreCnt, Nodes, NodeCnt, BurstBuffer, Licenses or Watts must be specified.")
    who = {key.removesuffix("s") for key in _WHO_KEYS if values.get(key)}
    if {"user", "group"} <= who:
        raise refuse("Users and Groups are mutually exclusive.  You can have one or the other, but not both.")
    if not who:
        raise refuse("Either Users/Groups and/or Accounts must be specified.")
