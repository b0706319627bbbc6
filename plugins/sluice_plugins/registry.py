"""From the names in the configuration to plugins, by entry points."""

from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from sluice import pmix_version
from sluice.errors import PluginError, RequestError
from sluice.model.priority import PrioritySetup
from sluice.model.request import JobSpec
from sluice.model.topology import Topology
from sluice_plugins.interfaces import (
    LaunchPlugin,
    MpiPlugin,
    PreemptPlugin,
    PriorityFactor,
    PriorityPlugin,
    PriorityRule,
    Submission,
    SubmitFilter,
    TopologyMap,
    TopologyPlugin,
)


def find(kind: str, name: str) -> Any:
    """Return a new plugin.  Raises PluginError: not found (with the names that are), or it cannot be loaded."""
    found = {point.name: point for point in _points(kind)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none is installed"
        raise PluginError(f"no {kind} plugin is called {name!r}: {known}")
    try:
        return found[name].load()()
    except Exception as error:
        raise PluginError(f"{kind} plugin {name!r} ({found[name].value}) cannot be loaded: {error}") from error


def names(kind: str) -> list[str]:
    """Return the names of the installed plugins of a kind."""
    return sorted(point.name for point in _points(kind))


def _points(kind: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=f"sluice.{kind}"))


class SubmitFilters:
    """The configured submit plugins, in order."""

    def __init__(self, plugin_names: tuple[str, ...]) -> None:
        """Raises PluginError."""
        self._filters: list[tuple[str, SubmitFilter]] = [(name, find("submit", name)) for name in plugin_names]

    def apply(self, spec: JobSpec, submission: Submission) -> JobSpec:
        """Return the request after every plugin saw it.

        Raises RequestError when one refuses.  A plugin that fails refuses too: what a site wants checked is never let
        through unchecked.
        """
        for name, each in self._filters:
            try:
                spec = each.filter(spec, submission)
            except RequestError:
                raise
            except Exception as error:
                raise RequestError(f"submit plugin {name!r} failed: {type(error).__name__}: {error}") from error
            if not isinstance(spec, JobSpec):
                raise RequestError(f"submit plugin {name!r} gave back {type(spec).__name__}, not a JobSpec")
        return spec


def prepare_priority(setup: PrioritySetup) -> PriorityRule:
    """Return the rule of the configured PriorityType, with every factor that has a weight.  Raises PluginError."""
    plugin: PriorityPlugin = find("priority", setup.type)
    wanted = dict.fromkeys((*setup.weights, "site", setup.site_factor))
    factors: dict[str, PriorityFactor] = {name: find("priority_factor", name) for name in wanted if name}
    return plugin.prepare(setup, factors)


class Network:
    """One topology with its plugin's map of the nodes, whose positions are those in *nodes*."""

    def __init__(self, topology: Topology, nodes: Sequence[str]) -> None:
        """Raises PluginError."""
        plugin: TopologyPlugin = find("topology", topology.plugin)
        self.topology = topology
        self.nodes = list(nodes)
        self.position_by_name = {name: position for position, name in enumerate(self.nodes)}
        try:
            self.map: TopologyMap = plugin.build(topology, self.nodes)
        except Exception as error:
            raise PluginError(f"topology plugin {topology.plugin!r} failed on {topology.name!r}: {error}") from error


def build_networks(topologies: Iterable[Topology], nodes: Sequence[str]) -> dict[str, Network]:
    """Return the topologies by name, the default one by "" as well; none for a flat network.  Raises PluginError."""
    networks: dict[str, Network] = {}
    for topology in topologies:
        network = networks[topology.name] = Network(topology, nodes)
        if topology.is_default:
            networks[""] = network
    return networks


def find_preemption(name: str) -> PreemptPlugin | None:
    """Return the plugin of the configured PreemptType; None for "none".  Raises PluginError."""
    plugin: PreemptPlugin | None = None if name == "none" else find("preempt", name)
    return plugin


def find_mpi(type_: str) -> MpiPlugin:
    """Return the plugin of an --mpi type; a version of pmix is the server's.  Raises PluginError."""
    plugin: MpiPlugin = find("mpi", "pmix" if type_ in pmix_version.NAMES else type_)
    return plugin


def find_launcher(name: str) -> LaunchPlugin:
    """Return the plugin of a --launch.  Raises PluginError."""
    plugin: LaunchPlugin = find("launch", name)
    return plugin
