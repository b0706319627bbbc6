"""scontrol update, create and delete: key=value words, the entity being told by one of the keys.

What is wrong by itself is refused here, with the words that Slurm has for it; the rest is the controller's.
"""

from __future__ import annotations

import time

from sluice import duration, size, timepoint
from sluice.errors import InvalidRequest, RequestError, SluiceError
from sluice_cli import scontrol_reservation
from sluice_cli.scontrol_change import put_lines, split_ids
from sluice_cli.scontrol_session import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.scontrol_session import Session

    Map = dict[str, Any]
    Pairs = list[tuple[str, str]]

#: Keys of jobs (CONTRACT section 8.1); what of them can be changed in which state is the controller's to say.
_JOB_KEYS = frozenset(
    (
        *("timelimit", "partition", "priority", "nice", "numnodes", "reqnodes", "numcpus", "reqcpus", "mincpus"),
        *(
            "numtasks",
            "reqprocs",
            "name",
            "comment",
            "dependency",
            "starttime",
            "endtime",
            "qos",
            "account",
            "features",
        ),
        *("gres", "minmemorynode", "minmemorycpu", "requeue", "arraytaskthrottle", "reqnodelist", "excnodelist"),
        *("nodelist", "stdout", "stderr", "stdin", "reservationname", "reservation", "licenses", "timemin", "deadline"),
        *("eligibletime", "mincpusnode", "oversubscribe", "shared", "workdir", "mailtype", "mailuser", "admincomment"),
        *("prefer", "cpuspertask", "taskspernode", "switches", "contiguous", "extra", "wckey", "userid"),
        *("mintmpdisknode", "reqsockets", "reqcores", "reqthreads", "clusters", "clusterfeatures", "burstbuffer"),
        *("systemcomment", "resetaccruetime", "delayboot", "exclusive", "corespec", "container", "network"),
    )
)
_NODE_KEYS = frozenset(
    (
        *("state", "reason", "activefeatures", "availablefeatures", "features", "weight", "gres", "comment", "extra"),
        *("resumeafter", "nodeaddr", "nodehostname", "cpubind", "instanceid", "instancetype", "topology", "certtoken"),
    )
)
_NODE_STATES = frozenset(
    (
        *("NORESP", "DRAIN", "FAIL", "FUTURE", "RESUME", "POWER_DOWN", "POWER_UP", "UNDRAIN", "DOWN", "IDLE"),
        *("POWER_DOWN_ASAP", "POWER_DOWN_FORCE", "CANCEL_REBOOT"),
    )
)
_NEEDS_REASON = ("DOWN", "DRAIN", "FAIL")
_NO_REASON = "You must specify a reason when DOWNING or DRAINING a node. Request denied"
_PARTITION_STATES = ("UP", "DOWN", "DRAIN", "INACTIVE")
_PARTITION_TIMES = ("maxtime", "defaulttime")
_SIZES = {"minmemorynode": "MinMemoryNode", "minmemorycpu": "MinMemoryCPU"}
_NUMBERS = {"requeue": "Requeue", "arraytaskthrottle": "ArrayTaskThrottle", "mincpusnode": "MinCPUsNode"}
_TIMES = ("starttime", "endtime", "eligibletime", "deadline")


