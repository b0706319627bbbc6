"""scontrol show: which entity is meant, and what it takes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sluice_cli.scontrol_session import Session

    Show = Callable[[Session, str], None]

#: Entities by full name, with the letters that are enough; in the order in which an abbreviation is looked up.
_LEAST_LETTERS = {
    "aliases": 2,
    "assoc_mgr": 2,
    "burstbuffer": 1,
    "config": 3,
    "daemons": 1,
    "federation": 2,
    "hostnames": 5,
    "hostlistsorted": 9,
    "hostlist": 5,
    "jobs": 1,
    "licenses": 1,
    "nodes": 1,
    "partitions": 2,
    "reservations": 1,
    "slurmd": 2,
    "steps": 2,
    "topoconf": 5,
    "topology": 1,
}
#: Names with a key's ending that mean the same.
_OTHER_NAMES = {
    "jobid": "jobs",
    "nodename": "nodes",
    "partitionname": "partitions",
    "reservationname": "reservations",
    "stepid": "steps",
    "configuration": "config",
}
#: Entities that take any number of filters.
_FILTERED = ("assoc_mgr", "topology")


def show(session: Session, words: list[str]) -> None:
    """Print what *words*, those after "show", name."""
    if not words:
        session.fail("too few arguments for keyword:show")
        return
    typed, equals, value = words[0].partition("=")
    arguments = [value, *words[1:]] if equals else words[1:]
    entity = _resolve(typed.lower())
    if not entity:
        session.fail(f"invalid entity:{typed} for keyword:show ")
        return
    if equals and not value:
        session.fail(f"{typed}= names none: leave the = out for all")
        return
    if len(arguments) > 1 and entity not in _FILTERED:
        session.fail("too many arguments for keyword:show")
        return
    if entity.startswith("host"):
        _show_hosts(session, entity, arguments, typed)
        return
    module, function = _SHOWS[entity].split(".")
    print_it: Show = getattr(__import__(f"sluice_cli.{module}", fromlist=[function]), function)
    print_it(session, " ".join(arguments) if entity in _FILTERED else arguments[0] if arguments else "")


def _show_hosts(session: Session, entity: str, arguments: list[str], typed: str) -> None:
    from sluice_cli import show_hosts

    if entity == "hostnames":
        show_hosts.show_hostnames(session, arguments[0] if arguments else None)
    elif arguments:
        show_hosts.show_hostlist(session, arguments[0], entity == "hostlistsorted")
    else:
        session.fail(f"invalid entity:{typed} for keyword:show ")


def _resolve(typed: str) -> str:
    """Return the entity's full name, "" if there is none of that name."""
    if typed in _OTHER_NAMES:
        return _OTHER_NAMES[typed]
    for name, least in _LEAST_LETTERS.items():
        if len(typed) >= least and name.startswith(typed):
            return name
    return ""


#: What prints each entity.  Modules are loaded when they are needed.
_SHOWS = {
    "aliases": "show_other.show_aliases",
    "assoc_mgr": "show_other.show_assoc_mgr",
    "burstbuffer": "show_other.show_nothing",
    "config": "show_other.show_config",
    "daemons": "show_other.show_daemons",
    "federation": "show_other.show_nothing",
    "jobs": "show_job.show_jobs",
    "licenses": "show_other.show_licenses",
    "nodes": "show_node.show_nodes",
    "partitions": "show_partition.show_partitions",
    "reservations": "show_reservation.show_reservations",
    "slurmd": "show_other.show_unavailable",
    "steps": "show_step.show_steps",
    "topoconf": "show_topology.show_topology",
    "topology": "show_topology.show_topology",
}
