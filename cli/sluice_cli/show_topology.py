"""scontrol show topology: the switches, blocks or tori of the network, a line each."""

from __future__ import annotations

from sluice.errors import SluiceError
from sluice_cli import talk
from sluice_cli.scontrol_session import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.scontrol_session import Session

_FILTERS = ("unit", "node", "name")


def show_topology(session: Session, text: str) -> None:
    """Print the units of the default topology, or what the words say: [NAME] [unit=NAME] [node=NAME].

    NAME alone is a topology, a unit or a node.  That there is nothing to show is said, and is no error.
    """
    query = _read_filters(text)
    try:
        reply = session.call("QueryTopology", query)
    except SluiceError as error:
        session.fail(f"slurm_load_topo error: {sentence(error)}")
        return
    for unit in reply.get("units", ()):
        talk.put(" ".join(f"{key}={value}" for key, value in unit["fields"]) + "\n")
    if reply.get("units") or session.voice.is_quiet:
        return
    asked = " ".join(query.values())
    if reply.get("is_flat") or not asked:
        session.voice.error("No topology information available")
    else:
        session.voice.error(f"Topology information contains no switch or node named {asked}")


def _read_filters(text: str) -> dict[str, str]:
    query = {}
    for word in text.split():
        key, equals, value = word.partition("=")
        if equals and key.lower() in _FILTERS:
            query[key.lower()] = value
        else:
            query["name"] = word
    return query