class _Refused(Exception):
    """A value that is wrong by itself; the lines go to stderr."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines


def update(session: Session, words: list[str]) -> None:
    """scontrol update ..."""
    if not words:
        session.fail("too few arguments for update keyword")
        return
    if _is_of_reservation(words):
        scontrol_reservation.update(session, words)
        return
    try:
        pairs = _read_pairs(words)
        entity = _entity_of(pairs)
        if entity == "job":
            _update_jobs(session, pairs)
        elif entity == "node":
            _update_nodes(session, pairs)
        elif entity == "partition":
            _update_partition(session, pairs)
        elif entity == "step":
            raise _Refused("slurm_update error: Requested operation is presently disabled")
        else:
            raise _Refused(
                "No valid entity in update command",
                'Input line must include "NodeName", "PartitionName", "Reservation", "JobId", or "SlurmctldDebug"',
            )
    except _Refused as refusal:
        for line in refusal.lines:
            session.fail(line)


def create(session: Session, words: list[str]) -> None:
    """scontrol create partition|reservation|node ..."""
    kind, pairs = _read_kind(words)
    name = _value(pairs, "partitionname")
    if kind == "partition" and name:
        rest = [(key, value) for key, value in pairs if key.lower() != "partitionname"]
        try:
            _check_partition(rest)
        except _Refused as refusal:
            for line in refusal.lines:
                session.fail(line)
            return
        _request(
            session,
            "UpdatePartition",
            {"name": name, "action": "create", "changes": rest},
            "slurm_create_partition error",
        )
    elif kind == "reservation":
        scontrol_reservation.create(session, words)
    elif kind == "node":
        session.fail("Error creating the node: Requested operation is presently disabled")
    else:
        session.fail("No valid entity in create command")
        session.fail('Input line must include "Reservation" or "PartitionName"')


def delete(session: Session, words: list[str]) -> None:
    """scontrol delete partitionname=... | reservationname=..."""
    if not words:
        session.fail("too few arguments for keyword:delete")
        return
    kind, pairs = _read_kind(words)
    if kind == "partition":
        name = _value(pairs, "partitionname")
        text = f"delete_partition partitionname={name}"
        _request(session, "UpdatePartition", {"name": name, "action": "delete"}, text)
    elif kind == "reservation":
        name = _value(pairs, "reservationname")
        scontrol_reservation.delete(session, name)
    else:
        session.fail(f"invalid entity:{words[0]} for keyword:delete")


def _is_of_reservation(words: list[str]) -> bool:
    """Is a reservation changed?  A job's ReservationName is one of the job's keys."""
    keys = [word.partition("=")[0].lower() for word in words]
    is_named = any(map(scontrol_reservation.is_name_key, keys))
    return is_named and not any(key.startswith("job") for key in keys)


def _read_kind(words: list[str]) -> tuple[str, Pairs]:
    """Return the entity, and the pairs; the entity may be a word of its own before its name."""
    pairs: Pairs = []
    kind = ""
    for place, word in enumerate(words):
        key, equals, value = word.partition("=")
        entity = next((each for each in ("partition", "reservation", "node") if key.lower().startswith(each)), "")
        if not entity and scontrol_reservation.is_name_key(key.lower()):
            entity = "reservation"
        if entity and not kind:
            kind = entity
            if equals:
                pairs.append((f"{entity}name", value))
            elif place + 1 < len(words) and "=" not in words[place + 1]:
                pairs.append((f"{entity}name", words[place + 1]))
        elif equals:
            pairs.append((key, value))
    return kind, pairs


def _read_pairs(words: list[str]) -> Pairs:
    """Return (key, value) as typed: `key=value`, or two words `key value`.  Raises _Refused."""
    pairs: Pairs = []
    position = 0
    while position < len(words):
        key, equals, value = words[position].partition("=")
        position += 1
        if not equals:
            if position >= len(words) or "=" in words[position]:
                raise _Refused(f"Invalid input: {key}", "Request aborted")
            value = words[position]
            position += 1
        pairs.append((key, value))
    return pairs


def _entity_of(pairs: Pairs) -> str:
    for key, _ in pairs:
        lower = key.lower()
        if lower in ("job", "jobid", "jobs", "jobname"):
            return "job"
        for entity, least in (("nodename", 4), ("partitionname", 9), ("reservationname", 11), ("stepid", 4)):
            if len(lower) >= least and entity.startswith(lower):
                is_jobs = any(other.lower().startswith("job") for other, _ in pairs)
                return "job" if is_jobs else entity.removesuffix("name").removesuffix("id")
    return ""


def _value(pairs: Pairs, *names: str) -> str:
    return next((value for key, value in pairs if key.lower() in names), "")


def _update_jobs(session: Session, pairs: Pairs) -> None:
    ids: list[str] = []
    names: list[str] = []
    changes: Pairs = []
    for key, value in pairs:
        lower = key.lower()
        if lower in ("job", "jobid", "jobs"):
            ids += split_ids(value)
        elif lower == "jobname" and not ids:
            names.append(value)
        else:
            changes.append(("name" if lower == "jobname" else key, value))
    for key, value in changes:
        _check_job_key(key, value)
    changes = [pair for pair in changes if pair[0].lower() != "userid"]
    if not changes:
        raise _Refused("No changes specified")
    for text in ids:
        _update_job(session, {"ids": [text], "changes": changes}, text)
    for name in names:
        _update_job(session, {"names": [name], "changes": changes}, name)


def _update_job(session: Session, body: Map, text: str) -> None:
    try:
        reply = session.call("UpdateJobs", body)
    except SluiceError as error:
        if isinstance(error, RequestError) and error.code == "invalid_job" and "names" in body:
            session.fail_named(f"No jobs with name '{text}'")
        elif isinstance(error, RequestError):
            said = "Invalid job id specified" if error.code == "invalid_job_id" else sentence(error)
            session.fail(f"{said} for job {text}")
        else:
            session.fail(f"slurm_update error: {sentence(error)}")
        return
    for warning in reply.get("warnings", ()):
        session.voice.lines(warning)
    for line in reply.get("lines", ()):
        session.fail(line)


def _check_job_key(key: str, value: str) -> None:
    """Refuse what needs no controller to be wrong."""
    lower = key.lower().rstrip("+-")
    if lower not in _JOB_KEYS:
        raise _Refused(f"Update of this parameter is not supported: {key}={value}", "Request aborted")
    try:
        if lower in ("timelimit", "timemin"):
            duration.parse(value.lstrip("+-") if value != "-1" else value)
        elif lower in _SIZES:
            size.parse_mib(value)
        elif lower in _TIMES and value:
            timepoint.parse(value, time.time())
        elif lower in _NUMBERS and not value.isdecimal():
            raise InvalidRequest(value)
    except InvalidRequest as error:
        raise _bad_value(lower, value, error) from None


def _bad_value(key: str, value: str, error: InvalidRequest) -> _Refused:
    if key in ("timelimit", "timemin"):
        return _Refused(f"scontrol: error: Invalid {'TimeLimit' if key == 'timelimit' else 'TimeMin'} value")
    if key in _TIMES:
        return _Refused(error.message, "No changes specified")
    name = _SIZES.get(key) or _NUMBERS[key]
    return _Refused(f"scontrol: error: Invalid {name} value: {value}")


def _update_nodes(session: Session, pairs: Pairs) -> None:
    nodes = next(value for key, value in pairs if "nodename".startswith(key.lower()))
    changes = [(key, value) for key, value in pairs if not "nodename".startswith(key.lower())]
    for key, value in changes:
        if key.lower() not in _NODE_KEYS:
            raise _Refused(f"Update of this parameter is not supported: {key}={value}", "Request aborted")
    state = _value(changes, "state")
    if state and state.upper() not in _NODE_STATES:
        raise _Refused(
            f"Invalid input: state={state}",
            "Request aborted",
            "Valid states are: NoResp DRAIN FAIL FUTURE RESUME POWER_DOWN POWER_UP UNDRAIN",
            "Not all states are valid given a node's prior state",
        )
    if state.upper() in _NEEDS_REASON and not _value(changes, "reason"):
        raise _Refused(_NO_REASON)
    if not changes:
        raise _Refused("No changes specified")
    _request(session, "UpdateNodes", {"nodes": nodes, "changes": changes}, "slurm_update error")


def _update_partition(session: Session, pairs: Pairs) -> None:
    def is_name(key: str) -> bool:
        return len(key) >= len("partition") and "partitionname".startswith(key.lower())

    name = next(value for key, value in pairs if is_name(key))
    changes = [(key, value) for key, value in pairs if not is_name(key)]
    if not changes:
        raise _Refused("No changes specified")
    _check_partition(changes)
    _request(session, "UpdatePartition", {"name": name, "changes": changes}, "slurm_update error")


def _check_partition(changes: Pairs) -> None:
    for key, value in changes:
        lower = key.lower()
        if lower == "state" and value.upper() not in _PARTITION_STATES:
            raise _Refused(
                f"scontrol: error: Invalid input: {key}={value}",
                "scontrol: error: Acceptable State values are UP, DOWN, DRAIN and INACTIVE",
            )
        if lower in _PARTITION_TIMES:
            try:
                duration.parse(value)
            except InvalidRequest:
                raise _Refused(f"scontrol: error: Invalid input {key}={value}") from None


def _request(session: Session, name: str, body: Map, frame: str) -> None:
    """Send a request of an administrator; say after *frame* why it was refused."""
    try:
        put_lines(session.call(name, body).get("lines", ()))
    except SluiceError as error:
        if isinstance(error, RequestError) and error.code == "not_permitted":
            # What Slurm says to users who ask for what is an administrator's.
            session.fail(f"{frame}: Invalid user id")
            return
        if isinstance(error, RequestError) and error.code == "reason":
            session.fail(error.message)
            return
        if isinstance(error, RequestError) and error.code == "disabled":
            # The sentence does not tell what would enable it.
            session.fail_named(error.message)
        session.fail(f"{frame}: {sentence(error)}")


def reboot(session: Session, words: list[str]) -> None:
    """scontrol reboot [ASAP] [nextstate=RESUME|DOWN] [reason=TEXT] NODES|ALL"""
    state, changes, nodes = "REBOOT", [], []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key.lower() in ("nextstate", "reason"):
            changes.append((key.lower(), value))
        elif word.lower() == "asap":
            state = "REBOOT_ASAP"
        else:
            nodes.append(word)
    _change_boot(session, "reboot", ",".join(nodes), [("state", state), *changes])


def cancel_reboot(session: Session, words: list[str]) -> None:
    """scontrol cancel_reboot NODES"""
    _change_boot(session, "cancel_reboot", ",".join(words), [("state", "CANCEL_REBOOT")])


def _change_boot(session: Session, verb: str, nodes: str, changes: list[tuple[str, str]]) -> None:
    if not nodes:
        session.fail(f"too few arguments for keyword:{verb}")
        return
    _request(session, "UpdateNodes", {"nodes": nodes, "changes": changes}, f"{verb}: error")
