"""scontrol show topology: the units of one topology, all of them or those that a name picks."""

from collections.abc import Iterable, Mapping

from sluice.wire.messages import QueryTopology, TopologyUnitView, TopologyViews
from sluice_plugins.interfaces import UnitView
from sluice_plugins.registry import Network

from .call import Call


def answer_topology(call: Call, request: QueryTopology) -> None:
    """Answer with the units of the default topology, of a named one, or those that a name picks."""
    core = call.core
    core.ask(call.responder, lambda: select_units(core.engine.policy.networks, request, core.clock.now()))


def select_units(networks: Mapping[str, Network], request: QueryTopology, now_at: float) -> TopologyViews:
    """Return the units to show."""
    named = networks.get(request.name)
    network = named or networks.get("")
    if network is None:
        return TopologyViews(is_flat=True, now_at=now_at)
    views = network.map.views()
    chosen: Iterable[UnitView] = views
    if named is None:
        # A unit's name comes before a node's: a switch called as a node is would hide nothing.
        chosen = [view for view in views if view.name == request.name] or _units_of(views, request.name)
    if request.unit:
        chosen = [view for view in chosen if view.name == request.unit]
    if request.node:
        chosen = _units_of(chosen, request.node)
    units = tuple([TopologyUnitView(name=view.name, fields=view.fields) for view in chosen])
    return TopologyViews(units=units, is_flat=not views, now_at=now_at)


def _units_of(views: Iterable[UnitView], node: str) -> list[UnitView]:
    return [view for view in views if node in view.nodes]
