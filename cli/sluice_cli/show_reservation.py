"""Reservations as scontrol show reservation and sinfo -T print them.

Source: CONTRACT sections 7 and 8.2; Slurm 22.05, recorded.
"""

from __future__ import annotations

from sluice import duration, hostlist, reservation_flags, tres
from sluice.errors import RequestError, SluiceError
from sluice_cli import talk
from sluice_cli.json_out import number, time_point
from sluice_cli.scontrol_session import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.job_row import Context
    from sluice_cli.scontrol_session import Session

    Map = dict[str, Any]

NULL = "(null)"
_NAME_WIDTH_MIN = 9
NONE_TEXT = "No reservations in the system\n"


def show_reservations(session: Session, name: str) -> None:
    """Print one reservation, or all."""
    try:
        reply = session.call("QueryReservations", {"name": name})
    except SluiceError as error:
        is_unknown = isinstance(error, RequestError) and error.code == "reservation"
        if not is_unknown:
            session.fail(f"slurm_load_reservations error: {sentence(error)}")
            return
        session.exit_status = 1
        reply = {}
    found = reply.get("reservations", ())
    now_at = reply.get("now_at", 0.0)
    if session.structured:
        from sluice_cli import json_out

        json_out.put(session.structured, "reservations", [reservation_object(each, now_at) for each in found])
        return
    if not found:
        talk.put(f"Reservation {name} not found\n" if name else NONE_TEXT)
    for each in found:
        session.put_record(_lines(each, session.context(now_at), session.is_oneliner))


def state(reservation: Map, now_at: float) -> str:
    return "ACTIVE" if reservation["start_at"] <= now_at < reservation["end_at"] else "INACTIVE"


def _lines(each: Map, context: Context, is_oneliner: bool) -> list[str]:
    delay_s = each.get("max_start_delay_s")
    lines = [
        f"ReservationName={each['name']} StartTime={context.clock(each['start_at'], 'Unknown')} "
        f"EndTime={context.clock(each['end_at'], 'Unknown')} "
        f"Duration={duration.format_long(each['end_at'] - each['start_at'])}",
        f"Nodes={_nodes(each)} NodeCnt={len(each.get('nodes', ()))} CoreCnt={each.get('core_count', 0)} "
        f"Features={each.get('features') or NULL} PartitionName={each.get('partition') or NULL} Flags={_flags(each)}",
    ]
    indent = "" if is_oneliner else "  "
    lines += [f"{indent}NodeName={share['node']} CoreIDs={share['cores']}" for share in each.get("core_shares", ())]
    lines += [
        f"TRES={_tres(each) or NULL}",
        f"Users={_names(each, 'users') or NULL} Groups={','.join(each.get('groups', ())) or NULL} "
        f"Accounts={_names(each, 'accounts') or NULL} Licenses={_licenses(each) or NULL} "
        f"State={state(each, context.now_at)} BurstBuffer={each.get('burst_buffer') or NULL} Watts=n/a",
    ]
    more = {
        "QOS": _names(each, "qos"),
        "AllowedPartitions": ",".join(each.get("allowed_partitions", ())),
        "Comment": each.get("comment", ""),
    }
    if any(more.values()):
        lines.append(" ".join(f"{key}={value}" for key, value in more.items() if value))
    return [*lines, f"MaxStartDelay={duration.format_long(delay_s) if delay_s else NULL}"]


def _nodes(each: Map) -> str:
    return hostlist.fold(each.get("nodes", ())) or NULL


def _flags(each: Map) -> str:
    return reservation_flags.format_flags(each.get("flags", ()), each.get("purge_after_s"))


def _names(each: Map, key: str) -> str:
    sign = "-" if each.get(f"is_{key}_denied") else ""
    return ",".join(f"{sign}{name}" for name in each.get(key, ()))


def _licenses(each: Map) -> str:
    return ",".join(f"{name}:{count}" for name, count in each.get("licenses", ()))


def _tres(each: Map) -> str:
    counts = {"cpu": each.get("cpu_count", 0)} | {
        f"license/{name}": count for name, count in each.get("licenses", ()) if each.get("nodes")
    }
    return tres.format_by_id(tres.without_zeros(counts))


def table(reservations: list[Map], context: Context, has_header: bool) -> str:
    """Return the lines of sinfo -T."""
    width = max([_NAME_WIDTH_MIN, *(len(each["name"]) for each in reservations)])
    rows = [
        (
            each["name"],
            state(each, context.now_at),
            context.clock(each["start_at"], "N/A"),
            context.clock(each["end_at"], "N/A"),
            duration.format_long(each["end_at"] - each["start_at"]),
            _nodes(each),
        )
        for each in reservations
    ]
    if has_header:
        rows.insert(0, ("RESV_NAME", "STATE", "START_TIME", "END_TIME", "DURATION", "NODELIST"))
    return "".join(
        f"{name:<{width}}  {word:>8}  {start:>19}  {end:>19}  {length:>11}  {nodes}\n"
        for name, word, start, end, length, nodes in rows
    )


def reservation_object(each: Map, now_at: float) -> Map:
    """Return one reservation with all its keys."""
    purge_s = each.get("purge_after_s")
    return {
        "name": each["name"],
        "state": state(each, now_at),
        "start_time": time_point(each["start_at"]),
        "end_time": time_point(each["end_at"]),
        "node_list": hostlist.fold(each.get("nodes", ())),
        "node_count": len(each.get("nodes", ())),
        "core_count": each.get("core_count", 0),
        "core_specializations": [
            {"node": share["node"], "core": share["cores"]} for share in each.get("core_shares", ())
        ],
        "partition": each.get("partition", ""),
        "features": each.get("features", ""),
        "flags": list(each.get("flags", ())),
        "purge_completed": {"time": number(purge_s)},
        "max_start_delay": each.get("max_start_delay_s") or 0,
        "tres": _tres(each),
        "users": _names(each, "users"),
        "groups": ",".join(each.get("groups", ())),
        "accounts": _names(each, "accounts"),
        "qos": _names(each, "qos"),
        "allowed_partitions": ",".join(each.get("allowed_partitions", ())),
        "licenses": _licenses(each),
        "burst_buffer": each.get("burst_buffer", ""),
        "comment": each.get("comment", ""),
        "time_zone": each.get("zone", "UTC"),
    }
