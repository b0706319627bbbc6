"""scontrol show: configuration, licenses, daemons and the entities that this cluster has none of."""

from __future__ import annotations

import os
import time

from sluice import timepoint
from sluice.errors import SluiceError
from sluice_cli import client, talk
from sluice_cli.scontrol_session import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.scontrol_session import Session

    Map = dict[str, Any]

_KEY_WIDTH = 23


def show_config(session: Session, text: str) -> None:
    """Print the configuration in force and whether the controller answers."""
    try:
        reply = session.call("QueryConfig", {})
    except SluiceError as error:
        session.fail(f"slurm_load_ctl_conf error: {sentence(error)}")
        return
    settings = reply.get("settings", ())
    if session.structured:
        from sluice_cli import json_out

        json_out.put(session.structured, "configuration", [{"key": key, "value": value} for key, value in settings])
        return
    at = timepoint.format_local(reply.get("now_at") or time.time())
    lines = [f"Configuration data as of {at}", *(f"{key:<{_KEY_WIDTH}} = {value}" for key, value in settings)]
    talk.put("\n".join(lines) + "\n\n")
    put_ping(session)


def put_ping(session: Session) -> None:
    """Print whether each controller answers; exit status 1 when none does."""
    try:
        host = session.call("Ping", {})["host"]
        state = "UP"
    except SluiceError as error:
        if text := client.detail(error):
            session.voice.error(text)
        controllers = client.find_endpoints().controllers
        host, state = (controllers[0][0] if controllers else os.uname().nodename), "DOWN"
        session.forget_connection()
        session.exit_status = 1
    if session.structured:
        from sluice_cli import json_out

        json_out.put(session.structured, "pings", [{"hostname": host, "pinged": state, "mode": "primary"}])
        return
    talk.put(f"Slurmctld(primary) at {host} is {state}\n")


def show_licenses(session: Session, name: str) -> None:
    """Print the cluster's licenses and how many running jobs hold."""
    try:
        settings = dict(session.call("QueryConfig", {}).get("settings", ()))
        used = _licenses_in_use(session)
        reserved = _licenses_reserved(session)
    except SluiceError as error:
        session.fail(f"slurm_load_licenses error: {sentence(error)}")
        return
    totals = _license_counts(settings.get("Licenses", ""))
    found = {each: total for each, total in totals.items() if name in ("", each)}
    if session.structured:
        from sluice_cli import json_out

        objects = [
            {
                "LicenseName": each,
                "Total": total,
                "Used": used.get(each, 0),
                "Free": total - used.get(each, 0),
                "Remote": False,
                "Reserved": reserved.get(each, 0),
            }
            for each, total in found.items()
        ]
        json_out.put(session.structured, "licenses", objects)
        return
    if not found:
        session.exit_status = 1 if name else session.exit_status
        talk.put(f"License {name} not found\n" if name else "No licenses configured in Slurm.\n")
    separator = " " if session.is_oneliner else "\n    "
    for each, total in found.items():
        taken = used.get(each, 0)
        talk.put(
            f"LicenseName={each}{separator}Total={total} Used={taken} Free={total - taken} "
            f"Reserved={reserved.get(each, 0)} Remote=no\n"
        )


def _licenses_in_use(session: Session) -> dict[str, int]:
    used: dict[str, int] = {}
    for part in session.stream("QueryJobs", {"filter": {"states": ["RUNNING", "SUSPENDED"]}}):
        for view in part.get("jobs", ()):
            for name, count in (view["job"].get("allocation") or {}).get("licenses", ()):
                used[name] = used.get(name, 0) + count
    return used


def _licenses_reserved(session: Session) -> dict[str, int]:
    """Return the counts that reservations in force keep."""
    reply = session.call("QueryReservations", {})
    now_at = reply.get("now_at", 0.0)
    reserved: dict[str, int] = {}
    for each in reply.get("reservations", ()):
        if each["start_at"] <= now_at < each["end_at"]:
            for name, count in each.get("licenses", ()):
                reserved[name] = reserved.get(name, 0) + count
    return reserved


def _license_counts(text: str) -> dict[str, int]:
    """Return the counts of `name[:count],...`."""
    counts: dict[str, int] = {}
    for entry in text.replace(";", ",").split(","):
        name, _, count = entry.strip().replace("=", ":").partition(":")
        if name and name != "(null)":
            counts[name] = int(count) if count.isdecimal() else 1
    return counts


def show_daemons(session: Session, text: str) -> None:
    """Print which daemons should run on this host."""
    own = os.uname().nodename
    words = []
    controllers = client.find_endpoints().controllers
    here = (own.partition(".")[0], "localhost")
    if any(host.partition(".")[0] in here or address in here for host, address in controllers):
        words.append("slurmctld")
    if _own_nodes(session):
        words.append("slurmd")
    talk.put(" ".join(words) + "\n")


def show_aliases(session: Session, text: str) -> None:
    """Print the names of the nodes of this host."""
    names = _own_nodes(session)
    if names:
        talk.put(" ".join(names) + "\n")
    elif not session.exit_status:
        session.fail_named("no node is configured for this host")


def _own_nodes(session: Session) -> list[str]:
    own = os.uname().nodename
    try:
        views = session.call("QueryNodes", {}).get("nodes", ())
    except SluiceError as error:
        session.fail(f"slurm_load_node error: {sentence(error)}")
        return []
    short = own.partition(".")[0]
    return [view["node"]["name"] for view in views if short in _hosts_of(view["node"])]


def _hosts_of(node: Map) -> set[str]:
    """Return the short names of a node's host: as configured, and as its agent says."""
    inventory = node.get("inventory") or {}
    return {each.partition(".")[0] for each in (node.get("hostname") or node["name"], inventory.get("hostname", ""))}


def show_assoc_mgr(session: Session, text: str) -> None:
    """Print the limits that associations and QOS set: there are none."""
    talk.put("Current Association Manager state\n\n")


def show_nothing(session: Session, text: str) -> None:
    """Print nothing: there are none of these."""


def show_unavailable(session: Session, text: str) -> None:
    session.fail_named("this cluster has no such thing to show")
