"""Ports that a cluster's daemons want and cannot have: told by the key that asks for them."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.config.load import load
from sluice.config.records import ClusterConfig
from sluice.errors import ConfigError
from sluice.local.wanted_ports import Want, agent_want, check_free, controller_want

_CONF = """
ClusterName=one
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={default}
NodeName=n1 NodeAddr=127.0.0.1 CPUs=1
NodeName=n2 NodeAddr=127.0.0.1 Port={own} CPUs=1
PartitionName=debug Nodes=ALL
"""


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def free() -> list[int]:
    """Three ports that were free a moment ago."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def config_with(tmp_path: Path, controller: int, default: int, own: int) -> ClusterConfig:
    path = tmp_path / "own.conf"
    path.write_text(_CONF.format(controller=controller, default=default, own=own))
    return load(str(path))


def wants_of(config: ClusterConfig) -> list[Want]:
    return [controller_want(config), agent_want(config, "n1"), agent_want(config, "n2")]


def test_free_ports_are_nothing_to_tell(tmp_path: Path, free: list[int]) -> None:
    config = config_with(tmp_path, *free)

    check_free(config, wants_of(config))


@pytest.mark.parametrize(
    ("place", "key"), [(0, "SlurmctldPort={}"), (1, "NodeName=n1 SlurmdPort={}"), (2, "NodeName=n2 Port={}")]
)
def test_a_taken_port_is_told_with_its_key_and_with_who_holds_it(
    tmp_path: Path, free: list[int], taken: int, place: int, key: str
) -> None:
    ports = [taken if each == place else port for each, port in enumerate(free)]
    config = config_with(tmp_path, *ports)

    with pytest.raises(ConfigError) as refused:
        check_free(config, wants_of(config))

    told = str(refused.value)
    assert told.startswith(
        f"{config.path}: {key.format(taken)}: the port is taken on 127.0.0.1 by process {os.getpid()} ("
    )
    assert told.endswith("; end that, or choose another port")
    assert "\n" not in told
