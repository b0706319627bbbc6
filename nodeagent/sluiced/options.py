"""The agent's command line and the few settings that it reads itself; the rest comes from the controller."""

from __future__ import annotations

import argparse
import os
import socket

import msgspec

from sluice import hostlist
from sluice.config.light import find_config
from sluice.config.load import load
from sluice.config.node_setup import NodeSetup, NodeSetups
from sluice.config.records import ClusterConfig, NodeConfig
from sluice.errors import ConfigError
from sluice.wire.client import Endpoint, TcpEndpoint, UnixEndpoint


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are.  nodes: one, or all that an emulation stands for."""

    conf_path: str
    cluster: str
    nodes: tuple[NodeConfig, ...]
    #: Of the first node, until the controller tells it.
    setup: NodeSetup | None = None
    is_emulated: bool
    key_file: str
    controller_socket: str
    #: (address, port), the primary first.
    controllers: tuple[tuple[str, int], ...]
    spool: str
    agent_socket: str
    address: str
    port: int
    log_file: str = ""
    pid_file: str = ""
    verbosity: int = 0

    @property
    def node(self) -> NodeConfig:
        return self.nodes[0]

    def endpoints(self) -> list[Endpoint]:
        """Return where the controller may be: its socket on this host first."""
        places: list[Endpoint] = [UnixEndpoint(self.controller_socket)] if self.controller_socket else []
        return places + [TcpEndpoint(address, port) for address, port in self.controllers]


def parse_options(arguments: list[str]) -> Options:
    """Return the options.  Raises ConfigError; argparse exits on wrong usage."""
    parsed = _parser().parse_args(arguments)
    path = os.path.abspath(parsed.f or find_config())
    config = load(path)
    settings = config.settings
    nodes = _nodes(config, parsed.N, parsed.emulate)
    node = nodes[0]

    def place(pattern: str) -> str:
        return pattern.replace("%n", node.name).replace("%h", node.hostname)

    return Options(
        conf_path=path,
        cluster=settings.cluster_name,
        nodes=nodes,
        setup=NodeSetups(config).of(node.name),
        is_emulated=parsed.emulate,
        key_file=settings.key_file,
        controller_socket=settings.controller_socket,
        controllers=tuple((controller.address, settings.slurmctld_port) for controller in settings.controllers),
        spool=place(settings.slurmd_spool_dir),
        agent_socket=place(settings.agent_socket),
        address=node.address,
        port=node.port,
        log_file="" if parsed.D else place(settings.slurmd_log_file),
        pid_file="" if parsed.D or parsed.emulate else place(settings.slurmd_pid_file),
        verbosity=parsed.v,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sluiced", description="The node agent: runs jobs on one node.")
    parser.add_argument("-f", metavar="FILE", help="configuration file; default: SLUICE_CONF, SLURM_CONF, /etc/sluice")
    parser.add_argument("-N", metavar="NODE", help="node name; a hostlist with --emulate; default: by host name")
    parser.add_argument("-D", action="store_true", help="log to stderr")
    parser.add_argument("-v", action="count", default=0, help="say more; repeat for debug")
    parser.add_argument("--emulate", action="store_true", help="stand for nodes whose jobs are timers")
    return parser


def _nodes(config: ClusterConfig, names: str | None, is_emulated: bool) -> tuple[NodeConfig, ...]:
    if names is None:
        host = socket.gethostname().partition(".")[0]
        found = [node for node in config.nodes if node.name == host or node.hostname == host][:1]
        if not found:
            raise ConfigError(f"no node of this host {host!r} is configured; name one with -N", config.path)
        return tuple(found)
    wanted = hostlist.expand(names) if is_emulated else [names]
    by_name = {node.name: node for node in config.nodes}
    unknown = [name for name in wanted if name not in by_name]
    if unknown or not wanted:
        raise ConfigError(f"node {hostlist.fold(unknown) or names!r} is not configured", config.path)
    return tuple(by_name[name] for name in wanted)
